"""What the books are loaded with: amounts per customer and month, each with its standing and source, and what they were
spent on. `by-share.toml`, `by-rate.toml`, `usage.toml`."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import msgspec

from entrepot.catalog.fields import Fields, Report, exact
from entrepot.catalog.issues import CatalogBroken, Issue
from entrepot.catalog.lines import Places
from entrepot.catalog.toml_text import string
from entrepot.insight.facts import Standing
from entrepot.kernel.instants import Instant, parse
from entrepot.kernel.money import split

_MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")
EVERYBODY = "*"


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer spends in a month, in cents."""

    customer: str
    month: str
    cents: int
    standing: Standing
    source: str


class Loading(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two. The amounts of a month add up to `cents`; `called` is the whole in words."""

    title: str
    called: str
    months: tuple[str, ...]
    cents: int
    standings: Mapping[str, Standing]  # of the whole, by month
    source: str
    amounts: tuple[Amount, ...]
    others: tuple[str, ...]  # ids of the customers that stand for the rest


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """A part of what a customer spends, by month in percent; `starts_at` 0: from the first day."""

    deployment: str
    project: str
    percent: tuple[int, ...]
    starts_at: Instant = 0


class Habits(msgspec.Struct, frozen=True, kw_only=True):
    """What the money was spent on. `uses` has everybody else under `*`."""

    output_percent: int
    tokens_per_call: int
    uses: Mapping[str, tuple[Use, ...]]
    industries: tuple[str, ...]
    countries: tuple[str, ...]

    def of(self, customer: str) -> tuple[Use, ...]:
        return self.uses.get(customer) or self.uses[EVERYBODY]


def read_loading(text: str, name: str) -> Loading:
    """Raises CatalogBroken with every mistake and its line."""
    root = _root(text, name)
    report, title = root.report, root.text("title", required=True)
    months = tuple(month for _, month in root.texts("months", required=True))
    if not months or not all(map(_MONTH.fullmatch, months)):
        report.add(("months",), 'months is a list of months: ["2024-03", "2024-04"].')
    whole = root.inner("whole") or Fields(report, ("whole",), {})
    cents, said = _cents(whole, "amount"), _reported(whole, months)
    called, source = whole.text("called", required=True), whole.text("source", required=True)
    whole.done()
    amounts = [each for row in root.rows("customer", required=True) for each in _amounts(row, months)]
    others = root.inner("others") or Fields(report, ("others",), {})
    count, why = others.whole("count", 1, least=1, required=True), others.text("source", required=True)
    others.done()
    root.done()
    names = tuple(f"other-{number:02d}" for number in range(1, count + 1))
    for month in months:
        left = cents - sum(each.cents for each in amounts if each.month == month)
        if left < count:
            report.add(("whole",), f"The customers of {month} come to more than the whole leaves for {count} others.")
            break
        parts = split(left, [1] * count)
        amounts += [
            Amount(customer=who, month=month, cents=part, standing="assumed", source=why)
            for who, part in zip(names, parts, strict=True)
        ]
    _refuse(name, report)
    return Loading(
        title=title, called=called, months=months, cents=cents, source=source, amounts=tuple(amounts), others=names,
        standings={month: "reported" if month in said else "assumed" for month in months},
    )  # fmt: skip


def read_habits(text: str, name: str, months: int) -> Habits:
    """Raises CatalogBroken with every mistake and its line."""
    root = _root(text, name)
    report, uses = root.report, {}
    output_percent, per_call = root.whole("output_percent", least=1), root.whole("tokens_per_call", least=1)
    for each in root.rows("use", required=True):
        customer = each.text("customer", required=True)
        rows = [_use(row, months) for row in each.rows("rows", required=True)]
        each.done()
        sums = [sum(row.percent[at] for row in rows if len(row.percent) == months) for at in range(months)]
        if any(total != 100 for total in sums):
            report.add(each.path, f"The percents of {customer} come to {sums}, not to 100 in each month.")
        uses[customer] = tuple(rows)
    if EVERYBODY not in uses:
        report.add((), 'Nothing says what everybody else uses: [[use]] customer = "*".')
    others = root.inner("others") or Fields(report, ("others",), {})
    industries = tuple(each for _, each in others.texts("industries", required=True))
    countries = tuple(each for _, each in others.texts("countries", required=True))
    if not industries or not countries:
        report.add(("others",), "others names at least one industry and one country.")
    others.done()
    root.done()
    _refuse(name, report)
    return Habits(
        output_percent=output_percent, tokens_per_call=per_call, uses=uses, industries=industries, countries=countries
    )


def others_catalog(loading: Loading, habits: Habits) -> str:
    """The customers that stand for the rest, as a catalog file: applied after catalog.toml."""
    blocks = ["# Assumed customers: no report says who else buys. Made by the case from usage.toml.\nformat = 1\n"]
    for at, name in enumerate(loading.others):
        industry, country = habits.industries[at % len(habits.industries)], habits.countries[at % len(habits.countries)]
        blocks.append(
            f'[customer.{name}]\nabout = {{ name = "Other customer {at + 1}", industry = "{industry}" }}\n'
            f'address = {{ street = "placeholder", postcode = "00000", city = "placeholder", country = "{country}" }}\n'
            f'contract = {{ id = "{name.upper()}", book = "list", from = 2024-01-01T00:00:00Z }}\n'
            'pays = { by = "invoice", credit_limit = 20_000_000.00 }\n'
        )
    return "\n".join(blocks)


def loaded_entries(loading: Loading) -> str:
    """Whose amounts are reported and whose are assumed, as entered figures: so that no sale of these books is taken for
    more than it is."""
    rows = [Amount(customer="", month="", cents=0, standing="assumed", source="")]
    rows += [each for each in loading.amounts if each.customer not in loading.others]
    why = next(each.source for each in loading.amounts if each.customer in loading.others)
    blocks = ["# Made by the case: what these books were loaded with.\nformat = 1\n"]
    for each in rows:
        whole = "" if each.customer else f"whole = {string(loading.called)}\n"
        who = f'customer = "{each.customer}"\nmonth = "{each.month}"\n' if each.customer else ""
        blocks.append(
            f'[[loaded]]\n{who}{whole}standing = "{each.standing}"\nsource = {string(each.source or why)}\n'
        )
    return "\n".join(blocks)


def load(folder: Path, name: str) -> tuple[Loading, Habits]:
    """A loading by name (`by-share`), with the habits beside it."""
    loading = read_loading((folder / f"{name}.toml").read_text(encoding="utf-8"), f"{name}.toml")
    habits = read_habits((folder / "usage.toml").read_text(encoding="utf-8"), "usage.toml", len(loading.months))
    return loading, habits


def _root(text: str, name: str) -> Fields:
    try:
        data = tomllib.loads(text, parse_float=Decimal)
    except ValueError as error:
        raise CatalogBroken(name, [Issue(line=1, text="", why=(f"This is not TOML: {error}.",))]) from None
    root = Fields(Report(Places(text)), (), data)
    if root.whole("format", required=True) not in (0, 1):
        root.report.add(("format",), "This version reads format 1.")
    return root


def _refuse(name: str, report: Report) -> None:
    if report.issues:
        raise CatalogBroken(name, report.issues)


def _cents(fields: Fields, name: str) -> int:
    return _in_cents(fields, name, fields.raw(name))


def _in_cents(fields: Fields, name: str, value: object) -> int:
    amount = exact(value)
    if amount is None or amount * 100 % 1 or not amount:
        fields.report.add(fields.at(name), f"{name} is an amount of money above 0, in whole cents.")
        return 1
    return int(amount * 100)


def _reported(fields: Fields, months: Sequence[str]) -> set[str]:
    """The months for which a report gives the amount; in others it is assumed."""
    said = {month for _, month in fields.texts("reported")}
    for unknown in sorted(said - {*months}):
        fields.report.add(fields.at("reported"), f'"{unknown}" is none of the months of this file.')
    return said


def _amounts(row: Fields, months: Sequence[str]) -> list[Amount]:
    customer, source = row.text("id", required=True), row.text("source", required=True)
    given = row.raw("amounts")
    said = _reported(row, months)
    row.done()
    if not isinstance(given, list) or len(given) != len(months):
        row.report.add(row.at("amounts"), f"amounts is a list of {len(months)} amounts, one per month.")
        return []
    return [
        Amount(
            customer=customer, month=month, cents=_in_cents(row, "amounts", value), source=source,
            standing="reported" if month in said else "assumed",
        )
        for month, value in zip(months, given, strict=True)
    ]  # fmt: skip


def _use(row: Fields, months: int) -> Use:
    given, day = row.raw("percent"), row.raw("from")
    if not isinstance(given, list) or len(given) != months or any(type(each) is not int or each < 0 for each in given):
        row.report.add(row.at("percent"), f"percent is a list of {months} whole numbers, one per month.")
        given = []
    starts_at = _midnight(row, day)
    use = Use(
        deployment=row.text("deployment", required=True), project=row.text("project", "default"),
        percent=tuple(given), starts_at=starts_at,
    )  # fmt: skip
    row.done()
    return use


def _midnight(row: Fields, day: object) -> Instant:
    if day is None:
        return 0
    if not isinstance(day, date) or isinstance(day, datetime):
        row.report.add(row.at("from"), "from is a date: 2024-05-13.")
        return 0
    return parse(day.isoformat())
