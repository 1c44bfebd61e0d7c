"""The catalog file: TOML text → contents, with every mistake and its line.

Format 1. Decimals are exact. Whatever this version cannot act on is refused by name, never passed over in silence.
"""

import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal

import msgspec

from entrepot.catalog.books import Books
from entrepot.catalog.buyers import Bound, Buyers
from entrepot.catalog.contents import Catalog, Contract, Deployment, Operator
from entrepot.catalog.fields import Fields, Report, good_name, numbers_out_of_range
from entrepot.catalog.issues import CatalogBroken, Issue
from entrepot.catalog.lines import Path, Places
from entrepot.catalog.party_fields import check_operator
from entrepot.catalog.price_rows import PriceRows
from entrepot.catalog.supply import Supply

LARGEST = 16 * 1024 * 1024
_TOML_PLACE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)
_SECRET_LINE = re.compile(r"""(key|secret|token|password)(\s*=\s*)["']?[^\s{].*""", re.I)


class CatalogFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says and where it says it. `catalog` holds only what could be read; with issues it is never used."""

    name: str
    catalog: Catalog
    issues: tuple[Issue, ...]
    places: Places
    version_paths: tuple[Path, ...]  # of catalog.versions, in the same order
    priced: tuple[tuple[Path, str], ...]  # every model that a price row names, with its place
    counted: tuple[tuple[Path, str], ...]  # every model or product that a price of the month counts
    deployed: tuple[tuple[Path, Deployment], ...]  # of all customers
    contracted: tuple[tuple[Path, Contract], ...]  # their contracts
    bounded: tuple[tuple[Path, Bound], ...]  # their budgets, limits and quotas
    declared: Mapping[str, frozenset[str]]  # section → names that stand there, also those with mistakes

    def line(self, *path: str | int) -> int:
        return self.places.line(path)


def read(text: str, name: str) -> CatalogFile:
    """Read a file as far as it can be read; raises CatalogBroken at once only if it is no TOML at all."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if len(text) > LARGEST:
        raise CatalogBroken(name, [Issue(line=1, text="", why=("A catalog file has at most 16 MiB.",))])
    try:
        data = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:  # ValueError: also an integer of more digits than Python reads
        raise CatalogBroken(name, [syntax_issue(text, str(error))]) from None
    report = Report(Places(text))
    secrets = report.hide_secrets(data)
    for path in numbers_out_of_range(data):
        report.add(path, "A number here is finite and has at most 60 digits.")
    return _Reader(report, _without(data, secrets), name).file()


class _Reader:
    """Reads one file's sections."""

    def __init__(self, report: Report, data: Mapping[str, object], name: str) -> None:
        self.report, self.name = report, name
        self.root = Fields(report, (), data)
        self.price_rows = PriceRows(report)
        self.buyers = Buyers(report, self.price_rows)

    def file(self) -> CatalogFile:
        if self.root.whole("format", required=True) not in (0, 1):
            self.report.add(("format",), "This version reads format 1.")
        facts = self.root.facts("operator")
        supply = Supply(self.report)
        vendors = {name: supply.vendor(name, each) for name, each in self._named("vendor").items()}
        upstreams = {name: supply.upstream(name, each) for name, each in self._named("upstream").items()}
        models = {name: supply.model(name, each) for name, each in self._named("model").items()}
        versions = Books(self.report, self.price_rows).versions(self.root.inner("book"))
        customers = {name: self.buyers.customer(name, each) for name, each in self._named("customer").items()}
        self.root.done("settlement", "product", "policy", "tax", "fx", "user")
        if self.root.has("operator"):
            check_operator(Fields(self.report, ("operator",), facts))
        catalog = Catalog(
            operator=Operator(facts) if facts else None, vendors=vendors, upstreams=upstreams, models=models,
            versions=tuple(version for _, version in versions), customers=customers,
        )  # fmt: skip
        sections = ("vendor", "upstream", "model", "book", "customer")
        tables = {section: self.root.raw(section) for section in sections}
        return CatalogFile(
            name=self.name, catalog=catalog, issues=tuple(self.report.issues), places=self.report.places,
            version_paths=tuple(path for path, _ in versions), priced=tuple(self.price_rows.priced),
            counted=tuple(self.price_rows.counted), deployed=tuple(self.buyers.deployed),
            contracted=tuple(self.buyers.contracted), bounded=tuple(self.buyers.bounded),
            declared={key: frozenset(each if isinstance(each, Mapping) else ()) for key, each in tables.items()},
        )  # fmt: skip

    def _named(self, section: str) -> dict[str, Fields]:
        """The tables of a section by name; bad names and what is no table are reported."""
        group = self.root.inner(section)
        found = {}
        for name in group.table if group else ():
            assert group is not None
            entry = group.inner(name)
            if entry is not None and good_name(self.report, entry.path, name):
                found[name] = entry
        return found


def syntax_issue(text: str, message: str) -> Issue:
    """What tomllib says, as an issue."""
    lines = text.split("\n")
    found = _TOML_PLACE.fullmatch(message)
    what = found[1] if found else "it is nested too deeply" if "recursion" in message else message
    line = int(found[2]) if found and found[2] else max(1, len(text.rstrip().split("\n")))
    column = f", column {found[3]}" if found and found[3] else ", at the end of the file"
    shown = _SECRET_LINE.sub(r"\1\2…", lines[line - 1].strip())[:100]
    return Issue(line=line, text=shown, why=(f"This is not TOML: {what[:1].lower()}{what[1:]}{column}.",))


def _without(data: Mapping[str, object], paths: set[Path], here: Path = ()) -> dict[str, object]:
    """The data without the fields at `paths`: a secret is reported once and read nowhere."""
    found: dict[str, object] = {}
    for name, value in data.items():
        path = (*here, name)
        if path not in paths:
            found[name] = _without(value, paths, path) if isinstance(value, Mapping) else value
    return found
