"""What a report is made of, cut into the months that its figures are about, and how its inputs are named."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import date

import msgspec
from msgspec.structs import replace

from entrepot.insight.dependence import OWN
from entrepot.insight.entries import Entered
from entrepot.insight.facts import BESIDE_USAGE, UNNAMED, Facts, NothingSold, Sale, Standing, label, weakest
from entrepot.insight.fiscal import CALENDAR, months_between
from entrepot.insight.report.assumed import Case
from entrepot.insight.report.board import Figure, Notes
from entrepot.insight.report.language import Language, Money, money
from entrepot.insight.signs import Used

#: What a share of the months before is shown for.
MOST_MONTHS = 13
_NAMED = 3
#: Of a SHA-256: enough to compare by eye with what `report run` prints again.
_FINGERPRINT = 12


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What customers, control groups as one, used on the days in [starts_on, until)."""

    starts_on: str
    until: str
    used: tuple[Used, ...]


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """`facts` of up to MOST_MONTHS months, the last one `month`; `made_on` the day on which they were gathered.
    `made_by` names the vendors of models, for substitutes that nothing was sold of;
    `vendors` are their names for people, by id; `watched` the days in which early signs are looked for."""

    service: str
    month: str
    facts: Facts
    made_on: date
    entered: Entered = Entered()
    cases: tuple[Case, ...] = ()
    year_starts: str = CALENDAR
    made_by: Mapping[str, str] = {}
    vendors: Mapping[str, str] = {}
    watched: Watched | None = None


class Sheet:
    """What both pages write with: the words, the unit of money, the footnotes."""

    def __init__(self, material: Material, language: Language) -> None:
        self.material, self.language, self.notes = material, language, Notes()
        self.now = of_month(material.facts, material.month)
        self.before = before(material)
        if self.now.total() <= 0:
            base = self.now.base
            what = "more was credited than sold" if self.now.sales else "nothing was sold"
            raise NothingSold(
                f"{base.kind} revenue of {material.month}: {what}, so there is nothing to report; "
                f"entrepot invoice list --month {material.month} shows what was issued"
            )
        self.money: Money = money(language, self.now.base, self.now.total())

    def figure(self, text: str, facts: Facts, how: str, **values: str) -> Figure:
        """A figure made of all of `facts`; `how` names the footnote that says in which way."""
        standing = facts.standing
        say = self.language.notes
        letter = say["inputs"].format(letter=self.notes.letter(self.inputs(facts)))
        return self.stated(text, standing, f"{say[how].format(**values)} {letter}")

    def part(self, text: str, own: Facts, how: str, **values: str) -> Figure:
        """A part of the whole month: no better known than either of them."""
        say = self.language.notes
        standing = weakest([own.standing, self.now.standing])
        letters = [self.notes.letter(self.inputs(each)) for each in (own, self.now)]
        note = f"{say[how].format(**values)} {say['inputs'].format(letter=', '.join(dict.fromkeys(letters)))}"
        return self.stated(text, standing, note)

    def stated(self, text: str, standing: Standing, note: str) -> Figure:
        return Figure(text=text, standing=standing, notes=(self.notes.cite(note, standing),))

    def name(self, label: str) -> str:
        return self.material.facts.names.get(label, label)

    def vendor(self, id: str) -> str:
        words = self.language.words
        own = {OWN: words["own_models"], UNNAMED: words["no_vendor"], BESIDE_USAGE: words["beside_usage"]}
        return own.get(id) or self.material.vendors.get(id, id)

    def inputs(self, facts: Facts) -> str:
        """Documents, ledger or reports that the facts were gathered from, with a fingerprint of all of them."""
        say = self.language.notes
        parts = [(sale.standing, *source_of(sale)) for sale in facts.sales]
        documents = sorted({document for _, document, _ in parts} - {"", "ledger"})
        told = []
        if documents:
            named = set(documents)
            told.append(
                say["documents" if len(documents) > 1 else "document"].format(
                    count=self.language.number(str(len(documents))), first=documents[0], last=documents[-1],
                    fingerprint=fingerprint((name, sha256) for name, sha256 in facts.inputs if name in named),
                )
            )  # fmt: skip
        if any(document == "ledger" for _, document, _ in parts):
            told.append(say["ledger"].format(fingerprint=fingerprint(facts.inputs)))
        return "; ".join([*told, *sources(facts, self.language)]) or say["nothing"]

    def rest(self, there: int, most: int) -> str:
        """Says so where a table holds the first of many."""
        if there <= most:
            return ""
        number = self.language.number
        return self.language.words["first_of"].format(shown=number(str(most)), all=number(str(there)))


def sources(facts: Facts, language: Language) -> list[str]:
    """Whose figures the sales rest on that are not from our books: the first of them, and how many more."""
    parts = [(sale.standing, source_of(sale)[1]) for sale in facts.sales]
    said = list(dict.fromkeys(f"{language.words[standing]}: {said}" for standing, said in parts if said))
    if not said:
        return []
    return ["; ".join(said[:_NAMED]) + (f" (+{len(said) - _NAMED})" if len(said) > _NAMED else "")]


def source_of(sale: Sale) -> tuple[str, str]:
    """Document and what its amount rests on: `R-7, assumed: …` is ("R-7", "…"). Books may be loaded with figures
    that somebody reported or assumed; an invoice over them is no better than they are."""
    if sale.standing == "books":
        return sale.source, ""
    document, _, said = sale.source.partition(f"{sale.standing}: ")
    return document.removesuffix(", "), said


def of_month(facts: Facts, month: str) -> Facts:
    """Its sales, on a base of that month only."""
    year, number = int(month[:4]), int(month[5:])
    until = f"{year + number // 12:04d}-{number % 12 + 1:02d}-01"
    base = replace(facts.base, starts_on=f"{month}-01", until=until)
    return replace(facts, base=base, sales=tuple(sale for sale in facts.sales if sale.month == month))


def before(material: Material) -> Facts | None:
    """The month before, where the facts reach it and something was sold in it."""
    months = months_between(material.facts.base.starts_on[:7], material.month)
    found = of_month(material.facts, months[-1]) if months else None
    return found if found is not None and found.total() > 0 else None


def of_group(facts: Facts, name: str) -> Facts:
    """What one customer with its control group bought."""

    def belongs(sale: Sale) -> bool:
        return label(sale, "group") == name

    return facts.where(belongs)


def fingerprint(inputs: Iterable[tuple[str, str]]) -> str:
    """Of names and hashes, in the order of the names: the same inputs, the same twelve digits."""
    lines = "".join(f"{name} {sha256}\n" for name, sha256 in sorted(inputs))
    return hashlib.sha256(lines.encode()).hexdigest()[:_FINGERPRINT]
