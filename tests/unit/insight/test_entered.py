"""Figures that people enter: each with its standing and source, every mistake with its line."""

from datetime import date
from decimal import Decimal

import pytest

from entrepot.insight.currency import RateMissing
from entrepot.insight.entered import EnteredBroken, read_entered
from entrepot.insight.entries import merged

GOOD = """\
format = 1

[[exchange]]
from = "EUR"
to = "USD"
month = "2024-06"
rate = 1.0759
source = "ECB, average of June 2024"

[[exchange]]
from = "EUR"
to = "USD"
rate = 1.08
source = "ECB, average of 2024"

[[expectation]]
of = "growth"
period = "2024-Q2"
value = 30.6
actual = 29
unit = "%"
standing = "reported"
source = "press, 2024-07-31"

[[expectation]]
of = "growth"
period = "2024-Q2"
by = "guidance"
least = 30
most = 31
unit = "%"
standing = "reported"
source = "another report"

[[stream]]
counterparty = "openai"
stream = "rent"
direction = "in"
amount = 2_000_000_000
currency = "USD"
standing = "assumed"
source = "billions a year at thin margins"

[[terms]]
vendor = "openai"
exclusive_until = 2030-12-31
standing = "reported"
source = "contract"

[[substitute]]
model = "gpt-4o"
by = ["llama-3.1-405b"]
standing = "assumed"
source = "arena within 30 points"

[[figure]]
name = "capital expenditure"
value = 19_000_000_000
unit = "USD"
standing = "reported"
source = "quarter to June 2024"
"""


def test_every_kind_is_read_with_its_standing_and_source() -> None:
    found = read_entered(GOOD, "figures.toml")
    consensus, guidance = found.expectation
    assert (consensus.by, consensus.middle, consensus.actual) == ("consensus", Decimal("30.6"), Decimal(29))
    assert (guidance.by, guidance.least, guidance.most, guidance.middle) == ("guidance", 30, 31, Decimal("30.5"))
    assert (found.stream[0].amount, found.stream[0].standing) == (2 * 10**18, "assumed")
    assert (found.terms[0].exclusive_until, found.terms[0].licence_until) == (date(2030, 12, 31), None)
    assert found.substitute[0].by == ("llama-3.1-405b",)
    capital = found.figure_of("capital expenditure")
    assert capital is not None
    assert (capital.value, capital.source) == (19 * 10**9, "quarter to June 2024")
    assert found.figure_of("nothing") is None


def test_a_rate_of_the_month_goes_before_one_of_any_month_and_works_both_ways() -> None:
    found = read_entered(GOOD, "figures.toml")
    assert found.exchanged(10**4, "EUR", "USD", "2024-06") == 10_759
    assert found.exchanged(100, "EUR", "USD", "2024-07") == 108
    assert found.exchanged(108, "USD", "EUR", "2024-07") == 100
    assert found.exchanged(1, "CHF", "CHF", "2024-07") == 1
    with pytest.raises(RateMissing, match="amounts in CHF and in USD, and no rate between them for 2024-07"):
        found.exchanged(1, "CHF", "USD", "2024-07")


def test_files_add_up_and_the_last_figure_of_a_name_counts() -> None:
    later = read_entered(
        'format = 1\n[[figure]]\nname = "capital expenditure"\nvalue = 20\nstanding = "assumed"\nsource = "ours"', "b"
    )
    both = merged([read_entered(GOOD, "a"), later])
    assert len(both.figure) == 2
    found = both.figure_of("capital expenditure")
    assert found is not None
    assert found.value == 20


BAD = """\
format = 2
[[exchange]]
from = "EUR"
to = "EUR"
month = "June"
rate = 0
source = "x"
[[expectation]]
of = "growth"
period = "summer"
least = 3
most = 2
standing = "guessed"
source = "x"
[[sale]]
customer = "a"
month = "2024-06"
amount = 1.0000000001
currency = "USD"
source = "x"
[[sale]]
customer = "b"
month = "2024-06"
amount = "many"
currency = "DEM"
standing = "reported"
[[agent]]
fee_percent = 120
standing = "assumed"
source = "x"
[[terms]]
vendor = "openai"
licence_until = "2032"
standing = "reported"
source = "x"
[[figur]]
name = "x"
"""


def test_all_mistakes_of_a_file_are_said_at_once_with_their_lines() -> None:
    with pytest.raises(EnteredBroken) as broken:
        read_entered(BAD, "figures.toml")
    said = broken.value.message
    for line, words in (
        (1, "This version reads format 1."), (4, "A rate is between two currencies; both are EUR."),
        (5, 'month is a month such as "2024-06".'), (6, "rate is a number above 0."),
        (10, 'period is "2024-06", "2024-Q2" or "2024".'), (12, "most is not less than least."),
        (13, 'standing is one of "reported" and "assumed".'), (15, "standing is missing"),
        (18, "finer than the ledger unit"), (21, "source is missing"), (24, "amount is a number."),
        (25, "Currency 'DEM' is not kept here"), (28, "fee_percent is a number from 0 to 100."),
        (33, "licence_until is a day: licence_until = 2030-12-31."), (36, 'Nothing here is called "figur"'),
    ):  # fmt: skip
        block = next((each for each in said.split("\n\n") if each.strip().startswith(f"line {line} ")), "")
        assert words in said, said
        assert block, (line, said)
    with pytest.raises(EnteredBroken, match="is not TOML"):
        read_entered("format = ", "figures.toml")


@pytest.mark.parametrize("number", ["1e-99999999", "0." + "7" * 5_000, "1e99999999", "inf"])
def test_a_number_without_bound_is_told_and_not_worked_out(number: str) -> None:
    text = GOOD.replace("amount = 2_000_000_000", f"amount = {number}")
    with pytest.raises(EnteredBroken, match="1 mistake, nothing was changed") as broken:
        read_entered(text, "figures.toml")
    assert broken.value.message.count("A number here is finite and has at most 60 digits.") == 1


def test_what_was_expected_is_one_value_or_a_range() -> None:
    for given in ("", "value = 1\nleast = 2\n", "least = 2\n"):
        text = f'format = 1\n[[expectation]]\nof = "g"\nperiod = "2024"\nstanding = "assumed"\nsource = "x"\n{given}'
        with pytest.raises(EnteredBroken, match="line 2 "):
            read_entered(text, "f")


def test_what_books_were_loaded_with_is_said_of_a_customer_and_month_before_everybody() -> None:
    found = read_entered(
        """\
format = 1
[[loaded]]
whole = "the service, loaded by the share"
standing = "assumed"
source = "what is left of the whole"
[[loaded]]
customer = "tiktok"
standing = "assumed"
source = "no report says these months"
[[loaded]]
customer = "tiktok"
month = "2024-03"
standing = "reported"
source = "press, 2024-07-31"
""",
        "loaded.toml",
    )
    asked = [(who, month) for who in ("tiktok", "walmart") for month in ("2024-03", "2024-06")]
    said = {each: found.loaded_with(*each) for each in asked}
    assert [each.source if each else "" for each in said.values()] == [
        "press, 2024-07-31", "no report says these months", *["what is left of the whole"] * 2,
    ]  # fmt: skip
    assert said["tiktok", "2024-03"].standing == "reported"  # type: ignore[union-attr]
    assert read_entered("format = 1", "none").loaded_with("tiktok", "2024-03") is None
