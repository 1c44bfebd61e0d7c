"""The invoice of credit that was bought: one line, its tax as it was decided at the purchase, paid already. Pure.

It is an ordinary invoice (380): a prepayment invoice (386) has no place in XRechnung (BR-DE-17), and a document has one
type in whatever format it is written.
"""

from datetime import date, timedelta
from decimal import Decimal

import msgspec

from entrepot.billing.document.language import language
from entrepot.billing.drafting import minor_of, party, refuse_format, units_of
from entrepot.billing.inputs import AdvanceInputs, sealed
from entrepot.billing.invoice import Facts, Invoice, InvoiceBroken, Line, Payment, Tax, make
from entrepot.kernel.instants import to_datetime
from entrepot.kernel.money import from_scaled


def advance(inputs: AdvanceInputs, on: date, number: str = "") -> Invoice:
    """Raises InvoiceBroken where no tax was decided when the money came in, or its amount is not that of a document."""
    bought, seller, buyer = inputs.purchase, inputs.seller, inputs.buyer
    if bought.tax is None:
        raise InvoiceBroken(
            f"top-up {bought.id} of {bought.balance} was booked before [operator] said who sells, so no tax was "
            "decided: what it pays is taxed on the invoice of its month; for an invoice of its own refund it and book "
            "it anew"
        )
    speech = language(buyer.language or seller.invoice.language)
    said = bought.tax
    tax = Tax(
        category=msgspec.convert(said.category, type=Tax.__annotations__["category"]), percent=Decimal(said.percent),
        reason=said.reason, code=said.code,
    )  # fmt: skip
    day = to_datetime(bought.at).date()
    line = Line(
        id="1", name=speech.words["top_up"], about=bought.id, quantity=Decimal(1), unit="unit",
        price=from_scaled(bought.net, bought.currency).normalize(), per=1, starts_on=day, until=day + timedelta(days=1),
        tax=tax, net_minor=minor_of(bought.net, bought.currency),
    )  # fmt: skip
    facts = Facts(
        number=number, kind="380", issued_on=on, due_on=on, starts_on=day, until=day + timedelta(days=1),
        currency=bought.currency, seller=party(seller.party), buyer=party(buyer.party),
        payment=Payment(terms=speech.words["terms_received"].format(on=speech.written(day))),
        language=buyer.language or seller.invoice.language, customer=bought.balance, contract=inputs.contract,
        buyer_reference=buyer.buyer_reference, order=buyer.order,
        inputs=sealed({"purchase": bought, "seller": seller, "buyer": buyer}, {}),
    )  # fmt: skip
    made = make(facts, [line])
    if units_of(made.totals.tax_minor, bought.currency) != said.amount:
        raise InvoiceBroken(
            f"top-up {bought.id} of {bought.balance} has tax of {said.amount} ledger units, and its invoice would say "
            f"{units_of(made.totals.tax_minor, bought.currency)}"
        )
    made = make(facts, [line], paid_minor=made.totals.with_tax_minor)
    refuse_format(made, buyer, bought.balance)
    return made
