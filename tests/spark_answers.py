"""A process that asks Apache Spark all three questions to a lake: `python spark_answers.py MASTER FOLDER OUT`. A file
of rows for each question; sorted, as both engines write numbers."""

import json
import sys
from pathlib import Path

from entrepot.kernel.instants import parse
from entrepot.metering.stretches import Cut
from entrepot.storage import attempts
from entrepot.storage.attempts import Question

MONTH = Cut(
    starts=(parse("2026-10-01"), parse("2026-10-15")), until=parse("2026-11-01"), by_hour=True,
    hourly=frozenset({"customer-0001", "it's"}),
)  # fmt: skip
EVER = Cut(starts=(0, parse("2026-10-01"), parse("2026-10-09"), parse("2026-11-01")), until=1 << 62)


def questions() -> dict[str, Question]:
    return {
        "usage": attempts.usage(), "billable": attempts.billable(MONTH),
        "one": attempts.billable(MONTH, "customer-0007"), "sold": attempts.sold(EVER),
    }  # fmt: skip


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.parquet"))


def written(rows: list[tuple[object, ...]]) -> list[list[str]]:
    return sorted([each if isinstance(each, str) else str(int(each)) for each in row] for row in rows)  # type: ignore[call-overload]


if __name__ == "__main__":
    from entrepot.storage.spark import Spark

    master, folder, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    spark = Spark(master)
    for name, question in questions().items():
        (out / f"{name}.json").write_text(json.dumps(written(spark.answer(files(folder), question))))
    spark.stop()
