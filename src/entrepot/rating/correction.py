"""What a month that was billed should have been: the difference, line by line, for the next open invoice. Pure."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from msgspec.structs import replace

from entrepot.catalog.prices import When
from entrepot.rating.covered import plain
from entrepot.rating.line import Rated, RatedLine, product_of

_NOTHING = Decimal(0)


class _Priced(NamedTuple):
    """One price within a line: a minimum that came out otherwise has two."""

    key: str
    price: Decimal
    per: int


class Thing(NamedTuple):
    """What a line is of, whatever its price: a credit note may say that the price was wrong."""

    product: str
    model: str
    meter: str
    when: When
    project: str


def corrections(
    right: Rated, billed: Iterable[RatedLine], standing: Sequence[RatedLine] | None = None
) -> tuple[RatedLine, ...]:
    """Right, as known now, less what is billed (money-rules §7): the lines of the month's invoice and of corrections of
    it since. Their sum is, in every line and to the minor unit, right rounded less billed rounded; so one correction
    may have lines of several signs. Nothing to correct: no lines.

    `standing`: the billed lines as credit notes left them, a line for each. What was credited of a thing counts against
    what a correction would take off it: money goes back once. It is not brought back either.

    Where the difference of the quantities rounds to that, one line says it; else the billed line is taken back whole
    and the right one put in its place. What calls took is told product by product: a meter whose quantity is as it was
    may have another part of it since, and no line of its own to say so; the first of its product says it.
    """
    month, currency = right.starts_on[:7], right.currency
    billed = tuple(billed)
    compared, against, unsaid = _less_credited(right, billed, billed if standing is None else standing)
    ours, theirs = _by_price(compared), _by_price(against)
    found: list[RatedLine] = []
    for key in dict.fromkeys((*ours, *theirs)):
        have, should = theirs.get(key, ()), ours.get(key, ())
        pattern = (*should, *have)[0]
        before, after = _quantity(have), _quantity(should)
        due = _net(should, currency) - _net(have, currency)
        change = replace(pattern, quantity=plain(after - before), charged=_charged(should) - _charged(have))
        if change.net_minor(currency) == due:
            parts = [(change, "")]
        else:
            back = replace(pattern, quantity=plain(-before), charged=-_charged(have))
            parts = [(back, " back"), (replace(pattern, quantity=plain(after), charged=_charged(should)), " right")]
        for line, mark in parts:
            if line.quantity:
                found.append(_corrected(line, month, key.key, mark))
            else:
                unsaid[product_of(line)] = unsaid.get(product_of(line), 0) + line.charged
    for at, line in enumerate(found):
        if charged := unsaid.pop(product_of(line), 0):
            found[at] = replace(line, charged=line.charged + charged)
    return tuple(found)


def _less_credited(
    right: Rated, billed: Sequence[RatedLine], standing: Sequence[RatedLine]
) -> tuple[list[RatedLine], list[RatedLine], dict[str, int]]:
    """(lines as they are right, what they are compared with, charges of what is left out by product). A thing of which
    nothing was credited is compared with what is billed. One that is right at less than is billed: with what the credit
    notes left of it, or not at all where that is less still."""
    ours, theirs, left = (_sums(lines, right.currency) for lines in (right.lines, billed, standing))
    credited: set[Thing] = set()
    settled: set[Thing] = set()
    for thing, was in theirs.items():
        due, gone = ours.get(thing, 0) - was, left[thing] - was
        if due * gone > 0:
            (settled if abs(due) <= abs(gone) else credited).add(thing)
    compared = [line for line in right.lines if thing_of(line) not in settled]
    have = [
        now if thing_of(old) in credited else old
        for old, now in zip(billed, standing, strict=True)
        if thing_of(old) not in settled
    ]
    unsaid: dict[str, int] = {}
    for lines, sign in ((right.lines, 1), (billed, -1)):
        for line in lines:
            if thing_of(line) in settled:
                unsaid[product_of(line)] = unsaid.get(product_of(line), 0) + sign * line.charged
    return compared, have, unsaid


def _sums(lines: Iterable[RatedLine], currency: str) -> dict[Thing, int]:
    found: dict[Thing, int] = {}
    for line in lines:
        found[thing_of(line)] = found.get(thing_of(line), 0) + line.net_minor(currency)
    return found


def thing_of(line: RatedLine) -> Thing:
    """Lines of one thing are corrected and credited together."""
    return Thing(line.product, line.model, line.meter, line.when, line.project)


def _corrected(line: RatedLine, month: str, key: str, mark: str) -> RatedLine:
    price = f" at {line.price:f}/{line.per}" if line.kind in ("minimum", "percentage") else ""
    return replace(line, key=f"{month} {key}{price}{mark}", kind="correction", month=month, of=key)


def _by_price(lines: Iterable[RatedLine]) -> dict[_Priced, tuple[RatedLine, ...]]:
    found: dict[_Priced, tuple[RatedLine, ...]] = {}
    for line in lines:
        key = _Priced(line.of or line.key, plain(line.price), line.per)
        found[key] = (*found.get(key, ()), line)
    return found


def _quantity(lines: Sequence[RatedLine]) -> Decimal:
    return sum((line.quantity for line in lines), _NOTHING)


def _charged(lines: Sequence[RatedLine]) -> int:
    return sum(line.charged for line in lines)


def _net(lines: Sequence[RatedLine], currency: str) -> int:
    """Each rounded, as it stands on its document."""
    return sum(line.net_minor(currency) for line in lines)
