"""Who sums up the lake: DuckDB in this process or, where one setting (ENTREPOT_SPARK) names a cluster, Apache Spark.

Only short-lived processes ask: `keeper.bills.rating`, `keeper.insight`, `verify`.
"""

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.storage import attempts, lake
from entrepot.storage.attempts import Question

if TYPE_CHECKING:
    from entrepot.storage.spark import Spark

#: The address of a cluster; empty: DuckDB.
VARIABLE = "ENTREPOT_SPARK"
#: Beside the request path: two threads, and what does not fit into so much goes to the disk.
_THREADS, _MEMORY_MIB = 2, 2048


class SparkMissing(EntrepotError):
    """A cluster is set, and what speaks to it is not installed."""

    code = "spark_missing"
    fault = Fault.CALLER


def answer(
    files: Sequence[Path], question: Question, environment: Mapping[str, str] = os.environ
) -> list[tuple[Any, ...]]:
    """The rows of a question to these files: texts and whole numbers. Raises LakeBroken, SparkFailed, SparkMissing."""
    master = environment.get(VARIABLE, "")
    if not files:
        return []
    if master:
        return _spark(master).answer(files, question)
    with lake.connect(_THREADS, _MEMORY_MIB) as db:
        return lake.answer(db, files, question)


def aggregate(files: Sequence[Path]) -> list[dict[str, Any]]:
    """`usage.sql` over these files: a row per group of the rollup, numbers as Python integers."""
    return [
        {name: each if isinstance(each, str) else int(each) for name, each in zip(attempts.USAGE, row, strict=True)}
        for row in answer(files, attempts.usage())
    ]


@lru_cache(maxsize=1)
def _spark(master: str) -> "Spark":
    """One session a process: it takes seconds to begin."""
    from entrepot.storage.spark import Spark

    try:
        return Spark(master)
    except ImportError:
        raise SparkMissing(
            f"{VARIABLE} is {master!r}, and Apache Spark is not installed here: pip install 'entrepot[spark]' and "
            f"Java 17, or unset {VARIABLE}"
        ) from None
