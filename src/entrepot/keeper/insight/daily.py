"""What each customer used of each model on each UTC day, out of the rollup."""

from collections.abc import Sequence

from sqlalchemy import Engine

from entrepot.customers.described import read_described
from entrepot.insight.signs import Used
from entrepot.kernel.buckets import AUDIO_OUTPUT, OUTPUT, REASONING
from entrepot.kernel.instants import parse, show
from entrepot.metering.tables import usage
from entrepot.storage.database import read


def daily(engine: Engine, starts_on: str, until: str) -> Sequence[Used]:
    """Days in [starts_on, until); customers of one control group are one."""
    with read(engine) as conn:
        described = read_described(conn)
        rows = usage(conn, ("day", "customer", "model"), parse(starts_on), parse(until))
    found = []
    for row in rows:
        customer = str(row.by["customer"])
        group = described[customer].group if customer in described else ""
        found.append(Used(
            customer=group or customer, on=show(int(row.by["day"]))[:10], model=str(row.by["model"]),
            calls=row.requests,
            output_tokens=row.billed[OUTPUT] + row.billed[REASONING] + row.billed[AUDIO_OUTPUT],
        ))  # fmt: skip
    return found
