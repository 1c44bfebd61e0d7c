"""What a month that was billed should have been: the difference, line by line, for the next open invoice. Pure."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from msgspec.structs import replace

from entrepot.rating.covered import plain
from entrepot.rating.line import Rated, RatedLine, product_of

_NOTHING = Decimal(0)


class _Priced(NamedTuple):
    """One price within a line: a minimum that came out otherwise has two."""

    key: str
    price: Decimal
    per: int


def corrections(right: Rated, billed: Iterable[RatedLine]) -> tuple[RatedLine, ...]:
    """Right, as known now, less what is billed (money-rules §7): the lines of the month's invoice and of corrections of
    it since, credited ones taken off. Their sum is, in every line and to the minor unit, right rounded less billed
    rounded; so one correction may have lines of several signs. Nothing to correct: no lines.

    Where the difference of the quantities rounds to that, one line says it; else the billed line is taken back whole
    and the right one put in its place. What calls took is told product by product: a meter whose quantity is as it was
    may have another part of it since, and no line of its own to say so; the first of its product says it.
    """
    month, currency = right.starts_on[:7], right.currency
    ours, theirs = _by_price(right.lines), _by_price(billed)
    found: list[RatedLine] = []
    unsaid: dict[str, int] = {}
    for key in dict.fromkeys((*ours, *theirs)):
        have, should = theirs.get(key, ()), ours.get(key, ())
        pattern = (*should, *have)[0]
        before, after = _quantity(have), _quantity(should)
        due = _net(should, currency) - sum(each.net_minor(currency) for each in have)
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
    """Of right lines, of which there is one for a price."""
    return sum(line.net_minor(currency) for line in lines)
