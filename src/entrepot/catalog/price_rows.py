"""The rows of a price book or of a contract: what one row says, with every mistake at its place."""

import re
from collections.abc import Mapping
from decimal import Decimal

from entrepot.catalog.fields import LATER, Fields, Report, exact, good_name
from entrepot.catalog.issues import did_you_mean
from entrepot.catalog.lines import Path
from entrepot.catalog.prices import (
    ALWAYS,
    ANY,
    METERS,
    PER_DEFAULT,
    REQUEST,
    CostPlus,
    Period,
    PeriodPrice,
    PriceRow,
    Scope,
    Steps,
    Thing,
    When,
    hours_of,
)

#: What runs by time, or comes as a package: named, so that nobody takes it for a slip.
_LATER = ("price", "tokens", "by", "includes", "package", "volume")
#: A call has these, and usage is not summed by them.
_NOT_IN_KEY = ("user", "stream", "output_over", "cached_over", "latency_ms", "minutes", "weekdays")
_KEY = "service tier, zone, bracket of the request and hour"
_MATCHING = "percent_of_matching_standard"
_SHARES = ("percent", "of", "minimum", "at_least")
#: What an answer calls the tier that everybody gets; a row without `tier` is its price.
_STANDARD = ("auto", "default", "standard")
_PERCENT_MOST = 1_000
#: In the currency's unit, for one token or request: a row that says more has a slip in its `per`.
_MOST_FOR_ONE = 1_000_000
_PATTERN = re.compile(r"[A-Za-z0-9._-]{0,63}\*")
_HOURS = re.compile(r"([01]\d|2[0-3])-([01]\d|2[0-4])")
_SCOPES: tuple[Scope, ...] = ("customer", "contract", "project")
_PERIODS: tuple[Period, ...] = ("month", "quarter", "contract year")


class PriceRows:
    """Reads rows. `priced` is every model that a row names, `counted` every name that a price of the month counts."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.priced: list[tuple[Path, str]] = []
        self.counted: list[tuple[Path, str]] = []

    def rows(
        self, fields: Fields, *, required: bool = False, of_vendor: bool = False
    ) -> tuple[PriceRow, ...]:
        """The `prices` of one version or contract; each thing has one price in them."""
        seen: dict[Thing, Path] = {}
        found = []
        for each in fields.rows("prices", required=required):
            row = self._row(each, of_vendor)
            if row is None:
                continue
            for thing in row.says():
                self._once(each, thing, seen)
            found.append(row)
        return tuple(found)

    def _once(self, fields: Fields, thing: Thing, seen: dict[Thing, Path]) -> None:
        place = fields.at(thing.bucket) if fields.has(thing.bucket) else fields.path
        before = seen.setdefault(thing, place)
        if before != place:
            line = self.report.places.line(before)
            why = f"{thing} has two prices in this version: this one and that of line {line}."
            self.report.add(place, why, 'Remove one of them, or say which meters this row is for: meters = ["input"].')

    def _row(self, fields: Fields, of_vendor: bool) -> PriceRow | None:
        if isinstance(fields.raw("per"), str):
            said = fields.table["per"]
            self.report.add(fields.at("per"), f'per = "{said}" is {LATER}: per is a number of tokens.')
            return None
        before = len(self.report.issues)
        product = fields.text("product")
        row = self._product(fields, product, of_vendor) if product else self._of_usage(fields, of_vendor)
        for name in _NOT_IN_KEY:
            if fields.has(name):
                fields.raw(name)
                why = f"Usage is summed by {_KEY} among others, not by {name}: a price cannot depend on it."
                self.report.add(fields.at(name), why, "Remove the condition, or sell it as a model of its own.")
        fields.done(*_LATER)
        return row if len(self.report.issues) == before else None

    def _of_usage(self, fields: Fields, of_vendor: bool) -> PriceRow:
        model = self._model(fields)
        when = self._when(fields)
        per = fields.whole("per", PER_DEFAULT, least=1)
        prices = {meter: price for meter in METERS if (price := self._price(fields, meter, per)) is not None}
        steps = self._all_steps(fields, per)
        percent = self._percent(fields, when)
        cost_plus = self._cost_plus(fields)
        included = fields.text("included").strip()
        if fields.has("included") and not included:
            self.report.add(fields.at("included"), 'included is the reason: included = "part of the base fee".')
        said = {"prices": prices or steps, _MATCHING: percent is not None, "cost_plus": cost_plus, "included": included}
        ways = [name for name, each in said.items() if each]
        if len(ways) > 1:
            self.report.add(fields.path, f"A row has one way to make its price, not both {ways[0]} and {ways[1]}.")
        elif not ways and not any(fields.has(name) for name in (*METERS, _MATCHING, "included", *_LATER, *_SHARES)):
            what = f"Prices are {', '.join(METERS)}; or cost_plus_percent, included, {_MATCHING}."
            self.report.add(fields.path, f"This row names no price. {what}")
        if per != PER_DEFAULT and ways == ["prices"] and {*prices, *steps} == {REQUEST}:
            self.report.add(fields.at("per"), "per is of tokens; the price of a request is for one.")
        if of_vendor and (steps or cost_plus):
            way = "steps" if steps else "cost_plus"
            why = f"A cost book says what the vendor asks for one: {way} is for list books and contracts."
            self.report.add(fields.at(next(iter(steps), "")) if steps else fields.path, why)
        return PriceRow(
            model=model, prices=prices, per=per, when=when, percent=percent, steps=steps, cost_plus=cost_plus,
            included=included, meters=self._meters(fields, cost_plus is not None or bool(included)),
        )  # fmt: skip

    def _model(self, fields: Fields) -> str:
        model = fields.text("model", required=True)
        if ANY not in model:
            self.priced += [(fields.at("model"), model)] if model else []
        elif not _PATTERN.fullmatch(model):
            why = f'"{model}" is no pattern: the star is its last letter, as in "aurora-*", and "*" is every model.'
            self.report.add(fields.at("model"), why)
        return model

    def _price(self, fields: Fields, meter: str, per: int) -> Decimal | None:
        value = fields.raw(meter)
        if not fields.has(meter) or isinstance(value, list):
            return None
        return self._exact(fields.at(meter), meter, value, per)

    def _exact(self, place: Path, name: str, value: object, per: int) -> Decimal | None:
        price = exact(value)
        if price is None:
            self.report.add(place, f"{name} is a price: a number of at least 0, at most 18 places.")
        elif price > _MOST_FOR_ONE * (1 if name == REQUEST else per):
            self.report.add(place, f"This is more than {_MOST_FOR_ONE:,} for one: is its per missing?")
        return price

    def _all_steps(self, fields: Fields, per: int) -> dict[str, Steps]:
        graduated = [meter for meter in METERS if isinstance(fields.raw(meter), list)]
        if not graduated:
            if fields.has("steps"):
                why = "steps says whose and of which period they are; the price is a list of them:"
                self.report.add(fields.at("steps"), why, "input = [{ first = 1_000_000, price = 2 }, { price = 1 }].")
            return {}
        scope, period = self._scope(fields)
        found = {}
        for meter in graduated:
            rows = self._steps(fields, meter, per)
            if rows:
                found[meter] = Steps(scope=scope, period=period, rows=rows)
        return found

    def _scope(self, fields: Fields) -> tuple[Scope, Period]:
        said = fields.raw("steps")
        place = fields.at("steps") if fields.has("steps") else fields.path
        if isinstance(said, Mapping):
            why = "Steps count one meter of a model: to count several together the order of calls would be needed, "
            self.report.add(place, f'{why}and usage is kept as sums. Write steps = "customer, month".')
            return "customer", "month"
        scope, _, period = said.partition(", ") if isinstance(said, str) else ("", "", "")
        if scope in _SCOPES and period in _PERIODS:
            return scope, period
        why = f"steps says whose and of what: steps = \"customer, month\". Known are {', '.join(_SCOPES)}"
        self.report.add(place, f"{why}; {', '.join(_PERIODS)}.")
        return "customer", "month"

    def _steps(self, fields: Fields, meter: str, per: int) -> tuple[tuple[int | None, Decimal], ...]:
        """The rows of one graduated price: each step ends above the one before, and the last has no end."""
        given = fields.rows(meter)
        found: list[tuple[int | None, Decimal]] = []
        end = 0
        for number, each in enumerate(given, 1):
            last = number == len(given)
            first = each.whole("first", least=1) if each.has("first") else None
            place = each.at("price") if each.has("price") else each.path
            price = self._exact(place, meter, each.raw("price"), per)
            each.done()
            if last and first is not None:
                self.report.add(each.at("first"), "The last step has no end: it is the price of all that follows.")
            elif not last and first is None:
                self.report.add(each.path, "Only the last step is without first: say how many have this price.")
            elif first is not None and first <= end:
                why = f"Steps rise: first counts from the beginning of the period, and the step before ends at {end:,}."
                self.report.add(each.at("first"), why)
            end = first or end
            if price is not None:
                found.append((first, price))
        if len(given) == 1:
            self.report.add(fields.at(meter), f"One step is none: write {meter} = its price.")
        elif not given:
            self.report.add(fields.at(meter), "A graduated price has at least two steps.")
        return tuple(found)

    def _percent(self, fields: Fields, when: When) -> Decimal | None:
        if not fields.has(_MATCHING):
            return None
        percent = self._per_cent(fields, _MATCHING)
        if percent is not None and not when.tier:
            why = "A percentage is of the price without this row's tier: name the tier, for example batch."
            self.report.add(fields.at(_MATCHING), why)
        return percent

    def _per_cent(self, fields: Fields, name: str) -> Decimal | None:
        percent = exact(fields.raw(name))
        if percent is None or percent > _PERCENT_MOST:
            self.report.add(fields.at(name), f"{name} is a number from 0 to {_PERCENT_MOST:,}.")
            return None
        return percent

    def _cost_plus(self, fields: Fields) -> CostPlus | None:
        if not fields.has("cost_plus_percent") and not fields.has("cost_plus"):
            return None
        zero = Decimal(0)
        percent = self._per_cent(fields, "cost_plus_percent") if fields.has("cost_plus_percent") else zero
        amount = zero
        if fields.has("cost_plus"):
            amount = self._exact(fields.at("cost_plus"), "cost_plus", fields.raw("cost_plus"), PER_DEFAULT) or zero
        return CostPlus(percent=percent or zero, amount=amount)

    def _meters(self, fields: Fields, wanted: bool) -> tuple[str, ...]:
        """Which meters a row is for that names no price itself."""
        named = fields.texts("meters")
        if named and not wanted:
            self.report.add(fields.at("meters"), "meters is for cost_plus and included; a price names its own.")
        for path, name in named:
            if name not in METERS:
                self.report.add(path, f'"{name}" is no meter.{did_you_mean(name, METERS)}')
        if fields.has("meters") and not named:
            self.report.add(fields.at("meters"), f"meters names some of {', '.join(METERS)}; leave it out for all.")
        return tuple(name for _, name in named)

    def _when(self, fields: Fields) -> When:
        tier, zone, hours = fields.text("tier"), fields.text("zone"), fields.text("hours")
        over = fields.whole("request_over", least=1)
        if tier in _STANDARD:
            self.report.add(fields.at("tier"), f'"{tier}" is what every call gets: leave tier out of its price.')
        elif tier and not good_name(self.report, fields.at("tier"), tier):
            tier = ""
        if zone and not good_name(self.report, fields.at("zone"), zone):
            zone = ""
        if fields.has("hours"):
            hours = self._hours(fields, hours)
        return When(tier=tier, zone=zone, request_over=over, hours=hours) if tier or zone or over or hours else ALWAYS

    def _hours(self, fields: Fields, hours: str) -> str:
        found = _HOURS.fullmatch(hours)
        if not found:
            why = 'hours are whole ones of the day, UTC: "08-20" until 20:00, "22-06" across midnight.'
        elif len(hours_of(hours)) == 24:
            why = "These are all hours of the day: leave hours out."
        else:
            return f"{found[1]}-{'24' if found[2] == '00' else found[2]}"
        self.report.add(fields.at("hours"), why)
        return ""

    def _product(self, fields: Fields, product: str, of_vendor: bool) -> PriceRow:
        """What a month costs beside its usage."""
        good_name(self.report, fields.at("product"), product)
        counted = fields.texts("of") or [(fields.path, ANY)]
        least = "minimum" if fields.has("minimum") else "at_least"
        minimum = Decimal(0)
        if fields.has(least):
            minimum = self._exact(fields.at(least), least, fields.raw(least), 1_000_000) or minimum
        percent = self._per_cent(fields, "percent") if fields.has("percent") else None
        if fields.has("minimum") and fields.has("percent"):
            why = "A product is a minimum of the month or a percentage of lines; the least of a percentage is at_least."
            self.report.add(fields.at("minimum"), why)
        elif not fields.has("minimum") and not fields.has("percent"):
            self.report.add(fields.path, f'"{product}" has no price: minimum = 500 a month, or percent = 10 with of.')
        elif percent is None and fields.has("at_least"):
            self.report.add(fields.at("at_least"), "at_least is of a percentage; a minimum is minimum.")
        elif percent is not None and not fields.has("of"):
            self.report.add(fields.path, 'A percentage says of which lines: of = ["aurora-*"], or of = ["*"].')
        if of_vendor:
            self.report.add(fields.path, f"What a vendor asks by the month is {LATER}.")
        for path, name in counted:
            if name == product:
                what = "A percentage" if fields.has("percent") else "A minimum"
                self.report.add(path, f"{what} is never of itself: name other lines.")
            elif ANY in name and not _PATTERN.fullmatch(name):
                self.report.add(path, f'"{name}" is no pattern: the star is its last letter, as in "aurora-*".')
            elif ANY not in name:
                self.counted.append((path, name))
        period = PeriodPrice(of=tuple(name for _, name in counted), minimum=minimum, percent=percent)
        return PriceRow(product=product, period=period)
