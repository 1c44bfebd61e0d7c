"""Columns that DuckDB reads where they lie: every value comes back, in order, as often as it is asked for."""

import struct
from typing import Any

import pytest

from entrepot.storage import lake
from entrepot.storage.arrow import Columns

INTEGERS = [0, 1, -1, 2**63 - 1, -(2**63), 255, 10**18]
TEXTS = ["", "a", "ü", "語" * 9, "nul \0 within", "😀", "x" * 4096]


def read(columns: Columns) -> list[tuple[Any, ...]]:
    with lake.connect() as db:
        db.register("columns", columns)
        return db.execute("SELECT * FROM columns").fetchall()


def test_values_come_back_batch_after_batch_and_a_second_time() -> None:
    columns = Columns({"n": "integer", "text": "text"})
    batches = [(INTEGERS, TEXTS), ([7], ["one"]), (range(5000), ["same"] * 5000), ([3, 3, 3], ["", "", ""]), ([], [])]
    for batch in batches:
        columns.add(batch)
    expected = [row for batch in batches for row in zip(*batch, strict=True)]
    assert read(columns) == expected == read(columns)


def test_what_looks_like_one_value_over_and_over_and_is_not_comes_back() -> None:
    columns = Columns({"n": "integer", "text": "text"})
    columns.add(([5, 6, 5], ["ä", "b", "ä"]))
    columns.add(([True, 1, True], ["ä", "ä", "ä"]))
    assert read(columns) == [(5, "ä"), (6, "b"), (5, "ä"), *[(1, "ä")] * 3]


def test_no_rows_are_an_empty_table_with_these_columns() -> None:
    columns = Columns({"n": "integer", "text": "text"})
    with lake.connect() as db:
        db.register("columns", columns)
        result = db.execute("SELECT * FROM columns")
        assert ([each[0] for each in result.description], result.fetchall()) == (["n", "text"], [])


def test_an_integer_beyond_64_bits_is_an_error() -> None:
    with pytest.raises(struct.error):
        Columns({"n": "integer"}).add(([1, 2**63],))
