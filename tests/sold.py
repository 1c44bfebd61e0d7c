"""Facts for the tests of measures: a few sales, or ones that Hypothesis thinks of."""

from hypothesis import strategies as st

from entrepot.insight.facts import UNNAMED, Base, Facts, Sale

#: January and February of one year, so that both are whole months of equal length in months.
JANUARY = Base(kind="billed", currency="EUR", scale=2, starts_on="2026-01-01", until="2026-02-01")
FEBRUARY = Base(kind="billed", currency="EUR", scale=2, starts_on="2026-02-01", until="2026-03-01")


def sold(amounts: dict[str, int], base: Base = JANUARY) -> Facts:
    """One sale of each customer in the first month of the base."""
    month = base.starts_on[:7]
    return Facts(base=base, sales=tuple(Sale(month=month, customer=who, amount=much) for who, much in amounts.items()))


def some_sales(month: str = "2026-01", least: int = -(10**6)) -> st.SearchStrategy[list[Sale]]:
    return st.lists(
        st.builds(
            Sale,
            month=st.just(month), customer=st.sampled_from("abcdef"), group=st.sampled_from(["", "", "g", "h"]),
            industry=st.sampled_from(["", "shops", "banks"]), country=st.sampled_from(["", "DE", "US"]),
            product=st.sampled_from(["tokens", "minimum"]), model=st.sampled_from(["", UNNAMED, "large", "small"]),
            own=st.booleans(), vendor=st.sampled_from(["", "v"]), amount=st.integers(least, 10**12),
            cost=st.none() | st.integers(0, 10**12), quantity=st.integers(0, 10**9),
        ),
        max_size=12,
    )  # fmt: skip
