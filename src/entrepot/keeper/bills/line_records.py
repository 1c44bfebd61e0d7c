"""Which records stand behind a line of an invoice, in a process of its own.

`python -m entrepot.keeper.bills.line_records DATA NUMBER LINE` prints one JSON object, or {"code", "message"} and
exits 1.

The files of the lake and the versions of books are those that the invoice was made of. Each record is priced again as
rating priced it, so what is shown is exactly what was added up.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Engine

from entrepot.billing import tables
from entrepot.billing.inputs import usage_from_bytes
from entrepot.catalog.prices import METERS
from entrepot.keeper.bills.corrections import own_inputs
from entrepot.keeper.bills.rating import Month
from entrepot.keeper.bills.sealed import named_files
from entrepot.kernel.buckets import BUCKETS
from entrepot.kernel.errors import EntrepotError
from entrepot.metering.tables import manifest
from entrepot.rating.covered import plain
from entrepot.rating.line import RatedLine
from entrepot.rating.piles import PileKey, key
from entrepot.rating.prices import PriceList
from entrepot.rating.usage import Used
from entrepot.storage import lake
from entrepot.storage.database import open_database, read
from entrepot.storage.folder import Folder

#: Ids that are shown: enough to ask for some, and a line of a hundred million calls does not fill the memory.
SHOWN = 20
_HOUR = 3_600_000_000
_DIMENSIONS = (
    "project", "deployment", "model", "vendor", "zone", "service_tier", "bracket", "price_version", "currency",
)  # fmt: skip


class Group(NamedTuple):
    """Attempts of one hour under everything that their price depends on, and the first of their requests."""

    deployment: str
    used: Used
    requests: tuple[str, ...]


def line_records(engine: Engine, folder: Folder, number: str, line: str) -> dict[str, Any]:
    """{records, quantity, uses: [{project, deployment, day, records, quantity}], requests}: what a usage line adds
    up."""
    with read(engine) as connection:
        inputs = usage_from_bytes(tables.inputs_of(connection, number))
        rated = msgspec.json.decode(tables.rated_line(connection, number, line), type=RatedLine)
        listed = named_files(manifest(connection), own_inputs(dict(inputs.rated.inputs)) or {})
    if rated.kind != "usage":
        return {"records": 0, "quantity": 0, "uses": [], "requests": []}
    customer = inputs.rated.customer
    month = Month(engine, folder, inputs.month, customer, sealed=own_inputs(dict(inputs.rated.inputs)))
    decided = month.decided[customer]
    prices = PriceList(decided.agreements, month.period.ends_at, decided.reratings)
    uses: dict[tuple[str, str, str], list[int]] = {}
    requests: list[str] = []
    files = [folder.lake / each.path for each in listed]
    for group in _groups(files, customer, rated, (month.period.starts_at, month.period.ends_at)):
        count = _counted(group.used, rated, prices)
        if not count:
            continue
        day = group.used.first_hour // (24 * _HOUR) * 24 * _HOUR
        found = uses.setdefault((group.used.project, group.deployment, str(day)), [0, 0])
        found[0] += group.used.attempts
        found[1] += count
        requests += group.requests[: max(0, SHOWN - len(requests))]
    return {
        "records": sum(each[0] for each in uses.values()), "quantity": sum(each[1] for each in uses.values()),
        "uses": [
            {"project": project, "deployment": deployment, "day": int(day), "records": found[0], "quantity": found[1]}
            for (project, deployment, day), found in sorted(uses.items())
        ],
        "requests": requests,
    }  # fmt: skip


def _counted(used: Used, line: RatedLine, prices: PriceList) -> int:
    """How much of a line's meter these attempts bring to it: rating's own price of them says whether they do."""
    priced = prices.of(used)
    for meter, price in priced.prices:
        pile = key(priced, used.project, used.model, (meter, price))
        if meter == line.meter and _same(pile, line):
            return used.counts[METERS.index(meter)]
    return 0


def _same(pile: PileKey, line: RatedLine) -> bool:
    """Of a price with steps every record belongs to the pile; which of them a step has follows from their order."""
    if (pile.model, pile.meter, pile.when, pile.per) != (line.model, line.meter, line.when, line.per):
        return False
    if pile.steps is not None:
        return line.project in ("", pile.project) and line.price in {plain(price) for _, price in pile.steps.rows}
    return (pile.price, pile.list_price) == (line.price, line.list_price)


def _groups(files: Sequence[Path], customer: str, line: RatedLine, span: tuple[int, int]) -> Iterator[Group]:
    """From the lake, in order of time."""
    if not files:
        return
    names = ", ".join("'" + str(path).replace("'", "''") + "'" for path in files)
    sums = ", ".join(f"SUM({name})" for name in BUCKETS)
    paid = " + ".join(BUCKETS)
    with lake.connect() as db:
        rows = db.execute(
            f"SELECT {', '.join(_DIMENSIONS)}, admitted_at - admitted_at % {_HOUR} AS hour, COUNT(*), {sums}, "  # noqa: S608
            f"SUM(CASE WHEN {paid} > 0 THEN 1 ELSE 0 END), SUM(charge), SUM(overrun), "
            f"SUM(CASE WHEN unrated = '' THEN 0 ELSE 1 END), "
            f"list_slice(list(request ORDER BY admitted_at, request), 1, {SHOWN}) FROM read_parquet([{names}]) "
            "WHERE customer = ? AND model = ? AND admitted_at >= ? AND admitted_at < ? GROUP BY ALL "
            "ORDER BY hour, project, deployment, service_tier, zone, bracket, price_version",
            [customer, line.model, *span],
        )
        while row := rows.fetchone():
            project, deployment, model, vendor, zone, tier, bracket, version, currency, hour, attempts, *rest = row
            counts = tuple(map(int, rest[: len(METERS)]))
            charge, overrun, unrated, requests = rest[len(METERS) :]
            yield Group(deployment, Used(
                project=project, model=model, vendor=vendor, zone=zone, tier=tier, bracket=bracket,
                price_version=version, currency=currency, first_hour=int(hour), last_hour=int(hour),
                attempts=int(attempts), counts=counts, charge=int(charge), overrun=int(overrun), unrated=int(unrated),
            ), tuple(requests))  # fmt: skip


def main(argv: Sequence[str]) -> int:
    folder = Folder(Path(argv[1]))
    try:
        found = line_records(open_database(folder.database), folder, argv[2], argv[3])
    except EntrepotError as error:
        sys.stdout.buffer.write(msgspec.json.encode({"code": error.code, "message": error.message}) + b"\n")
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
