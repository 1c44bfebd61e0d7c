"""From rated usage to an invoice: what stands on it, in which order and language, and what cannot stand on one."""

import random
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from entrepot.billing import crediting, vat
from entrepot.billing.crediting import CreditTooLarge, Right
from entrepot.billing.document.canonical import to_json
from entrepot.billing.document.ubl import to_ubl
from entrepot.billing.document.xrechnung import check_xrechnung
from entrepot.billing.drafting import draft
from entrepot.billing.inputs import Burned, DocumentRate, UsageInputs, from_bytes, to_bytes
from entrepot.billing.invoice import Invoice, InvoiceBroken, Reference, numbered
from entrepot.billing.making import made_of
from entrepot.catalog import parties
from entrepot.kernel.instants import parse
from entrepot.rating.correction import corrections
from entrepot.rating.line import Rated, RatedLine
from rated_usage import rated_line

ON = date(2026, 12, 3)
LINES = (
    rated_line(("large", "input", 22_361_870, "3.00")), rated_line(("large", "output", 4_088_665, "12.00")),
    rated_line(("small", "cached", 1_000_003, "0.05"), list_price=Decimal("0.06")),
)  # fmt: skip
EUR = 10**9


def seller(**given: Any) -> parties.Seller:
    home = parties.PostalAddress(street="Hafenstraße 7", postcode="20457", city="Hamburg", country="DE")
    party = parties.PartyFacts(
        name="Nordlicht KI GmbH", address=home, vat_id="DE123456788", contact="Rechnungsstelle",
        phone="+49 40 5550100", email="rechnung@nordlicht.example",
    )  # fmt: skip
    settings = parties.InvoiceSettings(iban="DE89370400440532013000")
    return parties.Seller(**{"party": party, "registered": ("DE",), "currency": "EUR", "invoice": settings, **given})


def buyer(country: str = "DE", vat_id: str = "DE812345673", **given: Any) -> parties.Buyer:
    home = parties.PostalAddress(street="Am Wall 1", postcode="28195", city="Bremen", country=country)
    party = parties.PartyFacts(name="Kontor Nord AG", address=home, vat_id=vat_id, email="ap@kontor.example")
    return parties.Buyer(**{"party": party, "buyer_reference": "04011000-12345-67", **given})


def inputs(lines: Any = LINES, currency: str = "EUR", **given: Any) -> UsageInputs:
    rated = Rated(
        customer="kontor", currency=currency, starts_on="2026-11-01", until="2026-12-01", lines=tuple(lines),
        inputs=(("book list/1", "b" * 64), ("lake w1/000001 1-3", "c" * 64)),
    )  # fmt: skip
    facts = {"rated": rated, "seller": seller(), "buyer": buyer(), "rates": vat.rates(), **given}
    return UsageInputs(**facts)


def test_the_order_of_the_lines_and_where_the_records_lay_change_nothing() -> None:
    shuffled = list(LINES)
    random.Random(3).shuffle(shuffled)
    moved = replace(inputs(shuffled).rated, inputs=(("book list/1", "b" * 64), ("lake w2/000009 4-9", "d" * 64)))
    ours, theirs = inputs(), inputs(rated=replace(moved, lines=LINES))
    assert to_json(draft(ours, ON, "R-1")) == to_json(draft(theirs, ON, "R-1"))
    lines = [line.name for line in draft(inputs(shuffled), ON).lines]
    assert lines == ["large, input", "large, output", "small, cached input"]


def test_inputs_come_back_and_make_the_same_document() -> None:
    ours = inputs(burned=Burned(promo=5 * EUR, taxed=30 * EUR, advances=(Reference(number="R-1", issued_on=ON),)))
    assert from_bytes(to_bytes(ours)) == ours
    assert to_json(made_of(from_bytes(to_bytes(ours)), ON, "R-2")) == to_json(draft(ours, ON, "R-2"))
    with pytest.raises(InvoiceBroken, match="no inputs of an invoice"):
        from_bytes(b"{}")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"currency": "KWD", "seller": seller(currency="KWD"), "buyer": buyer(format="xrechnung")}, "KWD has 3"),
        ({"buyer": buyer(currency="USD")}, "to be billed in USD and its prices are in EUR"),
        ({"currency": "USD"}, "its tax in EUR too: give the rate of the tax date and whose it is, --rate"),
        ({"lines": ()}, "nothing to be billed for 2026-11"),
        ({"lines": (rated_line(("large", "input", -5_000_000, "3.00")),)}, "come to less than nothing"),
        ({"buyer": buyer("CH", "", format="xrechnung")}, "give operator.register"),
        ({"buyer": buyer("AT", "ATU12345678")}, "VAT id"),
        ({"buyer": buyer("FR", "")}, "VAT of FR is due, and the seller is registered in DE"),
        ({"buyer": buyer(language="fr")}, "languages are de, en"),
    ],
)
def test_what_cannot_stand_on_an_invoice_is_refused_with_the_way_out(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvoiceBroken, match=words):
        draft(inputs(**given), ON)


def test_an_invoice_in_dinar_is_a_page_and_no_e_invoice() -> None:
    made = draft(inputs(currency="KWD", seller=seller(currency="KWD"), buyer=buyer()), ON, "R-1")
    assert made.totals.lines_minor == 67086 + 49064 + 50
    with pytest.raises(InvoiceBroken, match="at most two decimals"):
        to_ubl(made)


def test_tax_in_the_sellers_own_currency_is_at_the_rate_of_the_document() -> None:
    rate = DocumentRate(currency="EUR", rate=Decimal("0.9231"), source="ECB, 2026-11-30")
    made = draft(inputs(currency="USD", document_rate=rate), ON, "R-1")
    assert made.accounting is not None
    assert (made.totals.tax_minor, made.accounting.tax_minor) == (2208, 2038)
    assert draft(inputs(currency="USD", buyer=buyer("AT", "ATU12345675")), ON).accounting is None  # no tax, no rate


def test_given_credit_lowers_the_net_and_paid_credit_pays_with_the_tax_of_its_purchase() -> None:
    made = draft(inputs(burned=Burned(promo=20 * EUR, taxed=60 * EUR, untaxed=20 * EUR)), ON, "R-1")
    totals = made.totals
    assert (totals.lines_minor, totals.allowances_minor, totals.without_tax_minor) == (11620, 2000, 9620)
    assert totals.tax_minor == 1828
    assert totals.paid_minor == 9620 + 1371  # three quarters of the tax were paid when the credit was bought
    assert totals.payable_minor == 457
    given = draft(inputs(burned=Burned(promo=500 * EUR)), ON, "R-1").totals
    assert (given.allowances_minor, given.with_tax_minor, given.payable_minor) == (11620, 0, 0)


def test_a_month_that_is_not_over_ends_with_the_day_of_its_invoice() -> None:
    made = draft(inputs(), date(2026, 11, 22))
    assert (made.facts.until, made.lines[0].until) == (date(2026, 11, 23), date(2026, 11, 23))
    assert draft(inputs(), ON).facts.until == date(2026, 12, 1)


def test_steps_minimums_and_corrections_say_why_in_the_language_of_the_document() -> None:
    step = ("step", "1", "1", "500000000", "input", "month")
    more: tuple[RatedLine, ...] = (
        rated_line(("small", "input", 500_000_000, "0.50"), because=(step,)),
        replace(rated_line(("large", "output", -100, "12.00"), kind="correction", key="x"), month="2026-10"),
        RatedLine(
            key="platform minimum", kind="minimum", product="platform", unit="month", quantity=Decimal(1),
            price=Decimal("250"), per=1, starts_at=parse("2026-11-01"), ends_at=parse("2026-12-01"),
            because=(("minimum", "1000.00", "750.00", "large", "small"),),
        ),
    )  # fmt: skip
    said = {language: draft(inputs(more, buyer=buyer(language=language)), ON).lines for language in ("en", "de")}
    assert [line.about.partition("; ")[0] for line in said["en"]] == [
        "step 1: 1 to 500,000,000 (input, counted by month)",
        "at least 1,000.00 EUR for large, small, which came to 750.00 EUR", "correction for October 2026",
    ]  # fmt: skip
    assert [line.about.partition("; ")[0] for line in said["de"]] == [
        "Stufe 1: 1 bis 500.000.000 (Eingabe, gezählt je Monat)",
        "mindestens 1.000,00 EUR für large, small, erreicht wurden 750,00 EUR", "Korrektur für Oktober 2026",
    ]  # fmt: skip
    assert [line.name for line in said["de"]] == ["small, Eingabe", "platform, Mindestentgelt des Zeitraums",
                                                  "large, Ausgabe"]  # fmt: skip


def test_a_correction_is_named_like_the_line_that_it_corrects() -> None:
    minimum = RatedLine(
        key="platform minimum", kind="minimum", product="platform", unit="month", quantity=Decimal(1),
        price=Decimal("250"), per=1, starts_at=parse("2026-10-01"), ends_at=parse("2026-11-01"),
        because=(("minimum", "1000.00", "750.00", "large"),),
    )  # fmt: skip
    share = replace(
        minimum, key="support percentage", kind="percentage", product="support", quantity=Decimal(500),
        price=Decimal(8), per=100, because=(("at least", "40.00"), ("percentage", "8", "500.00", "large")),
    )  # fmt: skip
    overrun = replace(minimum, key="small overrun", kind="overrun", product="", model="small", because=())
    billed = Rated(
        customer="kontor", currency="EUR", starts_on="2026-10-01", until="2026-11-01", lines=(minimum, share, overrun)
    )
    less = [replace(line, price=line.price * Decimal("0.9")) for line in billed.lines]
    changes = corrections(replace(billed, lines=tuple(less)), billed.lines)
    made = draft(inputs((*LINES, *changes)), ON)
    assert sorted({line.name for line in made.lines[len(LINES) :]}) == [
        "platform, minimum of the period", "small, used beyond what was set aside for a call: not charged",
        "support, percentage of the lines named",
    ]  # fmt: skip
    assert all("correction for October 2026" in line.about for line in made.lines[len(LINES) :])
    sent = draft(inputs((*LINES, replace(changes[0], quantity=Decimal(1))), buyer=buyer(format="xrechnung")), ON)
    report = check_xrechnung(to_ubl(numbered(sent, "R-1", ON, ON), xrechnung=True))
    assert report.findings == ()


@pytest.mark.long
@given(st.data())
def test_credit_notes_in_any_number_and_order_never_come_to_more_than_the_invoice(data: st.DataObject) -> None:
    """Quantities so small that every cent is rounded: in each line, the tax and the total, and in full at the end."""
    tokens = data.draw(st.lists(st.integers(1, 40_000), min_size=1, max_size=4))
    promo = data.draw(st.integers(0, 300)) * 10_000_000
    lines = [rated_line((f"m{n}", "input", count, "3.00"), key=str(n)) for n, count in enumerate(tokens)]
    whole = draft(inputs(lines, burned=Burned(promo=promo, taxed=EUR)), ON, "R-1")
    notes: list[tuple[Invoice, Any]] = []
    for number in range(data.draw(st.integers(0, 4))):
        now = crediting.standing(whole, notes)
        at = data.draw(st.sampled_from(sorted(now)))
        right = {at: Right(quantity=Decimal(data.draw(st.integers(0, int(now[at].quantity)))))}
        try:
            note = crediting.credit(whole, now, right, on=ON, reason="")
        except CreditTooLarge:
            continue
        notes.append((numbered(note.invoice, f"G-{number}", ON, ON), note.about))
        assert check_xrechnung(to_ubl(notes[-1][0], xrechnung=True)).findings == ()
        assert_within(whole, notes)
    if any(line.net_minor for line in crediting.standing(whole, notes).values()):
        last = crediting.credit(whole, crediting.standing(whole, notes), None, on=ON, reason="")
        assert last.whole
        notes.append((last.invoice, last.about))
        assert sum(note.totals.with_tax_minor for note, _ in notes) == whole.totals.with_tax_minor
        assert sum(note.totals.tax_minor for note, _ in notes) == whole.totals.tax_minor
        assert sum(note.totals.allowances_minor for note, _ in notes) == whole.totals.allowances_minor
        assert_within(whole, notes)


def assert_within(whole: Invoice, notes: list[tuple[Invoice, Any]]) -> None:
    credited = dict.fromkeys((line.id for line in whole.lines), 0)
    for note, about in notes:
        for line in note.lines:
            credited[about[line.id].credits] += line.net_minor
    assert all(0 <= credited[line.id] <= line.net_minor for line in whole.lines)
    assert 0 <= sum(note.totals.tax_minor for note, _ in notes) <= whole.totals.tax_minor
    assert 0 <= sum(note.totals.with_tax_minor for note, _ in notes) <= whole.totals.with_tax_minor
