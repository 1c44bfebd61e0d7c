"""What an invoice adds up to, and what cannot stand on one."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invoices import EXEMPT, OUTSIDE, REVERSE, STANDARD, allowance, facts, line

from entrepot.billing.document.canonical import digest, from_json, plain_decimal, to_json
from entrepot.billing.invoice import InvoiceBroken, Tax, make, net_minor
from entrepot.kernel.money import round_half_away, show_minor


@pytest.mark.parametrize(
    ("quantity", "price", "per", "currency", "minor"),
    [
        ("22361870", "2.50", 1_000_000, "EUR", 5590),
        ("18059974", "2.50", 1_000_000, "EUR", 4515),  # 45.149935
        ("1", "0.005", 1, "EUR", 1),  # a half goes away from zero
        ("-1", "0.005", 1, "EUR", -1),
        ("1", "0.0049999", 1, "EUR", 0),
        ("3", "1", 7, "EUR", 43),  # divided once, at the end
        ("1000", "0.5", 1, "JPY", 500),
        ("1", "0.0005", 1, "KWD", 1),
    ],
)
def test_a_line_is_divided_and_rounded_once(quantity: str, price: str, per: int, currency: str, minor: int) -> None:
    assert net_minor(Decimal(quantity), Decimal(price), per, currency) == minor


def test_totals_follow_from_what_stands_on_the_paper() -> None:
    reduced = Tax(category="S", percent=Decimal(7))
    made = make(
        facts(), [line(1, "22361870", "2.50"), line(2, "4088665", "10"), line(3, "5000000", "1", tax=reduced)],
        [allowance(1000)], paid_minor=500,
    )  # fmt: skip
    assert [(each.tax.percent, each.base_minor, each.amount_minor) for each in made.taxes] == [
        (Decimal(7), 500, 35), (Decimal(19), 8679, 1649),
    ]  # fmt: skip
    totals = made.totals
    assert (totals.lines_minor, totals.allowances_minor, totals.without_tax_minor) == (10179, 1000, 9179)
    assert (totals.tax_minor, totals.with_tax_minor, totals.payable_minor) == (1684, 10863, 10363)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-(10**9), 10**12), st.integers(0, 10**6)), min_size=1, max_size=30), st.randoms())
def test_the_order_of_lines_changes_no_sum(rows: list[tuple[int, int]], chance: object) -> None:
    lines = [line(i, str(q), f"{p}e-4") for i, (q, p) in enumerate(rows)]
    shuffled = lines[:]
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    one, two = make(facts(), lines), make(facts(), shuffled)
    assert (one.taxes, one.totals) == (two.taxes, two.totals)
    assert one.totals.with_tax_minor == one.totals.lines_minor + sum(t.amount_minor for t in one.taxes)


@pytest.mark.long
@given(st.fractions())
def test_rounding_is_nearest_and_symmetric(exact: Fraction) -> None:
    assert abs(round_half_away(exact) - exact) <= Fraction(1, 2)
    assert round_half_away(-exact) == -round_half_away(exact)


def test_tax_in_the_sellers_own_currency_is_converted_once() -> None:
    made = make(
        facts(currency="USD"), [line(1, "22361870", "2.50", currency="USD")],
        accounting=("EUR", Decimal("0.9123"), "ECB 2026-12-03"),
    )  # fmt: skip
    assert made.totals.tax_minor == 1062
    assert made.accounting is not None
    assert made.accounting.tax_minor == 969  # 10.62 × 0.9123 = 9.688626
    assert make(facts(), [line(1, "1", "1")], accounting=("EUR", Decimal(1), "")).accounting is None


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: make(facts(), []), "at least one line"),
        (lambda: make(facts(until=date(2026, 11, 1)), [line(1, "1", "1")]), "period ends on 2026-11-01"),
        (lambda: make(facts(), [line(1, "1", "1"), line(1, "2", "1")]), "line 1 stands twice"),
        (lambda: make(facts(), [line(1, "1", "-1")]), "a price is at least 0"),
        (lambda: make(facts(), [line(1, "1", "2", list_price=Decimal(1))]), "list price 1 is below the price 2"),
        (lambda: make(facts("381", preceding=()), [line(1, "1", "1")]), "names the invoice that it credits"),
        (lambda: make(facts(), [line(1, "1", "1", tax=EXEMPT), line(2, "1", "1", tax=OUTSIDE)]), "BR-O-11"),
        (lambda: make(facts(), [line(1, "1", "1", tax=Tax(category="S", percent=Decimal(0)))]), "does not go with 0"),
        (lambda: make(facts(), [line(1, "1", "1", tax=Tax(category="AE", percent=Decimal(0)))]), "needs the reason"),
        (lambda: make(facts(), [line(1, "1", "1")], [allowance(0)]), "positive amount"),
        (lambda: make(facts(), [line(1, "1000000", "1")], paid_minor=1000), "1000 minor units are said to be paid"),
        (
            lambda: make(
                facts(), [line(1, "1", "1", tax=REVERSE), line(2, "1", "1", tax=Tax(
                    category="AE", percent=Decimal(0), reason="another reason"))]),
            "explained in two ways",
        ),
    ],
)  # fmt: skip
def test_what_cannot_stand_on_an_invoice_is_said(build: object, says: str) -> None:
    with pytest.raises(InvoiceBroken, match=says):
        build()  # type: ignore[operator]


def test_canonical_json_comes_back_and_tampering_shows() -> None:
    made = make(facts(notes=("Danke schön",)), [line(1, "22361870", "2.50", tax=STANDARD)], [allowance(10)])
    data = to_json(made)
    assert from_json(data) == made
    assert to_json(from_json(data)) == data
    assert digest(made) == digest(from_json(data))
    with pytest.raises(InvoiceBroken, match="not in canonical form"):
        from_json(data.replace(b'{"format"', b'{ "format"'))
    with pytest.raises(InvoiceBroken, match="no invoice in canonical JSON"):
        from_json(b"{}")
    with pytest.raises(InvoiceBroken, match="format 2"):
        from_json(data.replace(b'"format":1', b'"format":2'))


@pytest.mark.parametrize(
    ("value", "text"), [("2.50", "2.5"), ("1E+6", "1000000"), ("0.000", "0"), ("-0.10", "-0.1"), ("100", "100")]
)
def test_decimals_are_written_without_exponent(value: str, text: str) -> None:
    assert plain_decimal(Decimal(value)) == text


def test_minor_units_are_shown_in_the_currencys_places() -> None:
    assert [show_minor(-5, "EUR"), show_minor(123456, "USD"), show_minor(1234, "JPY"), show_minor(1, "KWD")] == [
        "-0.05", "1234.56", "1234", "0.001",
    ]  # fmt: skip
