"""Which engine sums up the lake, and what is said where the one that is set is not there."""

from pathlib import Path

import pytest

from entrepot.metering.stretches import Cut
from entrepot.storage import attempts, lake, reading
from entrepot.storage.reading import SparkMissing


def test_a_cluster_that_nothing_here_can_speak_to_is_a_sentence() -> None:
    pytest.importorskip("duckdb")
    question = attempts.sold(Cut(starts=(0,), until=1))
    with pytest.raises(SparkMissing, match=r"ENTREPOT_SPARK is 'spark://x:7077', and Apache Spark is not installed"):
        reading.answer([Path("a.parquet")], question, {reading.VARIABLE: "spark://x:7077"})


def test_no_files_have_no_rows_whoever_is_asked() -> None:
    assert reading.answer([], attempts.usage(), {reading.VARIABLE: "spark://x:7077"}) == []
    assert reading.answer([], attempts.usage(), {}) == []


def test_the_names_of_the_columns_are_those_of_the_statement(tmp_path: Path) -> None:
    with lake.connect() as db:
        columns = ", ".join(
            f"CAST({'NULL' if name != 'admitted_at' else '1'} AS {kind}) AS {name}"
            for name, kind in {
                **dict.fromkeys(attempts.USAGE[:14], "VARCHAR"), "admitted_at": "BIGINT", "attempt": "INTEGER",
                **dict.fromkeys(("state", "source", "operation", "unrated"), "VARCHAR"),
                **dict.fromkeys(attempts.USAGE[20:36], "BIGINT"),
                **dict.fromkeys(("charge", "cost", "overrun"), "DECIMAL(38,0)"),
            }.items()
        )  # fmt: skip
        db.execute(f"CREATE VIEW endings AS SELECT {columns}")
        result = db.execute(attempts.usage().text())
        assert tuple(each[0] for each in result.description or ()) == attempts.USAGE
