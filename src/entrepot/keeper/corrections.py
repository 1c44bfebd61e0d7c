"""What earlier months should have been, on the bill of a later one: deltas of usage, prices, decisions that came since
(money-rules §7). A month is rated again only where something came that it could follow from.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, Engine, func, select

from entrepot.billing.inputs import usage_from_bytes
from entrepot.billing.tables import BilledLine, billed, inputs_of, read_issued
from entrepot.customers.tables import contract_table
from entrepot.kernel.instants import Instant
from entrepot.metering.tables import usage_digest
from entrepot.pricing.tables import read_versions
from entrepot.rating.correction import corrections
from entrepot.rating.line import Rated, RatedLine
from entrepot.rating.period import month as month_of
from entrepot.rating.tables import decided_since
from entrepot.storage.database import read

#: (month, its sealed inputs or None) → the month as it is right: now, or as those inputs give it.
Again = Callable[[str, Mapping[str, str] | None], Rated]
_BILLED = "billed "


class _Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier month of the customer: the documents that bill it (number → hash), and their lines of it."""

    month: str
    documents: dict[str, str]
    lines: tuple[RatedLine, ...]
    sealed: dict[str, str] | None


def own_inputs(sealed: Mapping[str, str] | None) -> dict[str, str] | None:
    """Of a bill's inputs those of its own month."""
    return None if sealed is None else {name: sha256 for name, sha256 in sealed.items() if not _month_in(name)}


def corrected(engine: Engine, found: Rated, again: Again, sealed: Mapping[str, str] | None = None) -> Rated:
    """The month with the corrections of those that were billed before. With `sealed`: the corrections that a bill of
    these inputs had."""
    with read(engine) as connection:
        earlier = _sealed(connection, found, sealed) if sealed is not None else _changed(connection, found)
    lines, inputs, open_ = list(found.lines), list(found.inputs), {*found.open}
    for each in earlier:
        right = again(each.month, each.sealed)
        change = corrections(right, each.lines)
        if change:
            lines += change
            open_ |= {*right.open}
            inputs += [(f"{each.month}: {name}", sha256) for name, sha256 in right.inputs]
            inputs += [(f"{each.month}: {_BILLED}{number}", sha256) for number, sha256 in each.documents.items()]
    return replace(found, lines=tuple(lines), inputs=tuple(sorted(inputs)), open=tuple(sorted(open_)))


def came_since(connection: Connection, customer: str, until: Instant, since: Instant) -> list[str]:
    """What a bill of the time before `until` could follow from and was decided after `since`, in words."""
    column = contract_table.c
    last = select(func.max(column.recorded_at)).where(column.customer == customer)
    prices = any(each.published_at > since and each.valid_from < until for each in read_versions(connection))
    found = {
        "decisions": decided_since(connection, customer, since), "prices": prices,
        "contract": (connection.execute(last).scalar() or 0) > since,
    }  # fmt: skip
    return [name for name, is_so in found.items() if is_so]


def _changed(connection: Connection, found: Rated) -> list[_Earlier]:
    """Months before this one that are billed and may be right otherwise now."""
    rows = [each for each in billed(connection, found.customer) if each.month < found.starts_on[:7]]
    return [
        earlier
        for month in sorted({each.month for each in rows})
        if _may_differ(connection, found.customer, earlier := _earlier(connection, found.customer, month, rows))
    ]


def _may_differ(connection: Connection, customer: str, earlier: _Earlier) -> bool:
    """Whether anything came after the latest document that bills the month."""
    last = max(
        (each for each in read_issued(connection, customer=customer) if each.number in earlier.documents),
        key=lambda each: each.issued_at,
    )
    made_of = usage_from_bytes(inputs_of(connection, last.number))
    if usage_digest(connection, customer, month_of(made_of.month).ends_at) != made_of.usage:
        return True
    return bool(came_since(connection, customer, month_of(earlier.month).ends_at, last.issued_at))


def _sealed(connection: Connection, found: Rated, sealed: Mapping[str, str]) -> list[_Earlier]:
    """The months whose inputs are among those of a bill, as far as they were billed then."""
    rows = billed(connection, found.customer)
    months = sorted({month for name in sealed if (month := _month_in(name))})
    parts = [{name[9:]: sha256 for name, sha256 in sealed.items() if _month_in(name) == each} for each in months]
    result = []
    for month, inputs in zip(months, parts, strict=True):
        numbers = {name.removeprefix(_BILLED) for name in inputs if name.startswith(_BILLED)}
        own = {name: sha256 for name, sha256 in inputs.items() if not name.startswith(_BILLED)}
        known = [each for each in rows if each.number in numbers]
        result.append(replace(_earlier(connection, found.customer, month, known), sealed=own))
    return result


def _earlier(connection: Connection, customer: str, month: str, rows: Iterable[BilledLine]) -> _Earlier:
    mine = [each for each in rows if each.month == month]
    numbers = {each.number for each in mine}
    hashes = {each.number: each.sha256 for each in read_issued(connection, customer=customer)}
    return _Earlier(
        month=month, documents={number: hashes[number] for number in sorted(numbers)}, sealed=None,
        lines=tuple(msgspec.json.decode(each.rated, type=RatedLine) for each in mine),
    )  # fmt: skip


def _month_in(name: str) -> str:
    """`2026-10` of `2026-10: book list/3`; "" of an input of the bill's own month."""
    month, colon, _ = name.partition(": ")
    return month if colon and len(month) == 7 and month[:4].isdigit() and month[4] == "-" else ""
