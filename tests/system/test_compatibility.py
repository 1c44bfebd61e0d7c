"""The table of wire compatibility, row by row, against a started server."""

from collections.abc import Iterator

import pytest

from compatibility.table import ELSEWHERE, TAPE, Row, rows
from tape_house import MODEL, POOR, SELLS_EMBEDDINGS, TapeHouse

MORE = """
[model.retired-model]
routes = ["fake/retired-model"]
context = 8_192
output_max = 1_000
retires = 2026-01-31T00:00:00Z

[model.tiered-model]
routes = ["fake/tiered-model"]
context = 8_192
output_max = 1_000

[[book.fake-cost]]
buys_from = "fake"
currency = "USD"
valid_from = 2026-01-03T00:00:00Z
prices = [
  { model = "retired-model", input = 0.01, output = 0.01 },
  { model = "tiered-model", input = 0.08, cached = 0.04, output = 0.32 },
]

[[book.list]]
currency = "USD"
valid_from = 2026-01-03T00:00:00Z
prices = [
  { model = "retired-model", input = 0.01, output = 0.01 },
  { model = "tiered-model", input = 0.10, cached = 0.05, output = 0.40 },
  { model = "tiered-model", tier = "priority", percent_of_matching_standard = 200 },
]

[customer.idle]
contract = { book = "list" }
"""
#: Every number that the checklist has: 1 to 80.
NUMBERS = range(1, 81)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TapeHouse]:
    rows()
    house = TapeHouse(tmp_path_factory.mktemp("compatibility"), TAPE, catalog=SELLS_EMBEDDINGS + POOR + MORE)
    house.poor, house.idle = house.key_of("poor", "--model", MODEL), house.key_of("idle")
    yield house
    house.end()


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_a_row_says_what_is_so(house: TapeHouse, row: Row) -> None:
    if row.unmet:
        with pytest.raises((AssertionError, KeyError, ValueError)):
            row.check(house)
    else:
        row.check(house)


def test_every_number_of_the_checklist_is_in_the_table_or_named() -> None:
    named = {row.number for row in rows()}
    for numbers in ELSEWHERE:
        for part in numbers.split(", "):
            first, _, last = part.partition("-")
            named |= set(range(int(first), int(last or first) + 1))
    assert sorted(set(NUMBERS) - named) == []
