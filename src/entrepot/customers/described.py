"""What reports tell customers apart by. Takes a connection and opens none."""

import msgspec
from sqlalchemy import Connection, select

from entrepot.catalog.tables import facts_from_text
from entrepot.customers.tables import customer_table


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """As the catalog says it now; "" where it does not. `group`: who controls it; a report counts them as one."""

    name: str = ""
    group: str = ""
    industry: str = ""
    country: str = ""


def read_described(conn: Connection) -> dict[str, Described]:
    columns = customer_table.c
    found = {}
    for row in conn.execute(select(columns.id, columns.about, columns.address)):
        about, address = facts_from_text(row.about), facts_from_text(row.address)
        found[row.id] = Described(
            name=str(about.get("name", "")), group=str(about.get("control_group", "")),
            industry=str(about.get("industry", "")), country=str(address.get("country", "")),
        )  # fmt: skip
    return found
