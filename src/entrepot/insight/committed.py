"""What we owe vendors whatever we use, as it was entered with their terms: of a period, and of the months ahead."""

from calendar import monthrange
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from fractions import Fraction

from msgspec.structs import replace

from entrepot.insight.assumptions import Assumptions
from entrepot.insight.entries import Entered, Terms
from entrepot.insight.facts import Base, Facts
from entrepot.insight.fiscal import months_between
from entrepot.insight.given import Given
from entrepot.insight.obligation import ENDLESS, Commitment, LeftOut
from entrepot.insight.who import Who, chosen
from entrepot.kernel.money import minor_digits, round_half_away, scale_of

_YEAR_DAYS = 365


def committed_in(terms: Terms, entered: Entered, base: Base) -> int | None:
    """In units of the base, of its period, days of a month that it does not have left out; of a run-rate a year at
    that pace. None: nothing is owed in it. Raises RateMissing."""
    if terms.committed is None:
        return None
    first, until = date.fromisoformat(base.starts_on), date.fromisoformat(base.until)
    last = until if terms.committed_until is None else min(until, terms.committed_until)
    if last <= first:
        return None
    owed = Fraction(0)
    for month in _months(first, last):
        begins = date(int(month[:4]), int(month[5:]), 1)
        days = monthrange(begins.year, begins.month)[1]
        ends = date.fromordinal(begins.toordinal() + days)
        owed += _of_a_month(terms, entered, base, month) * Fraction((min(last, ends) - max(first, begins)).days, days)
    return round_half_away(owed * Fraction(_YEAR_DAYS, base.window_days) if base.kind == "run-rate" else owed)


def with_commitments(given: Assumptions, entered: Entered, facts: Facts) -> Assumptions:
    """A scenario's assumptions with what is owed by contract beside them. Of a vendor that the file itself names a
    commitment for, the file speaks. Raises RateMissing, NameUnknown."""
    if facts.total() <= 0:
        return given  # where nothing was sold there is no largest, and the scenario says why it cannot run
    named = {facts.sales[place].vendor for each in given.commitments for place in chosen(facts, each.who)}
    found, left_out = list(given.commitments), list(given.left_out)
    for terms, left in _ahead(entered, facts.base):
        if terms.vendor in named:
            continue
        amount = Given(value=_written(terms, entered, facts.base), standing=terms.standing, source=terms.source)
        bought = [sale for sale in facts.sales if sale.vendor == terms.vendor and not sale.own]
        if any(sale.cost is not None for sale in bought):
            who = Who(named=(("vendor", (terms.vendor,)),))
            found.append(Commitment(name=terms.vendor, who=who, amount=amount, months_left=left))
        else:
            left_out.append(LeftOut(name=terms.vendor, amount=amount, bought=bool(bought)))
    return replace(given, commitments=tuple(found), left_out=tuple(left_out))


def _ahead(entered: Entered, base: Base) -> Iterator[tuple[Terms, int]]:
    """What still binds after the base's period, and for how many months that begin before its end."""
    until = date.fromisoformat(base.until)
    for terms in entered.terms:
        end = terms.committed_until
        if terms.committed is None or (end is not None and end <= until):
            continue
        yield terms, ENDLESS if end is None else 12 * (end.year - until.year) + end.month - until.month + (
            end.day > until.day)  # fmt: skip


def _of_a_month(terms: Terms, entered: Entered, base: Base, month: str) -> Fraction:
    """In units of the base."""
    assert terms.committed is not None
    whole = entered.exchanged(terms.committed, terms.currency, base.currency, month)
    whole *= Fraction(10) ** (base.scale - scale_of(base.currency))
    return whole / 12 if terms.committed_per == "year" else whole


def _written(terms: Terms, entered: Entered, base: Base) -> Decimal:
    """A month's, in the currency, to the cent."""
    digits = minor_digits(base.currency)
    units = _of_a_month(terms, entered, base, base.starts_on[:7]) / 10 ** (base.scale - digits)
    return Decimal(round_half_away(units)).scaleb(-digits).normalize()


def _months(first: date, last: date) -> tuple[str, ...]:
    """That the days in [first, last) touch."""
    end = date.fromordinal(last.toordinal() - 1)
    after = f"{end.year + end.month // 12}-{end.month % 12 + 1:02d}"
    return months_between(f"{first:%Y-%m}", after)
