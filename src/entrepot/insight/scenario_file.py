"""The scenario file: TOML text → scenario and assumptions, with every mistake and its line.

Format 1. A turn's own numbers are the scenario and may stand bare; any other figure says where it comes from:
{ value = 0.02, standing = "assumed", source = "…" }. What this version cannot act on is refused by name.
"""

import tomllib
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final, TypeVar, cast

from entrepot.catalog.fields import Fields, Report, exact, numbers_out_of_range
from entrepot.catalog.file import syntax_issue
from entrepot.catalog.issues import Issue, show
from entrepot.catalog.lines import Places
from entrepot.insight.assumptions import MONTHS_AHEAD, Assumptions
from entrepot.insight.facts import DIMENSIONS, Dimension, InsightError, Standing
from entrepot.insight.given import Given
from entrepot.insight.obligation import ENDLESS, Capacity, Commitment, Minimum
from entrepot.insight.scenario import Scenario
from entrepot.insight.turns import AnyTurn, Dearer, FeeLowered, Leaves, ToMinimum
from entrepot.insight.who import Who

_T = TypeVar("_T")
LARGEST: Final = 256 * 1024
MOST_MONTHS: Final = 120
MOST_TURNS: Final = 50
_ENTERED: Final[tuple[Standing, ...]] = ("reported", "assumed")
_WHATS: Final = ("leaves", "dearer", "minimum", "fee")
_CUTS: Final[tuple[Dimension, ...]] = tuple(each for each in DIMENSIONS if each not in ("own", "month", "standing"))


class ScenarioBroken(InsightError):
    """The file has mistakes; nothing was worked out."""

    code = "scenario_broken"

    def __init__(self, file: str, issues: Iterable[Issue]) -> None:
        self.issues = sorted(set(issues), key=lambda issue: (issue.line, issue.text, issue.why))
        super().__init__(show(file, self.issues))


def read_scenario(text: str, file: str) -> tuple[Scenario, Assumptions]:
    """`file` is its name for messages; the scenario's own is that without `.toml`. Raises ScenarioBroken with every
    mistake at once."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if len(text) > LARGEST:
        raise ScenarioBroken(file, [Issue(line=1, text="", why=("A scenario file has at most 256 KiB.",))])
    try:
        data = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise ScenarioBroken(file, [syntax_issue(text, str(error))]) from None
    report = Report(Places(text))
    for path in numbers_out_of_range(data):
        report.add(path, "A number here is finite and has at most 60 digits.")
    found = _Reader(report, Fields(report, (), data), file).read()
    if report.issues:
        raise ScenarioBroken(file, report.issues)
    return found


class _Reader:
    def __init__(self, report: Report, root: Fields, file: str) -> None:
        self.report, self.root = report, root
        self.name = file.replace("\\", "/").rpartition("/")[2].removesuffix(".toml")
        self.amounts = False

    def read(self) -> tuple[Scenario, Assumptions]:
        root = self.root
        if root.whole("format", required=True) not in (0, 1):
            self.report.add(("format",), "This version reads format 1.")
        title, story = root.text("title", required=True), root.text("story")
        currency = root.text("currency")
        rows = root.rows("turn")
        if len(rows) > MOST_TURNS:
            self.report.add(("turn",), f"A scenario has at most {MOST_TURNS} turns.")
        turns = tuple(each for each in (self._turn(row, title) for row in rows[:MOST_TURNS]) if each is not None)
        given = self._assumptions(root.inner("assumed"))
        root.done()
        if self.amounts and not currency:
            self.report.add((), 'currency is missing; amounts are in one: currency = "USD".')
        return Scenario(name=self.name, title=title, turns=turns, currency=currency, story=story), given

    def _turn(self, row: Fields, title: str) -> AnyTurn | None:
        what = row.text("what", required=True)
        who = self._who(row)
        start, over = row.whole("from_month", 1, least=1), row.whole("over_months", 1, least=1)
        if start + over - 1 > MOST_MONTHS:
            self.report.add(row.at("over_months"), f"A scenario looks at most {MOST_MONTHS} months ahead.")

        def own(name: str, most: int | None = 1) -> Given | None:
            return self._figure(row, name, most=most, scenario=title)

        turn: AnyTurn | None = None
        if what == "leaves":
            share = own("share") if row.has("share") else Given(value=Decimal(1), standing="assumed", source=title)
            received = own("received")
            if share:
                turn = Leaves(who=who, start=start, over=over, share=share, received=received)
        elif what == "dearer":
            chain = [("price rise", own("rise", None)), ("of the vendor's cost, that supply", own("part")),
                     ("passed on by the vendor", own("passed_on"))]  # fmt: skip
            rise = tuple((words, figure) for words, figure in chain if figure)
            if not row.has("rise"):
                self.report.add(row.path, "rise is missing; 0.2 is 20 % more.")
            turn = Dearer(who=who, start=start, over=over, rise=rise, handed_on=own("handed_on"), lost=own("lost"),
                          capacity=own("capacity"))  # fmt: skip
        elif what == "minimum":
            turn = ToMinimum(who=who, start=start, over=over)
        elif what == "fee":
            if not row.has("cut"):
                self.report.add(row.path, "cut is missing; 0.3 lowers the minimum by 30 %.")
            cut = own("cut")
            if cut:
                turn = FeeLowered(who=who, start=start, over=over, cut=cut)
        elif row.has("what"):
            self.report.add(row.at("what"), f"what is one of {', '.join(_WHATS)}.")
            return None
        row.done()
        return turn

    def _who(self, row: Fields) -> Who:
        """`customer = "a"` or `["a", "b"]`, any other cut alike; `largest = 1` or `{ group = 1, region = 1 }`."""
        named = []
        for cut in _CUTS:
            value = row.raw(cut)
            if value is None:
                continue
            names = value if isinstance(value, list) else [value]
            if not names or not all(isinstance(each, str) and each for each in names):
                self.report.add(row.at(cut), f"{cut} is a name, or a list of names.")
            else:
                named.append((cut, tuple(names)))
        return Who(named=tuple(named), largest=self._largest(row))

    def _largest(self, row: Fields) -> tuple[tuple[Dimension, int], ...]:
        value = row.raw("largest")
        if value is None:
            return ()
        table = value if isinstance(value, dict) else {"group": value}
        found = []
        for dimension, count in table.items():
            if dimension not in (*_CUTS, "own") or type(count) is not int or not 1 <= count <= 10_000:
                self.report.add(
                    row.at("largest"),
                    "largest is a number of customers, or a table of cuts: { group = 1, region = 1 }.",
                    f"Cuts are {', '.join(_CUTS)}.",
                )
            else:
                found.append((cast(Dimension, dimension), count))
        return tuple(found)

    def _assumptions(self, table: Fields | None) -> Assumptions:
        months = MONTHS_AHEAD
        growth = costs = fixed = cash = None
        if table is not None:
            months = table.whole("months", MONTHS_AHEAD, least=1)
            if months > MOST_MONTHS:
                self.report.add(table.at("months"), f"A scenario looks at most {MOST_MONTHS} months ahead.")
            growth = self._figure(table, "growth", most=10)
            costs = self._figure(table, "costs", most=None)
            fixed, cash = self._amount(table, "fixed_costs"), self._amount(table, "cash")
            table.done()
        return Assumptions(
            months=months, growth=growth, costs=costs, fixed=fixed, cash=cash,
            minima=tuple(self._each("minimum", self._minimum)),
            commitments=tuple(self._each("commitment", self._commitment)),
            capacities=tuple(self._each("capacity", self._capacity)),
        )  # fmt: skip

    def _each(self, section: str, read: Callable[[Fields], _T]) -> Iterable[_T]:
        for row in self.root.rows(section):
            yield read(row)
            row.done()

    def _minimum(self, row: Fields) -> Minimum:
        amount, part = self._amount_or_part(row)
        return Minimum(who=self._who(row), amount=amount, part=part, used=self._figure(row, "used"),
                       months_left=row.whole("months_left", 0))  # fmt: skip

    def _commitment(self, row: Fields) -> Commitment:
        amount, part = self._amount_or_part(row)
        return Commitment(name=row.text("name", required=True), who=self._who(row), amount=amount, part=part,
                          months_left=row.whole("months_left", ENDLESS))  # fmt: skip

    def _capacity(self, row: Fields) -> Capacity:
        amount, part = self._amount_or_part(row)
        return Capacity(
            name=row.text("name", required=True), who=self._who(row), amount=amount, part=part,
            redeployed_after=row.whole("redeployed_after_months", ENDLESS, least=1),
            redeployed=self._figure(row, "redeployed"),
        )  # fmt: skip

    def _amount_or_part(self, row: Fields) -> tuple[Given | None, Given | None]:
        if row.has("amount") == row.has("part"):
            self.report.add(row.path, "Give amount (a month, in the currency) or part (of what is paid now), not both.")
        return self._amount(row, "amount"), self._figure(row, "part", most=None)

    def _amount(self, row: Fields, name: str) -> Given | None:
        self.amounts = self.amounts or row.has(name)
        return self._figure(row, name, most=None)

    def _figure(self, row: Fields, name: str, *, most: int | None = 1, scenario: str = "") -> Given | None:
        """An entered figure of at least 0. With `scenario`, a bare number is what the scenario supposes."""
        value = row.raw(name)
        if value is None:
            return None
        bare = exact(value)
        if bare is not None and scenario:
            return self._bounded(row, name, Given(value=bare, standing="assumed", source=scenario), most)
        if not isinstance(value, dict):
            also = "a number, or " if scenario else ""
            self.report.add(row.at(name), f"{name} is {also}" + '{ value = …, standing = "assumed", source = "…" }.')
            return None
        inner = Fields(self.report, row.at(name), value)
        number = exact(inner.raw("value"))
        if number is None:
            self.report.add(inner.at("value"), "value is a number of at least 0.")
        standing = inner.text("standing", required=True)
        if inner.has("standing") and standing not in _ENTERED:
            self.report.add(
                inner.at("standing"), 'standing is "reported" or "assumed"; what the books say is not entered.'
            )
        source = inner.text("source", required=True)
        if inner.has("source") and not source.strip():
            self.report.add(inner.at("source"), "source says where the figure comes from; it is empty.")
        inner.done()
        if number is None:
            return None
        return self._bounded(
            row, name, Given(value=number, standing=cast(Standing, standing), source=source), most
        )  # fmt: skip

    def _bounded(self, row: Fields, name: str, figure: Given, most: int | None) -> Given:
        if most is not None and figure.value > most:
            self.report.add(row.at(name), f"{name} is a share: 0.25 is 25 %; at most {most}.")
        return figure
