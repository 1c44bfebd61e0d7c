"""Positions with counterparties: both sides, and where each figure comes from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.insight.exposure import Flow, positions
from entrepot.insight.facts import STANDINGS, BasesMixed, InsightError, NothingSold

FLOWS = st.builds(
    Flow, counterparty=st.sampled_from(["vendor", "host"]), stream=st.sampled_from(["rent", "share", "resale"]),
    direction=st.sampled_from(["in", "out"]), amount=st.integers(0, 10**12), standing=st.sampled_from(STANDINGS),
    source=st.just("ledger"),
)  # fmt: skip


def _flow(stream: str, direction: str, amount: int, **more: object) -> Flow:
    given = {"counterparty": "vendor", "standing": "books", "source": "ledger", **more}
    return Flow(stream=stream, direction=direction, amount=amount, **given)  # type: ignore[arg-type]


def test_a_vendor_that_rents_from_us_is_a_customer_as_well() -> None:
    """The case: the operator resells the vendor's models and rents servers to it (news of July 2024, amounts ours)."""
    found = positions([
        _flow("cost of goods", "out", 60), _flow("rent", "in", 90, standing="reported", source="press, 2024-07-31"),
        _flow("share received", "in", 10, standing="assumed", source="assumed: 20 % of direct sales"),
        _flow("bill", "out", 5, counterparty="host"),
    ])  # fmt: skip
    vendor = found[0]
    assert (vendor.received, vendor.paid, vendor.net, vendor.gross) == (100, 60, 40, 160)
    assert vendor.standings == (("books", 0, 60), ("reported", 90, 0), ("assumed", 10, 0))
    assert [flow.stream for flow in vendor.flows] == ["rent", "cost of goods", "share received"]
    assert [each.counterparty for each in found] == ["vendor", "host"]


@pytest.mark.parametrize(
    ("flows", "error", "says"),
    [
        ([], NothingSold, "no position"),
        ([_flow("a", "in", 1, currency="USD"), _flow("b", "in", 1, currency="EUR")], BasesMixed, "'USD'.*'EUR'"),
        ([_flow("a", "in", 1, period="2024-06"), _flow("b", "in", 1)], BasesMixed, "period"),
        ([_flow("a", "in", 1, scale=2), _flow("b", "in", 1)], BasesMixed, "scale"),
        ([_flow("a", "in", -1)], InsightError, "turn its direction round"),
        ([_flow("a", "in", 1, source="")], InsightError, "where it comes from"),
    ],
)
def test_flows_that_cannot_be_added_are_refused(flows: list[Flow], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        positions(flows)


@given(st.lists(FLOWS, min_size=1))
def test_nothing_is_lost_between_flows_and_positions(flows: list[Flow]) -> None:
    found = positions(flows)
    assert sum(each.gross for each in found) == sum(flow.amount for flow in flows)
    for each in found:
        assert sum(received - paid for _, received, paid in each.standings) == each.net == each.received - each.paid
        assert -each.gross <= each.net <= each.gross
