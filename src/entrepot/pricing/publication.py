"""When may a version of a book start? What has no price yet, whenever; a price that is in force is changed with notice.

A change is what a call would notice: another price of a meter under some conditions, by whichever row, pattern,
percentage or vendor's price it comes about. It starts 15 minutes after its publication, so that every gateway has heard
of it, and where it is dearer for a customer after the notice of that contract (money-rules §7). Pure.
"""

from collections.abc import Iterator, Sequence

import msgspec

from entrepot.catalog.contents import Catalog, Contract
from entrepot.catalog.contract_rules import NOTICE, Used, round_up
from entrepot.catalog.fields import Report
from entrepot.catalog.file import CatalogFile
from entrepot.catalog.issues import CatalogBroken, Issue
from entrepot.catalog.lines import Path
from entrepot.catalog.prices import BookVersion, When
from entrepot.catalog.rules import day, mistakes
from entrepot.catalog.standing import BY_PERIOD, everything, models_of
from entrepot.kernel.buckets import BUCKETS, INHERITS
from entrepot.kernel.errors import EntrepotError
from entrepot.kernel.instants import DAY, Instant, show
from entrepot.pricing.agreement import AgreedPrice, Agreement, Quote, agreement_of
from entrepot.pricing.book import conditions_of

_NOBODY: Used = {}


def check(file: CatalogFile, existing: Catalog, now: Instant, used: Used = _NOBODY) -> None:
    """Raise CatalogBroken with every mistake of the file, those found by reading it among them.

    `used` says when each customer has used something."""
    issues = mistakes(file, existing, now, used)
    try:
        issues += _Publication(file, existing, now).issues()
    except EntrepotError:  # books that leave a call undecided, which is among the mistakes already
        if not issues:
            raise
    if issues:
        raise CatalogBroken(file.name, issues)


class _Change(msgspec.Struct, frozen=True, kw_only=True):
    """A price in force before that would be another one."""

    name: str
    version: str
    old: str
    new: str
    dearer: bool

    def __str__(self) -> str:
        return f"{self.name} {self.old} → {self.new}"


class _Publication:
    """The versions of a file that are not published yet, each against what is."""

    def __init__(self, file: CatalogFile, existing: Catalog, now: Instant) -> None:
        self.existing, self.now = existing, now
        self.report = Report(file.places)
        self.catalog = msgspec.structs.replace(existing, models={**existing.models, **file.catalog.models},
                                               upstreams={**existing.upstreams, **file.catalog.upstreams})  # fmt: skip
        new = [
            (path, each)
            for path, each in zip(file.version_paths, file.catalog.versions, strict=True)
            if each.valid_from and not any(each.says_the_same(old) for old in existing.book(each.book))
        ]
        self.new = sorted(new, key=lambda pair: pair[1].valid_from)

    def issues(self) -> list[Issue]:
        for path, version in self.new:
            if not self._too_early(path, version):
                self._without_notice(path, version)
        return self.report.issues

    def _too_early(self, path: Path, version: BookVersion) -> bool:
        soon = self.now + NOTICE
        if version.valid_from >= soon:
            return False
        found = list(self._changes(None, version, soon))
        if found:
            self.report.add(
                (*path, "valid_from"),
                f"This changes {_names(found)}, in force since {_since(self.existing, found[0])}.",
                "A change of a price in force starts at least 15 minutes after it is published: "
                f"write valid_from = {show(round_up(soon))} or later.",
                "What was used before then stays at its price, unless it is re-rated: entrepot book rerate --help",
            )
        return bool(found)

    def _without_notice(self, path: Path, version: BookVersion) -> None:
        for customer in self.existing.customers.values():
            for contract in customer.contracts:
                ends = self.now + contract.notice_days * DAY
                if version.valid_from >= ends or not (version.buys_from or version.book == contract.book):
                    continue
                dearer = [each for each in self._changes(contract, version, ends) if each.dearer]
                if dearer:
                    self.report.add(
                        (*path, "valid_from"),
                        f"{customer.id} has {contract.notice_days} days' notice of a dearer price"
                        f"{f' ({contract.id})' if contract.id else ''}: {_listed(dearer)}.",
                        f"Write valid_from = {show(round_up(ends))} or later.",
                    )
                    return

    def _changes(self, contract: Contract | None, version: BookVersion, until: Instant) -> Iterator[_Change]:
        """What would be another price for calls between the version's start and `until`: under a contract, or (None) in
        the version's book itself."""
        books = [*self.existing.versions, version]
        was, will_be = (_by(contract, version, each) for each in (self.existing.versions, books))
        if not was.book:
            return
        instants = sorted({
            at for each in books for at in (each.valid_from, was.starts_at)
            if version.valid_from <= at < until and was.in_term(at)
        })  # fmt: skip
        seen: set[str] = set()
        for at in instants:
            for model in models_of([version], self.catalog.models):
                for vendor in self.catalog.vendors_of(model) or ("",):
                    old, new = (Quote(each, model, at, vendor) for each in (was, will_be))
                    for when in conditions_of(books, model):
                        for change in _prices_changed(model, when, old.prices(when), new.prices(when)):
                            if change.name not in seen:
                                seen.add(change.name)
                                yield change
            if not version.buys_from:
                yield from self._by_period(was, will_be, at, seen)

    def _by_period(self, was: Agreement, will_be: Agreement, at: Instant, seen: set[str]) -> Iterator[_Change]:
        old, new = (everything(each.book, at) for each in (was, will_be))
        for thing, (said, number) in old.items():
            if thing.bucket in BY_PERIOD and new[thing].said != said and str(thing) not in seen:
                seen.add(str(thing))
                version = f"{was.book[0].book}/{number}"
                yield _Change(name=str(thing), version=version, old=str(said), new=str(new[thing].said), dearer=True)


def _by(contract: Contract | None, version: BookVersion, books: Sequence[BookVersion]) -> Agreement:
    """What is paid under the contract; without one, by the version's own book, a vendor's too."""
    if contract is not None:
        return agreement_of(contract, books)
    whole = agreement_of(Contract(book=version.book), books)
    return msgspec.structs.replace(whole, book=tuple(each for each in books if each.book == version.book))


def _prices_changed(
    model: str, when: When, old: dict[str, AgreedPrice], new: dict[str, AgreedPrice]
) -> Iterator[_Change]:
    said = f" ({when})" if when.count else ""
    sources = {BUCKETS[bucket]: BUCKETS[source] for bucket, source in INHERITS.items()}
    for meter, was in old.items():
        now, source = new.get(meter), sources.get(meter, "")
        inherited = old.get(source) is was and new.get(source) is now
        if now is None or inherited or _same(was, now):
            continue
        steps = (was.steps and was.steps.rows) != (now.steps and now.steps.rows)
        dearer = steps or now.price * was.per > was.price * now.per
        yield _Change(
            name=f"{model} {meter}{said}", version=was.basis, old=_price(was), new=_price(now), dearer=dearer
        )  # fmt: skip


def _same(was: AgreedPrice, now: AgreedPrice) -> bool:
    steps = was.steps and (was.steps.rows, was.steps.scope, was.steps.period)
    others = now.steps and (now.steps.rows, now.steps.scope, now.steps.period)
    return was.price * now.per == now.price * was.per and steps == others


def _price(price: AgreedPrice) -> str:
    shown = f"{price.price.normalize():f}"
    return shown if not price.steps else f"{shown} at its dearest step"


def _since(existing: Catalog, change: _Change) -> str:
    """`2026-01-01 (list/1)`."""
    name = change.version.split(" ")[0]
    found = next((each for each in existing.versions if each.id == name), None)
    return f"{day(found.valid_from)} ({found.id})" if found else name


def _names(changes: Sequence[_Change]) -> str:
    names = [each.name for each in changes]
    return ", ".join(names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} others"])


def _listed(changes: Sequence[_Change]) -> str:
    shown = [str(each) for each in changes]
    return ", ".join(shown if len(shown) <= 4 else [*shown[:3], f"{len(shown) - 3} others"])
