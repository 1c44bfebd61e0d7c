"""The counters behind `entrepot top`."""

from entrepot.gateway.live import METERS_LIMIT, Live
from entrepot.kernel.buckets import INPUT_SIDE, OUTPUT_SIDE, Quantities

ONE_EACH: Quantities = (1, 2, 4, 8, 16, 32, 64, 128)


def _ended(live: Live, customer: str, model: str = "m", us: int = 5_000) -> None:
    live.ended((customer, model), ONE_EACH, 100, "USD", us)


def test_every_token_is_counted_on_one_side() -> None:
    live = Live()
    _ended(live, "acme")
    (row,) = live.rows({})
    assert row["input"] == sum(ONE_EACH[b] for b in INPUT_SIDE)
    assert row["output"] == sum(ONE_EACH[b] for b in OUTPUT_SIDE)
    assert row["input"] + row["output"] == sum(ONE_EACH)
    assert row["charge"] == {"USD": "0.0000001"}


def test_spans_are_powers_of_two_milliseconds() -> None:
    live = Live()
    for us in (0, 999, 1_000, 1_999, 2_000, 4_000, 10**12):
        _ended(live, "acme", us=us)
    assert live.rows({})[0]["spans"] == [2, 2, 1, 1] + [0] * 16 + [1]


def test_calls_under_way_have_a_row_before_the_first_one_ended() -> None:
    rows = Live().rows({("acme", "m"): 3})
    assert [(row["customer"], row["open"], row["calls"]) for row in rows] == [("acme", 3, 0)]


def test_names_that_lead_nowhere_get_one_row_a_customer() -> None:
    live = Live()
    for n in range(10_000):
        live.refused("acme", f"made-up-{n}")
    _ended(live, "acme")
    live.refused("acme", "m")
    assert {(row["model"], row["refused"]) for row in live.rows({})} == {("", 10_000), ("m", 1)}


def test_meters_are_bounded_and_nothing_is_left_out_of_the_sum() -> None:
    live = Live()
    for n in range(3 * METERS_LIMIT):
        _ended(live, f"c{n}")
    rows = live.rows({})
    assert len(rows) <= METERS_LIMIT + 1
    assert sum(row["calls"] for row in rows) == 3 * METERS_LIMIT


def test_quiet_meters_make_room() -> None:
    live = Live()
    for n in range(METERS_LIMIT):
        _ended(live, f"c{n}")
    live.tick(61.0)
    _ended(live, "c7")
    live.tick(122.0)
    assert [row["customer"] for row in live.rows({})] == ["c7"]
