"""What a file must fulfil beyond its own shape: names that exist, prices that do not meet, versions that stay. Pure.

Names may stand in the file or in what the house already has: what is missing in the file stays.
"""

from itertools import combinations

from entrepot.catalog.buyer_rules import check_buyers
from entrepot.catalog.contents import Catalog, Model
from entrepot.catalog.contract_rules import Used, check_contracts
from entrepot.catalog.fields import Report
from entrepot.catalog.file import CatalogFile
from entrepot.catalog.issues import Issue, did_you_mean, nearest
from entrepot.catalog.lines import Path
from entrepot.catalog.price_rules import check_prices
from entrepot.catalog.prices import BookVersion, Said, Thing, Unit
from entrepot.kernel.instants import Instant, show


def mistakes(file: CatalogFile, existing: Catalog, now: Instant, used: Used) -> list[Issue]:
    """Every mistake of the file, those found by reading it among them; `pricing.publication` looks at prices in force.

    `used` says when each customer has used something."""
    return [*file.issues, *_Rules(file, existing, now, used).issues()]


class _Rules:
    """One file against what exists."""

    def __init__(self, file: CatalogFile, existing: Catalog, now: Instant, used: Used) -> None:
        self.file, self.catalog, self.existing, self.now, self.used = file, file.catalog, existing, now, used
        self.report = Report(file.places)
        self.versions = list(zip(file.version_paths, file.catalog.versions, strict=True))

    def issues(self) -> list[Issue]:
        self._upstreams()
        self._models()
        self._books()
        self._twice()
        self._published()
        check_prices(self.file, self.existing, self.now, self.report)
        check_buyers(self.file, self.existing, self.report, self._named)
        check_contracts(self.file, self.existing, self.now, self.used, self.report)
        return self.report.issues

    def _known(self, section: str) -> set[str]:
        standing = {
            "vendor": self.existing.vendors, "upstream": self.existing.upstreams, "model": self.existing.models,
            "customer": self.existing.customers, "book": {each.book: each for each in self.existing.versions},
        }  # fmt: skip
        return {*self.file.declared.get(section, ()), *standing[section]}

    def _named(self, path: Path, section: str, name: str, noun: str) -> None:
        """Report a name that nothing has, with the one that was probably meant and its line."""
        known = self._known(section)
        if not name or name in known:
            return
        meant = nearest(name, known)
        if meant is None:
            hint = did_you_mean(name, known)
        elif meant in self.file.declared.get(section, ()):
            hint = f' Did you mean "{meant}" (line {self.file.line(section, meant)})?'
        else:
            hint = f' Did you mean "{meant}"?'
        self.report.add(path, f"No {noun} has this name.{hint}")

    def _upstreams(self) -> None:
        for each in self.catalog.upstreams.values():
            self._named(("upstream", each.id, "vendor"), "vendor", each.vendor, "vendor")

    def _models(self) -> None:
        for model in self.catalog.models.values():
            for upstream, _ in model.routes:
                self._named(self._routes(model, upstream), "upstream", upstream, "upstream")
            for place, version in enumerate(model.versions):
                where = ("model", model.id, *(("versions", place) if version.name else ()), "replaced_by")
                self._named(where, "model", version.replaced_by, "model")
        self._other_names()

    def _routes(self, model: Model, upstream: str) -> Path:
        """Where the file names this upstream first."""
        place = next(n for n, each in enumerate(model.versions) if any(upstream == name for name, _ in each.routes))
        return ("model", model.id, *(("versions", place) if model.versions[place].name else ()), "routes")

    def _other_names(self) -> None:
        """Every name for a model, its own, an alias or a dated one, leads to one model."""
        models = {**self.existing.models, **self.catalog.models}
        owners = {name: name for name in models}
        for model in models.values():
            for name in model.names():
                owner = owners.setdefault(name, model.id)
                if owner != model.id and (model.id in self.catalog.models or owner in self.catalog.models):
                    at = model.id if model.id in self.catalog.models else owner
                    path: Path = ("model", at, "aliases") if name in models[at].aliases else ("model", at)
                    self.report.add(path, f'"{name}" would mean both {owner} and {model.id}: rename one.')

    def _books(self) -> None:
        """Names in books; one currency and one vendor per book; one cost book per vendor."""
        for path, version in self.versions:
            if version.buys_from:
                self._named((*path, "buys_from"), "vendor", version.buys_from, "vendor")
        for path, model in self.file.priced:
            self._named(path, "model", model, "model")
        first: dict[str, tuple[BookVersion, str]] = {}
        for standing in self.existing.versions:
            first.setdefault(standing.book, (standing, f"version {standing.number}, published"))
        for path, version in self.versions:
            said, where = first.setdefault(version.book, (version, f"line {self.file.line(*path)}"))
            if version.currency and said.currency and version.currency != said.currency:
                why = f'A book has one currency, and "{version.book}" is in {said.currency} ({where}).'
                self.report.add((*path, "currency"), why, "Write a book of another name.")
            if version.buys_from != said.buys_from:
                kind = f'buys from "{said.buys_from}"' if said.buys_from else "is a list book, without buys_from"
                at = (*path, "buys_from") if version.buys_from else path
                self.report.add(at, f'"{version.book}" {kind} ({where}), in every version.')
        vendors: dict[str, str] = {}
        for book, (version, _) in first.items():
            other = vendors.setdefault(version.buys_from, book) if version.buys_from else book
            if other != book:
                path = next(path for path, each in self.versions if each.book == book)
                why = f'The book "{other}" buys from "{version.buys_from}" already; a vendor has one cost book.'
                self.report.add((*path, "buys_from"), why)

    def _twice(self) -> None:
        """Two versions of the file with prices for the same thing from the same instant."""
        groups: dict[tuple[str, Instant], list[tuple[Path, BookVersion]]] = {}
        for path, version in self.versions:
            if version.valid_from:
                groups.setdefault((version.book, version.valid_from), []).append((path, version))
        for group in groups.values():
            for (path, version), (other_path, other) in combinations(group, 2):
                there = other.things()
                both = [thing for thing in version.things() if thing in there]
                if both:
                    line = self.file.line(*other_path, "valid_from")
                    until = self._until(version, both)
                    self.report.add(
                        (*path, "valid_from"),
                        f"{_things(both)} two prices {until}: this one and that of line {line}.",
                        "A later version ends the earlier one by itself: give this one a later valid_from, "
                        "or remove it.",
                    )

    def _until(self, version: BookVersion, things: list[Thing]) -> str:
        everything = [*self.existing.versions, *(each for _, each in self.versions)]
        later = [
            each.valid_from
            for each in everything
            if each.book == version.book and each.valid_from > version.valid_from and set(things) & each.things().keys()
        ]
        start = day(version.valid_from)
        return f"from {start} until {day(min(later))}" if later else f"from {start} on"

    def _published(self) -> None:
        """Published versions stay as they are."""
        for path, version in self.versions:
            standing = [each for each in self.existing.book(version.book) if each.valid_from == version.valid_from]
            if not version.valid_from or any(each.says_the_same(version) for each in standing):
                continue
            same = [each for each in standing if each.things().keys() & version.things().keys()]
            if same:
                self.report.add(
                    (*path, "valid_from"),
                    f"{same[0].id} is published and never changes: {_first_difference(same[0], version)}.",
                    "Write it as it was, and the next one below it with a later valid_from.",
                )


def day(at: Instant) -> str:
    """The date alone where the instant is its midnight."""
    return show(at).removesuffix("T00:00:00Z")


def _things(things: list[Thing]) -> str:
    """`gpt-4o output has` or `gpt-4o input, gpt-4o output have`."""
    return f"{_names(things)} {'has' if len(things) == 1 else 'have'}"


def _names(things: list[Thing]) -> str:
    names = [str(each) for each in things]
    return ", ".join(names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} others"])


def _first_difference(published: BookVersion, now: BookVersion) -> str:
    old, new = published.things(), now.things()
    for thing in [*old, *new]:
        if old.get(thing) != new.get(thing):
            name = str(thing)
            if thing not in new:
                return f"{name} {_short(old[thing])} stands there and is missing here"
            if thing not in old:
                return f"{name} {_short(new[thing])} stands here and not there"
            return f"{name} is {old[thing]} there and {new[thing]} here"
    return f"its currency or vendor is {published.currency} {published.buys_from}".rstrip()


def _short(said: Said) -> str:
    return f"{said.price:f}" if isinstance(said, Unit) else str(said)
