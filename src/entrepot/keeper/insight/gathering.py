"""What measures start from, gathered in a process of its own: `python -m entrepot.keeper.insight.gathering DATA`, a
question on standard input (`insight.books.Asked` as JSON), facts on standard output, or {"code", "message"} and exit 1.

Billed amounts are those of issued documents. What was used is read from the lake and, of segments that are not in it
yet, from the journal up to where the rollup has read; all of it, whatever is asked for, and its charges and costs must
come to what usage posted in the ledger, to the last unit, or no figure is given. Reads only; works beside a running
house and without one.
"""

import sys
from collections.abc import Iterable, Mapping
from datetime import date
from typing import TypeVar

from sqlalchemy import Connection, Engine

from entrepot.billing.billed import billed_things
from entrepot.catalog import tables as catalog_tables
from entrepot.catalog.contents import Model, Upstream
from entrepot.customers.described import read_described
from entrepot.insight.books import (
    Asked,
    Known,
    billed_sales,
    currency_of,
    earned_sales,
    facts,
    month_until,
    months_between,
    stated_sales,
)
from entrepot.insight.facts import BaseKind, Facts, InsightError, View
from entrepot.insight.tables import entered_now, read_all_entered
from entrepot.keeper.beside import answered
from entrepot.keeper.bills.sealed import files_of
from entrepot.keeper.lake import name_of
from entrepot.keeper.tails import BooksDisagree, tails
from entrepot.kernel.instants import Instant, parse
from entrepot.ledger.posted import UsagePosted, usage_posted
from entrepot.metering import sold as usage
from entrepot.metering import tables
from entrepot.metering.sold import Sold
from entrepot.metering.stretches import Cut
from entrepot.metering.tables import LakeFile
from entrepot.storage import attempts, reading
from entrepot.storage.database import open_database, read
from entrepot.storage.folder import Folder

#: Later than everything.
_NEVER: Instant = 1 << 62
_Key = TypeVar("_Key", bound=tuple[str, ...])


class PeriodOpen(InsightError):
    """A period that no figure can be given for: it holds no day, or cuts a month of documents in two."""

    code = "period_open"


def gather(
    engine: Engine, folder: Folder, base: BaseKind, months: tuple[str, str], *, view: View = "gross", currency: str = ""
) -> Facts:
    """Facts of [from, until): months ("2026-09") or UTC dates. Raises BooksDisagree, RateMissing, CurrencyOpen."""
    starts_on, until = (_day(each) for each in months)
    return gathered(
        engine, folder, Asked(kind=base, starts_on=starts_on, until=until, view=view, currency=currency)
    )  # fmt: skip


def gathered(engine: Engine, folder: Folder, asked: Asked) -> Facts:
    """The same of a question as it comes over standard input."""
    _check(asked)
    with read(engine) as conn:
        known = known_of(conn)
        entered = [(f"entered {each.name}/{each.revision}", each.sha256) for each in entered_now(conn)]
        if asked.kind == "stated":
            currency = currency_of(asked, (each.currency for each in known.entered.sale), known)
            return facts(asked, stated_sales(known.entered.sale, known, asked, currency), known, currency, entered)
        found, inputs = _used(conn, folder, asked)
        if asked.kind == "billed":
            billed = billed_things(conn, asked.starts_on[:7], month_until(asked.until))
            currency = currency_of(asked, (each.currency for each in billed.things), known)
            sales = billed_sales(billed.things, found, known, currency)
            inputs += billed.documents.items()
        else:
            currency = currency_of(asked, (key.currency for key in found), known)
            sales = earned_sales(found, known, currency)
    return facts(asked, sales, known, currency, [*inputs, *entered])


def known_of(conn: Connection) -> Known:
    """What catalog and entered figures say."""
    operator, vendors = catalog_tables.read_operator(conn), catalog_tables.read_vendors(conn)
    upstreams, models = catalog_tables.read_upstreams(conn), catalog_tables.read_models(conn)
    own = {name for name, each in vendors.items() if each.facts.get("own") is True}
    own |= {each.vendor for each in upstreams.values() if each.dialect == "builtin"}
    books = operator.facts.get("books") if operator is not None else None
    return Known(
        customers=read_described(conn), own=frozenset(own),
        vendors={name: _vendors(model, upstreams) for name, model in models.items()},
        currency=str(books.get("currency", "")) if isinstance(books, Mapping) else "",
        entered=read_all_entered(conn),
    )  # fmt: skip


def _vendors(model: Model, upstreams: Mapping[str, Upstream]) -> tuple[str, ...]:
    served = (upstreams.get(name) for name, _ in model.routes)
    return tuple(dict.fromkeys(each.vendor for each in served if each is not None))


def _used(conn: Connection, folder: Folder, asked: Asked) -> tuple[Sold, list[tuple[str, str]]]:
    """What was used in the period, of which everything ever used is shown to be what the ledger has."""
    starts_at, until = parse(asked.starts_on), parse(asked.until)
    cut = Cut(starts=(0, *map(parse, months_between(asked.starts_on, asked.until)), until), until=_NEVER)
    listed = tables.manifest(conn)
    files = [each for each in listed if each.rows]
    found = _lake(folder, files, cut)
    inputs = list(files_of(listed, files).items())
    known = {(file.slot, file.epoch, file.segment) for file in listed}
    for segment, groups in tails(folder, tables.positions(conn), known):
        usage.add(found, usage.from_groups(groups, cut).items())
        inputs.append((f"journal {name_of(segment)}", "open"))
    posted = usage_posted(conn)
    _tie(found, posted)
    within = {key: sums for key, sums in found.items() if starts_at <= key.stretch < until}
    return within, [("ledger", posted.hash), *inputs]


def _lake(folder: Folder, files: Iterable[LakeFile], cut: Cut) -> Sold:
    return usage.from_lake(reading.answer([folder.lake / file.path for file in files], attempts.sold(cut)))


def _tie(found: Sold, posted: UsagePosted) -> None:
    """Raises BooksDisagree with the first account that says something else than the records."""
    revenue: dict[tuple[str, str], int] = {}
    charged: dict[tuple[str, str], int] = {}
    costs: dict[tuple[str, str, str], int] = {}
    for key, sums in found.items():
        product, customer = (key.currency, key.model), (key.currency, key.customer)
        revenue[product] = revenue.get(product, 0) + sums.charge
        charged[customer] = charged.get(customer, 0) + sums.charge
        of = (key.vendor, key.cost_currency, key.model)
        costs[of] = costs.get(of, 0) + sums.cost
    _same("revenue of", revenue, posted.revenue)
    _same("charged to", charged, posted.charged)
    _same("cost of goods of", costs, posted.costs)


def _same(what: str, ours: Mapping[_Key, int], theirs: Mapping[_Key, int]) -> None:
    for key in sorted({*ours, *theirs}):
        if ours.get(key, 0) != theirs.get(key, 0):
            raise BooksDisagree(
                f"{what} {' '.join(key)}: {ours.get(key, 0)} in the records of calls, {theirs.get(key, 0)} in the "
                "ledger; entrepot verify says which is wrong"
            )


def _check(asked: Asked) -> None:
    if date.fromisoformat(asked.until) <= date.fromisoformat(asked.starts_on):
        raise PeriodOpen(f"until {asked.until} is not after from {asked.starts_on}; nothing is between them")
    if asked.kind in ("billed", "stated") and not (asked.starts_on.endswith("-01") and asked.until.endswith("-01")):
        raise PeriodOpen(
            f"what is {asked.kind} is known by the month: from {asked.starts_on} until {asked.until} begin on the 1st"
        )


def _day(text: str) -> str:
    """`2026-10` is its first day. Raises PeriodOpen."""
    try:
        return str(date.fromisoformat(f"{text}-01" if len(text) == 7 else text))
    except ValueError:
        raise PeriodOpen(f"{text!r} is neither a month like 2026-10 nor a day like 2026-10-15") from None


def _answer(folder: Folder, asked: Asked) -> Facts:
    return gathered(open_database(folder.database), folder, asked)


if __name__ == "__main__":
    sys.exit(answered(sys.argv[1], Asked, _answer))
