"""What earlier months should have been, on the bill of a later one: deltas of usage, prices, decisions that came since
(money-rules §7). A month is rated again only where something came that it could follow from.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, Engine, select

from entrepot.billing.inputs import usage_from_bytes
from entrepot.billing.tables import BilledLine, Issued, billed, inputs_of, lines_on, read_issued
from entrepot.customers.tables import contract_table, decode_contracts
from entrepot.keeper.bills.standing import as_left
from entrepot.kernel.instants import Instant
from entrepot.metering.tables import usage_digest
from entrepot.pricing.tables import published_since
from entrepot.rating.correction import corrections
from entrepot.rating.covered import plain
from entrepot.rating.line import Rated, RatedLine
from entrepot.rating.period import month as month_of
from entrepot.rating.tables import decided_since
from entrepot.storage.database import read

#: (month, its sealed inputs or None) → the month as it is right: now, or as those inputs give it.
Again = Callable[[str, Mapping[str, str] | None], Rated]
_BILLED, _CREDITED = "billed ", "credited "


class _Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier month of the customer: the documents that bill it (number → hash), their lines of it, the credit notes
    on these (number → hash), and the lines as those left them."""

    month: str
    documents: dict[str, str]
    lines: tuple[RatedLine, ...]
    sealed: dict[str, str] | None
    notes: dict[str, str] = {}
    left: tuple[RatedLine, ...] | None = None


def own_inputs(sealed: Mapping[str, str] | None) -> dict[str, str] | None:
    """Of a bill's inputs those of its own month."""
    return None if sealed is None else {name: sha256 for name, sha256 in sealed.items() if not _month_in(name)}


def corrected(engine: Engine, found: Rated, again: Again, sealed: Mapping[str, str] | None = None) -> Rated:
    """The month with the corrections of those that were billed before. With `sealed`: the corrections that a bill of
    these inputs had."""
    with read(engine) as connection:
        known = _sealed(connection, found, sealed) if sealed is not None else _known(connection, found)
    lines: Sequence[RatedLine] = found.lines
    inputs, open_ = [*found.inputs], {*found.open}
    changes: list[RatedLine] = []
    for each in known:
        if each.month == found.starts_on[:7]:  # it is billed anew, and what came late to it stands on a later bill
            lines = _less(found, each.lines)
        else:
            right = again(each.month, each.sealed)
            change = corrections(right, each.lines, each.left)
            if not change:
                continue
            changes += change
            open_ |= {*right.open}
            inputs += [(f"{each.month}: {name}", sha256) for name, sha256 in right.inputs]
            inputs += [(f"{each.month}: {_CREDITED}{number}", sha256) for number, sha256 in each.notes.items()]
        inputs += [(f"{each.month}: {_BILLED}{number}", sha256) for number, sha256 in each.documents.items()]
    return replace(found, lines=(*lines, *changes), inputs=tuple(sorted(inputs)), open=tuple(sorted(open_)))


def _less(found: Rated, standing: tuple[RatedLine, ...]) -> list[RatedLine]:
    """The lines of a month less what of them stands on other bills."""
    keys = {line.of or line.key for line in standing}
    changes = corrections(found, standing)
    charged = {(line.of, line.price, line.per): line.charged for line in changes}
    own = [
        replace(line, charged=charged.get((line.key, plain(line.price), line.per), line.charged))
        for line in found.lines
        if line.key not in keys
    ]
    return own + [line for line in changes if line.of in keys]


def came_since(connection: Connection, customer: str, until: Instant, since: Instant) -> list[str]:
    """What a bill of the time before `until` could follow from and was decided after `since`, in words."""
    column = contract_table.c
    last = connection.execute(
        select(contract_table).where(column.customer == customer).order_by(column.revision.desc()).limit(1)
    ).one()
    books = {each.book for each in decode_contracts(last.contracts)}
    found = {
        "decisions": decided_since(connection, customer, since),
        "prices": published_since(connection, since, until, books), "contract": last.recorded_at > since,
    }  # fmt: skip
    return [name for name, is_so in found.items() if is_so]


def billed_otherwise(connection: Connection, customer: str, own: str, sealed: Mapping[str, str]) -> list[str]:
    """Months that a draft of the month `own` and of these inputs corrects and that other documents bill now than when
    it was made, in words: a second draft may have brought the same correction, or a document it corrects was credited.
    """
    rows, found = billed(connection, customer), []
    for month in sorted({month for name in sealed if (month := _month_in(name))}):
        mine = [each for each in rows if each.month == month]
        now = {f"{_BILLED}{each.number}" for each in mine}
        if month != own:  # of the bill's own month nothing is compared with what credit notes left
            now |= {f"{_CREDITED}{note}" for note in as_left(connection, customer, mine)[1]}
        if now != {name[9:] for name in sealed if name.startswith((f"{month}: {_BILLED}", f"{month}: {_CREDITED}"))}:
            found.append(f"what is billed of {month}")
    return found


def _known(connection: Connection, found: Rated) -> list[_Earlier]:
    """Earlier months that may be right otherwise now than they are billed; and this one, where it has no bill of its
    own any more and some of it stands on bills of later ones. An earlier month without its own bill waits for that."""
    customer, own = found.customer, found.starts_on[:7]
    rows = [each for each in billed(connection, customer) if each.month <= own]
    if not rows:
        return []
    documents = read_issued(connection, customer=customer)
    hashes = {each.number: each.sha256 for each in documents}
    issued = [each for each in documents if each.purpose == "usage"]
    have = {each.month for each in issued if not each.freed_at}
    freed_at = _freed_at(connection, issued)
    used_since: dict[str, bool] = {}
    result = []
    for month in sorted({each.month for each in rows}):
        earlier = _earlier(month, rows, hashes)
        if month == own or month not in have:
            result += [earlier] if month == own and month not in have else []
            continue
        last = max((each for each in issued if each.number in earlier.documents), key=lambda each: each.issued_at)
        if last.number not in used_since:
            used_since[last.number] = _used_since(connection, customer, last.number)
        freed = freed_at.get(month, 0) >= last.issued_at
        until = month_of(month).ends_at
        if freed or used_since[last.number] or came_since(connection, customer, until, last.issued_at):
            mine = [each for each in rows if each.month == month]
            result.append(_left(earlier, as_left(connection, customer, mine), hashes))
    return result


def _freed_at(connection: Connection, issued: Iterable[Issued]) -> dict[str, Instant]:
    """When the last invoice that billed something of a month, in whichever lines, was credited in full: that is to be
    billed again."""
    found: dict[str, Instant] = {}
    for each in issued:
        for month in {line.month for line in lines_on(connection, [each.number])} if each.freed_at else ():
            found[month] = max(each.freed_at, found.get(month, 0))
    return found


def _used_since(connection: Connection, customer: str, number: str) -> bool:
    """Whether usage of the time that a document looked at has come after it."""
    made_of = usage_from_bytes(inputs_of(connection, number))
    return usage_digest(connection, customer, month_of(made_of.month).ends_at) != made_of.usage


def _sealed(connection: Connection, found: Rated, sealed: Mapping[str, str]) -> list[_Earlier]:
    """The months whose inputs are among those of a bill, as far as they were billed then."""
    months = sorted({month for name in sealed if (month := _month_in(name))})
    parts = [{name[9:]: sha256 for name, sha256 in sealed.items() if _month_in(name) == each} for each in months]
    hashes = {each.number: each.sha256 for each in read_issued(connection, customer=found.customer)}
    result = []
    for month, inputs in zip(months, parts, strict=True):
        numbers = {name.removeprefix(_BILLED) for name in inputs if name.startswith(_BILLED)}
        notes = {name.removeprefix(_CREDITED) for name in inputs if name.startswith(_CREDITED)}
        own = {name: sha256 for name, sha256 in inputs.items() if not name.startswith((_BILLED, _CREDITED))}
        known = lines_on(connection, sorted(numbers))  # also of those that were credited since
        mine = [each for each in known if each.month == month]
        earlier = replace(_earlier(month, mine, hashes), sealed=own)
        result.append(_left(earlier, as_left(connection, found.customer, mine, notes), hashes))
    return result


def _earlier(month: str, rows: Iterable[BilledLine], hashes: Mapping[str, str]) -> _Earlier:
    """`hashes` of the customer's documents by number."""
    mine = [each for each in rows if each.month == month]
    numbers = {each.number for each in mine}
    return _Earlier(
        month=month, documents={number: hashes[number] for number in sorted(numbers)}, sealed=None,
        lines=tuple(msgspec.json.decode(each.rated, type=RatedLine) for each in mine),
    )  # fmt: skip


def _left(found: _Earlier, mine: tuple[list[RatedLine], set[str]], hashes: Mapping[str, str]) -> _Earlier:
    lines, notes = mine
    return replace(found, left=tuple(lines), notes={number: hashes[number] for number in sorted(notes)})


def _month_in(name: str) -> str:
    """`2026-10` of `2026-10: book list/3`; "" of an input of the bill's own month."""
    month, colon, _ = name.partition(": ")
    return month if colon and len(month) == 7 and month[:4].isdigit() and month[4] == "-" else ""
