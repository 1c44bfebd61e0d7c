"""What a month costs beside its usage: the shortfall below a minimum, and percentages of named lines."""

from collections.abc import Sequence
from decimal import Decimal

from msgspec.structs import replace

from entrepot.catalog.prices import PeriodPrice, covers
from entrepot.pricing.agreement import minimums, percentages
from entrepot.rating.covered import Covered, plain
from entrepot.rating.line import LineKind, RatedLine, product_of

_ONE = Decimal(1)


def by_period(lines: Sequence[RatedLine], covered: Covered) -> list[RatedLine]:
    """Minimums of these lines, then percentages of them and of the minimums; never of themselves. The rows are those in
    force when the contract's part of the month begins; what is an amount for a month counts for that part only."""
    if covered.starts_at >= covered.ends_at:
        return []
    least = [_minimum(product, said, lines, covered)
             for product, said in minimums(covered.agreement, covered.starts_at).items()]  # fmt: skip
    short = [line for line in least if line is not None]
    shares = [_percentage(product, said, (*lines, *short), covered)
              for product, said in percentages(covered.agreement, covered.starts_at).items()]  # fmt: skip
    return [*short, *(line for line in shares if line.quantity * line.price)]


def _minimum(product: str, said: PeriodPrice, lines: Sequence[RatedLine], covered: Covered) -> RatedLine | None:
    """What is lacking; None: nothing is."""
    least, reached = covered.monthly(said.minimum), _sum(said, lines, covered)
    if reached >= least:
        return None
    why = f"at least {covered.words(least)} for {', '.join(said.of)}, which came to {covered.words(reached)}"
    line = _line("minimum", product, covered, why, (_ONE, covered.units(least - reached), 1))
    return replace(line, because=(("minimum", *map(str, (covered.units(least), covered.units(reached))), *said.of),))


def _percentage(product: str, said: PeriodPrice, lines: Sequence[RatedLine], covered: Covered) -> RatedLine:
    assert said.percent is not None
    base, least = _sum(said, lines, covered), covered.monthly(said.minimum)
    why = f"{said.percent:f} % of {covered.words(base)} for {', '.join(said.of)}"
    line = _line("percentage", product, covered, why, (plain(covered.units(base)), plain(said.percent), 100))
    because = ("percentage", f"{said.percent:f}", str(covered.units(base)), *said.of)
    if line.net_minor(covered.currency) >= least:
        return replace(line, because=(because,))
    line = _line("percentage", product, covered, f"at least {covered.words(least)}: {why} is less",
                 (_ONE, covered.units(least), 1))  # fmt: skip
    return replace(line, because=(("at least", str(covered.units(least))), because))


def _sum(said: PeriodPrice, lines: Sequence[RatedLine], covered: Covered) -> int:
    """Minor units of the lines that a price of the period names."""
    return sum(
        line.net_minor(covered.currency)
        for line in lines
        if any(covers(pattern, product_of(line)) for pattern in said.of)
    )


def _line(
    kind: LineKind, product: str, covered: Covered, reason: str, what: tuple[Decimal, Decimal, int]
) -> RatedLine:
    quantity, price, per = what
    return RatedLine(
        key=" ".join(filter(None, (product, kind, covered.since))), kind=kind, product=product,
        unit="month" if per == 1 else "unit", quantity=quantity, price=plain(price), per=per,
        starts_at=covered.starts_at, ends_at=covered.ends_at, reason=reason,
    )  # fmt: skip
