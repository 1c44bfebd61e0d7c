"""What calls took of each prepaid balance, by admission: the sums that usage is attributed to grants from.

A stretch begins with a day, or within it where a grant of the balance begins or ends; rows are written with the
charges, in their transaction. Takes a connection and opens none.
"""

from collections.abc import Mapping

from sqlalchemy import BigInteger, Column, Connection, ForeignKey, Table, Text, bindparam, select

from entrepot.kernel.instants import Instant
from entrepot.ledger.attribution import Taken, month_of
from entrepot.storage.database import Amount, metadata, put_rows

taken = Table(
    "balance_taken", metadata,
    Column("balance", Text, ForeignKey("balance.id"), primary_key=True),
    Column("since", BigInteger, primary_key=True),
    Column("amount", Amount, nullable=False),
    Column("returned", Amount, nullable=False),  # of it, what calls took too much
)  # fmt: skip
_BETWEEN = select(taken).where(
    taken.c.balance.in_(bindparam("names", expanding=True)),
    taken.c.since >= bindparam("first"), taken.c.since <= bindparam("last"),
)  # fmt: skip
_AT_ONCE = 500  # names in one query; SQLite's default bound is 32,766 parameters


def take(
    conn: Connection, amounts: Mapping[tuple[str, Instant], int], returned: Mapping[tuple[str, Instant], int] = {}
) -> None:
    """Add to the sums of (balance, since). Whoever writes holds the head of the ledger's chain, so no two do."""
    keys = sorted(key for key in {*amounts, *returned} if amounts.get(key) or returned.get(key))
    if not keys:
        return
    names, since = sorted({name for name, _ in keys}), sorted({at for _, at in keys})
    now: dict[tuple[str, Instant], tuple[int, int]] = {}
    for start in range(0, len(names), _AT_ONCE):
        some = {"names": names[start : start + _AT_ONCE], "first": since[0], "last": since[-1]}
        for balance, at, amount, back in conn.execute(_BETWEEN, some):
            now[balance, at] = amount, back
    rows = []
    for key in keys:
        before, back = now.get(key, (0, 0))
        rows.append((*key, before + amounts.get(key, 0), back + returned.get(key, 0)))
    put_rows(conn, taken, ("balance", "since", "amount", "returned"), rows)


def taken_of(conn: Connection, balance: str) -> list[Taken]:
    """In the order of admission, without what has returned."""
    query = select(taken).where(taken.c.balance == balance).order_by(taken.c.since)
    return [Taken(row.since, row.amount - row.returned) for row in conn.execute(query)]


def all_taken(conn: Connection) -> dict[str, list[Taken]]:
    """By balance."""
    found: dict[str, list[Taken]] = {}
    for row in conn.execute(select(taken).order_by(taken.c.balance, taken.c.since)):
        found.setdefault(row.balance, []).append(Taken(row.since, row.amount - row.returned))
    return found


def charged_sums(conn: Connection) -> dict[tuple[str, Instant], int]:
    """By (balance, stretch) what calls were charged, whatever has returned: for `verify`."""
    return {(row.balance, row.since): row.amount for row in conn.execute(select(taken))}


def returned(conn: Connection, balance: str, month: str, amount: int) -> None:
    """Calls of this month took `amount` too much: their sums are lowered, the latest first. Raises ValueError where
    they took less than that."""
    lowered: dict[tuple[str, Instant], int] = {}
    rest = amount
    for each in reversed(taken_of(conn, balance)):
        part = min(rest, each.amount) if month_of(each.since) == month else 0
        if part:
            lowered[balance, each.since] = part
            rest -= part
    if rest:
        raise ValueError(f"calls of {balance} took {amount - rest} ledger units in {month}, and {amount} are to return")
    take(conn, {}, lowered)
