"""What is owed to vendors by contract: of a period, in the months ahead, on the page, and how it is entered."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from msgspec.structs import replace

from entrepot.insight.answers.dependence import terms as terms_of
from entrepot.insight.assumptions import Assumptions
from entrepot.insight.committed import committed_in, with_commitments
from entrepot.insight.currency import ExchangeRate, RateMissing
from entrepot.insight.dependence import dependence
from entrepot.insight.entered import EnteredBroken, read_entered
from entrepot.insight.entries import Entered, Terms
from entrepot.insight.facts import Base, Facts, Sale
from entrepot.insight.given import Given
from entrepot.insight.obligation import ENDLESS, Commitment
from entrepot.insight.report.board import Figure, Table
from entrepot.insight.report.making import board
from entrepot.insight.scenario import Scenario, run
from entrepot.insight.turns import Leaves
from entrepot.insight.who import Who
from entrepot.kernel.money import to_scaled
from reported_house import ENTERED, facts, material

CENTS = Base(kind="billed", currency="USD", scale=2, starts_on="2026-10-01", until="2026-11-01")
LARGEST = Who(largest=(("group", 1),))


def owed(vendor: str = "north", committed: int = 12_000, per: str = "year", **more: object) -> Terms:
    return Terms(
        vendor=vendor, committed=to_scaled(Decimal(committed), "USD"), committed_per=per, currency="USD",  # type: ignore[arg-type]
        standing="reported", source="the contract", **more,  # type: ignore[arg-type]
    )  # fmt: skip


def entered(*terms: Terms, rates: tuple[ExchangeRate, ...] = ()) -> Entered:
    return Entered(terms=terms, exchange=rates)


def sale(customer: str, amount: int, cost: int | None, vendor: str = "north") -> Sale:
    return Sale(month="2026-10", customer=customer, amount=amount, cost=cost, model="m", vendor=vendor, quantity=amount)


@pytest.mark.parametrize(
    ("starts_on", "until", "terms", "units"),
    [
        ("2026-10-01", "2026-11-01", owed(), 1_000_00),
        ("2026-10-01", "2026-11-01", owed(per="month"), 12_000_00),
        ("2026-07-01", "2026-10-01", owed(), 3_000_00),
        ("2026-10-01", "2026-11-01", owed(committed_until=date(2026, 10, 12)), 354_84),  # 11 days of 31
        ("2026-11-16", "2027-01-01", owed(), 1_500_00),  # half of November, December
        ("2026-10-01", "2026-11-01", owed(committed_until=date(2026, 10, 1)), None),
        ("2026-10-01", "2026-11-01", Terms(vendor="north", standing="assumed", source="x"), None),
    ],
)
def test_of_a_period_as_much_is_owed_as_its_months_and_days_have(
    starts_on: str, until: str, terms: Terms, units: int | None
) -> None:
    assert committed_in(terms, entered(terms), replace(CENTS, starts_on=starts_on, until=until)) == units


def test_of_a_run_rate_a_year_is_owed_and_another_currency_needs_its_rate() -> None:
    pace = replace(CENTS, kind="run-rate", window_days=31)
    assert committed_in(owed(per="month"), entered(), pace) == round(Fraction(12_000_00 * 365, 31))
    euros = replace(CENTS, currency="EUR")
    rate = ExchangeRate(currency="EUR", into="USD", rate=Fraction("1.25"), standing="reported", source="ECB")
    assert committed_in(owed(), entered(rates=(rate,)), euros) == 800_00
    with pytest.raises(RateMissing, match="no rate between them for 2026-10"):
        committed_in(owed(), entered(), euros)


def test_what_is_not_bought_of_it_is_told_unless_a_cost_or_a_view_leaves_purchases_out() -> None:
    def unused(of: Facts) -> tuple[int | None, int | None]:
        found = dependence(of, {}, terms_of(entered(owed()), of.base), date(2026, 11, 1))
        [part] = [each for each in found.vendors if each.vendor == "north"]
        return part.terms[0].terms.committed, part.terms[0].shortfall

    assert unused(Facts(base=CENTS, sales=(sale("a", 500_00, 300_00),))) == (1_000_00, 700_00)
    assert unused(Facts(base=CENTS, sales=(sale("a", 5_000_00, 3_000_00),))) == (1_000_00, 0)
    assert unused(Facts(base=CENTS, sales=(sale("a", 500_00, 300_00, "south"),))) == (1_000_00, 1_000_00)
    assert unused(Facts(base=CENTS, sales=(sale("a", 500_00, None),))) == (1_000_00, None)
    assert unused(Facts(base=replace(CENTS, view="net"), sales=(sale("a", 500_00, 0),))) == (1_000_00, None)


HOUSE = Facts(base=CENTS, sales=(sale("big", 1_000_00, 800_00), sale("small", 300_00, 200_00)))


def gone(*terms: Terms, of: Facts = HOUSE, given: Assumptions | None = None) -> tuple[list[int], list[tuple[str, ...]]]:
    """Idle commitments now and of three months ahead, and the lines of what is owed, where the largest leaves."""
    leaves = Leaves(who=LARGEST, share=Given(value=Decimal(1), standing="assumed", source="x"))
    assumed = with_commitments(given or Assumptions(), entered(*terms), of)
    found = run(of, Scenario(name="s", title="x", turns=(leaves,)), assumed)
    lines = [(each.name, each.value, each.standing, each.source) for each in found.assumptions if "owe" in each.name]
    return [each.idle_commitments for each in (found.now, *found.path[:3])], list(lines)


def test_in_a_scenario_it_is_idle_for_what_is_not_bought_as_long_as_it_binds() -> None:
    idle, lines = gone(owed(committed_until=date(2026, 12, 15)))
    assert idle == [0, 800_00, 800_00, 0]  # November, December; 1,000 owed, 200 still bought
    assert lines == [("we owe north", "1,000 USD a month, 2 months", "reported", "the contract")]
    assert gone(owed(committed_until=date(2026, 11, 1)))[1] == []
    assert "1,000 USD a month, without end" in gone(owed())[1][0]


def test_of_a_vendor_that_the_file_names_a_commitment_for_the_file_speaks() -> None:
    part = Given(value=Decimal("0.5"), standing="assumed", source="the file")
    file = Assumptions(commitments=(Commitment(name="ours", who=LARGEST, part=part, months_left=ENDLESS),))
    both = Facts(base=CENTS, sales=(*HOUSE.sales, sale("other", 100_00, 90_00, "south")))
    found = with_commitments(file, entered(owed(), owed("south", 600)), both)
    assert [each.name for each in found.commitments] == ["ours", "south"]


def test_what_cannot_be_reckoned_with_is_left_out_and_said() -> None:
    idle, lines = gone(owed("south"))
    assert (idle, lines[0][1]) == ([0] * 4, "1,000 USD a month, left out: nothing was bought of it")
    unknown = Facts(base=CENTS, sales=(sale("big", 1_000_00, None), sale("small", 300_00, None)))
    idle, lines = gone(owed(), of=unknown)
    assert (idle, lines[0][1]) == ([0] * 4, "1,000 USD a month, left out: no cost of its sales is known")


def test_the_board_reads_what_of_it_is_unused() -> None:
    terms = (owed("Second Maker", 120_000_000), *ENTERED.terms)
    of = board(replace(material(), entered=replace(ENTERED, terms=terms)), "en")
    [table] = [block for block in of.pages[1].blocks
               if isinstance(block, Table) and block.title == "Dependence on vendors"]  # fmt: skip
    assert table.heads[-1] == "Unused, M USD"
    said = {str(row[0][0]): row[-1][0] for row in table.rows}
    cell = said["Second Maker"]
    assert isinstance(cell, Figure)
    second = sum(each.cost or 0 for each in facts().sales if (each.month, each.vendor) == ("2024-03", "Second Maker"))
    assert (cell.text, cell.standing) == (f"{Decimal(10**16 - second) / 10**15:.1f} of 10.0", "reported")
    assert said["Model Maker"] == "–"


FILE = """\
format = 1
[[terms]]
vendor = "north"
committed = 12_000
committed_per = "year"
committed_until = 2028-07-01
currency = "USD"
standing = "reported"
source = "the contract"
"""


def test_it_is_entered_with_its_currency_and_time() -> None:
    assert read_entered(FILE, "f").terms == (owed(committed_until=date(2028, 7, 1)),)


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ('committed_per = "year"\n', "", 'committed_per is missing: "month" or "year".'),
        ('"year"', '"week"', "committed_per is one of"),
        ("12_000", "-1", "committed is what is to be bought; it is not below 0."),
        ('currency = "USD"\n', "", "currency is missing"),
        ("committed = 12_000\n", "", "committed_per says more of committed, and committed is missing."),
        ("2028-07-01", '"2028"', "committed_until is a day: committed_until = 2030-12-31."),
    ],
)
def test_half_of_it_is_refused(was: str, becomes: str, said: str) -> None:
    with pytest.raises(EnteredBroken) as broken:
        read_entered(FILE.replace(was, becomes), "f")
    assert said in broken.value.message
    assert broken.value.message.count("\n\nline ") <= 1
