"""Which attempts of the lake are summed up, and by which statement: text that DuckDB and Apache Spark read alike.

Only integers are divided, and only where nothing is left over, so that no engine's idea of division shows.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from entrepot.kernel.buckets import BUCKETS
from entrepot.kernel.instants import HOUR

Statement = Literal["usage", "billable", "sold"]
#: The columns of usage.sql, in its order.
USAGE = (
    "customer", "project", "key", "deployment", "model", "vendor_model", "upstream", "vendor", "zone", "service_tier",
    "bracket", "price_version", "currency", "cost_currency", "hour", "state", "source", "operation", "requests",
    "attempts", *BUCKETS, *(f"billed_{name}" for name in BUCKETS), "charge", "cost", "uncosted", "unrated", "calls",
    "overrun",
)  # fmt: skip
_HOUR_OF_DAY = "CAST((admitted_at % 86400000000 - admitted_at % 3600000000) / 3600000000 AS BIGINT)"


class When(Protocol):
    """How attempts are told apart in time (`metering.stretches.Cut`)."""

    @property
    def starts(self) -> tuple[int, ...]: ...
    @property
    def until(self) -> int: ...
    @property
    def hourly(self) -> frozenset[str]: ...
    @property
    def by_hour(self) -> bool: ...


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """`statement` over the attempts of the view `endings`: `columns` beside those of a file, only those `where`."""

    statement: Statement
    columns: str = ""
    where: str = ""

    def view(self, table: str) -> str:
        """The text behind `endings`, from what an engine calls the files."""
        more, only = f", {self.columns}" if self.columns else "", f" WHERE {self.where}" if self.where else ""
        return f"SELECT *{more} FROM {table}{only}"  # noqa: S608 - numbers and quoted names of ours

    def text(self) -> str:
        return text_of(self.statement)


def usage() -> Question:
    """All attempts as the rollup groups them."""
    return Question(statement="usage")


def billable(cut: When, customer: str = "") -> Question:
    """Those of a cut, of one customer or of all, as a bill needs them."""
    stretch = _stretch(cut)
    if cut.hourly:
        hour = f"admitted_at - admitted_at % {HOUR}"
        stretch = f"CASE WHEN customer IN ({quoted(sorted(cut.hourly))}) THEN {hour} ELSE {stretch} END"
    columns = (
        f"CAST({stretch} AS BIGINT) AS stretch, {_HOUR_OF_DAY if cut.by_hour else 'CAST(0 AS BIGINT)'} AS hour_of_day"
    )
    whose = f" AND customer = {quoted([customer])}" if customer else ""
    return Question(statement="billable", columns=columns, where=_within(cut) + whose)


def sold(cut: When) -> Question:
    """Those of a cut, as measures of the business need them."""
    return Question(statement="sold", columns=f"CAST({_stretch(cut)} AS BIGINT) AS stretch", where=_within(cut))


def text_of(statement: Statement) -> str:
    return Path(__file__).with_name(f"{statement}.sql").read_text()


def quoted(texts: Iterable[str]) -> str:
    """SQL literals with commas between."""
    return ", ".join("'" + text.replace("'", "''") + "'" for text in texts)


def _stretch(cut: When) -> str:
    later = "".join(f"WHEN admitted_at >= {int(each)} THEN {int(each)} " for each in cut.starts[:0:-1])
    return f"CASE {later}ELSE {int(cut.starts[0])} END" if later else str(int(cut.starts[0]))


def _within(cut: When) -> str:
    return f"admitted_at >= {int(cut.starts[0])} AND admitted_at < {int(cut.until)}"
