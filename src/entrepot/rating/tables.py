"""What a person decided about a bill before it was made: unrated usage carried over, prices changed for the past.

Appended, never changed. Takes a connection and opens none.
"""

from sqlalchemy import BigInteger, Column, Connection, Table, Text, insert, literal, select

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import Instant
from entrepot.rating.prices import Rerating
from entrepot.storage.database import append_only, metadata

carried_table = Table(
    "unrated_carried", metadata,
    Column("customer", Text, primary_key=True),
    Column("month", Text, primary_key=True),
    Column("name", Text, primary_key=True),  # of the group: "gpt-x audio_input list/3"
    Column("approved_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)  # fmt: skip

rerating_table = Table(
    "rerating", metadata,
    Column("id", Text, primary_key=True),
    Column("customer", Text, nullable=False, index=True),
    Column("version", Text, nullable=False),  # "list/6"
    Column("starts_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("approved_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)  # fmt: skip

append_only(carried_table)
append_only(rerating_table)


class DecisionTaken(EntrepotError):
    """The same was decided before, otherwise."""

    code = "decision_taken"
    fault = Fault.CALLER


def carry_over(
    conn: Connection, where: tuple[str, str, str], *, approved_by: str, reason: str, at: Instant
) -> bool:
    """Carry over one unrated group of (customer, month, its name); False: it was. Raises DecisionTaken."""
    customer, month, name = where
    before = carried(conn, month).get(customer, {}).get(name)
    if before is not None:
        if before != _said(approved_by, reason):
            raise DecisionTaken(f"{name} of {customer} in {month} is carried over already: {before}")
        return False
    conn.execute(insert(carried_table).values(
        customer=customer, month=month, name=name, approved_by=approved_by, reason=reason, at=at
    ))  # fmt: skip
    return True


def carried(conn: Connection, month: str) -> dict[str, dict[str, str]]:
    """By customer: name of the group → who carried it over, and why."""
    found: dict[str, dict[str, str]] = {}
    for row in conn.execute(select(carried_table).where(carried_table.c.month == month)):
        found.setdefault(row.customer, {})[row.name] = _said(row.approved_by, row.reason)
    return found


def rerate(
    conn: Connection, id: str, customer: str, change: Rerating, *, approved_by: str, reason: str, at: Instant
) -> bool:
    """Price a customer's usage of an interval as by another version; False: it is. Raises DecisionTaken."""
    values = {
        "customer": customer, "version": change.version, "starts_at": change.starts_at, "ends_at": change.ends_at,
        "approved_by": approved_by, "reason": reason,
    }  # fmt: skip
    before = conn.execute(select(rerating_table).where(rerating_table.c.id == id)).first()
    if before is not None:
        if any(getattr(before, name) != value for name, value in values.items()):
            raise DecisionTaken(f"re-rating {id} is another one: {before.customer} by {before.version}")
        return False
    conn.execute(insert(rerating_table).values(id=id, at=at, **values))
    return True


def rerated_under(conn: Connection, id: str) -> list[str]:
    """The customers for whom a re-rating was approved under this id: each has a decision of its own, `id/customer`."""
    column = rerating_table.c
    query = select(column.customer).where(column.id == literal(f"{id}/") + column.customer)
    return list(conn.execute(query.order_by(column.customer)).scalars())


def reratings(conn: Connection) -> dict[str, tuple[Rerating, ...]]:
    """Approved, by customer, the latest decision first: it counts where two overlap."""
    column = rerating_table.c
    found: dict[str, tuple[Rerating, ...]] = {}
    for row in conn.execute(select(rerating_table).order_by(column.at.desc(), column.id.desc())):
        found[row.customer] = (*found.get(row.customer, ()), Rerating(row.version, row.starts_at, row.ends_at))
    return found


def decided_since(conn: Connection, customer: str, since: Instant) -> bool:
    """Whether anything was approved for a customer after this instant."""
    return any(
        conn.execute(select(table.c.at).where(table.c.customer == customer, table.c.at > since).limit(1)).first()
        for table in (carried_table, rerating_table)
    )


def _said(approved_by: str, reason: str) -> str:
    return f"{approved_by}: {reason}"
