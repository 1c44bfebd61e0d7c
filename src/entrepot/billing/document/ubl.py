"""An invoice as UBL 2.1: the syntax of EN 16931 and, with `xrechnung`, of Germany's XRechnung 3.0.

Elements stand in the order of the UBL schema. Prices are written as they are agreed, "3.20 for 1,000,000" (BT-146 and
BT-149), so nothing is lost. Dates of a period are inclusive here; ours end before `until`.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from xml.sax.saxutils import escape, quoteattr

from entrepot.billing.document.canonical import plain_decimal
from entrepot.billing.invoice import Allowance, Invoice, InvoiceBroken, Line, Party, Tax, TaxLine
from entrepot.kernel.money import minor_digits, show_minor
from entrepot.rating.line import Unit

EN16931 = "urn:cen.eu:en16931:2017"
XRECHNUNG = "urn:cen.eu:en16931:2017#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0"
PEPPOL_BILLING = "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0"
_ROOTS = {"380": "Invoice", "381": "CreditNote"}
_OASIS = "urn:oasis:names:specification:ubl:schema:xsd:"
#: UN/ECE Recommendation 20; what has no unit of its own is counted in pieces (C62).
UNITS: dict[Unit, str] = {
    "token": "C62", "request": "C62", "image": "C62", "second": "SEC", "hour": "HUR", "day": "DAY", "month": "MON",
    "GB-day": "C62", "seat": "C62", "unit": "C62",
}  # fmt: skip
_TRANSFER, _SEPA_TRANSFER = "30", "58"  # UNTDID 4461
_CREDIT = "57"  # standing agreement: nothing has to be transferred by hand


class Xml:
    """Elements written one after the other; what is empty is left out, as UBL wants it."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0

    def leaf(self, name: str, text: str, **attributes: str) -> None:
        """One element with text."""
        if text:
            given = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items() if value)
            self._lines.append(f"{'  ' * self._depth}<{name}{given}>{escape(text)}</{name}>")

    def inside(self, name: str, **attributes: str) -> "_Inside":
        """With this, what is written stands in `name`."""
        return _Inside(self, name, attributes)

    def bytes(self) -> bytes:
        return ('<?xml version="1.0" encoding="UTF-8"?>\n' + "\n".join(self._lines) + "\n").encode()


class _Inside:
    def __init__(self, xml: Xml, name: str, attributes: dict[str, str]) -> None:
        self._xml, self._name, self._attributes = xml, name, attributes

    def __enter__(self) -> None:
        given = "".join(f" {key.replace('_', ':')}={quoteattr(value)}" for key, value in self._attributes.items())
        self._at = len(self._xml._lines)
        self._xml._lines.append(f"{'  ' * self._xml._depth}<{self._name}{given}>")
        self._xml._depth += 1

    def __exit__(self, *_: object) -> None:
        self._xml._depth -= 1
        if len(self._xml._lines) == self._at + 1:
            del self._xml._lines[self._at]  # nothing was written inside
        else:
            self._xml._lines.append(f"{'  ' * self._xml._depth}</{self._name}>")


def cannot_express(invoice: Invoice) -> str:
    """Why EN 16931 has no way to say this, or "": asked at the draft, so that nothing is issued half."""
    currency = invoice.facts.currency
    if minor_digits(currency) > 2:
        return f"EN 16931 has at most two decimals (BR-DEC), and {currency} has {minor_digits(currency)}"
    if any(each.tax.category == "O" for each in invoice.taxes) and not invoice.facts.seller.register:
        return (
            "outside the scope of tax no VAT id may stand on the document (BR-O-02), so the seller has to be told by "
            "its register (BR-CO-26): give operator.register"
        )
    if invoice.totals.with_tax_minor < 0:
        return "the sum is below zero: that is a credit note, not an invoice"
    return ""


def to_ubl(invoice: Invoice, *, xrechnung: bool = False) -> bytes:
    """The document; raises InvoiceBroken where the format cannot express it."""
    if why := cannot_express(invoice):
        raise InvoiceBroken(why)
    facts, root = invoice.facts, _ROOTS[invoice.facts.kind]
    outside = any(each.tax.category == "O" for each in invoice.taxes)
    xml = Xml()
    with xml.inside(
        root, xmlns=f"{_OASIS}{root}-2", xmlns_cac=f"{_OASIS}CommonAggregateComponents-2",
        xmlns_cbc=f"{_OASIS}CommonBasicComponents-2",
    ):  # fmt: skip
        xml.leaf("cbc:CustomizationID", XRECHNUNG if xrechnung else EN16931)
        xml.leaf("cbc:ProfileID", PEPPOL_BILLING if xrechnung else "")
        xml.leaf("cbc:ID", facts.number)
        xml.leaf("cbc:IssueDate", str(facts.issued_on))
        if facts.kind == "380":
            xml.leaf("cbc:DueDate", str(facts.due_on))
        xml.leaf(f"cbc:{root}TypeCode", facts.kind)
        xml.leaf("cbc:Note", "\n".join(facts.notes))
        xml.leaf("cbc:DocumentCurrencyCode", facts.currency)
        xml.leaf("cbc:TaxCurrencyCode", invoice.accounting.currency if invoice.accounting else "")
        xml.leaf("cbc:BuyerReference", facts.buyer_reference)
        _period(xml, facts.starts_on, facts.until)
        with xml.inside("cac:OrderReference"):
            xml.leaf("cbc:ID", facts.order)
        for each in facts.preceding:
            with xml.inside("cac:BillingReference"), xml.inside("cac:InvoiceDocumentReference"):
                xml.leaf("cbc:ID", each.number)
                xml.leaf("cbc:IssueDate", str(each.issued_on))
        with xml.inside("cac:ContractDocumentReference"):
            xml.leaf("cbc:ID", facts.contract)
        with xml.inside("cac:AccountingSupplierParty"):
            _party(xml, facts.seller, seller=True, outside=outside)
        with xml.inside("cac:AccountingCustomerParty"):
            _party(xml, facts.buyer, seller=False, outside=outside)
        _payment(xml, invoice)
        for each_allowance in invoice.allowances:
            _allowance(xml, each_allowance, facts.currency)
        _taxes(xml, invoice)
        _totals(xml, invoice)
        for line in invoice.lines:
            _line(xml, line, invoice)
    return xml.bytes()


def _period(xml: Xml, starts_on: date, until: date) -> None:
    with xml.inside("cac:InvoicePeriod"):
        xml.leaf("cbc:StartDate", str(starts_on))
        xml.leaf("cbc:EndDate", str(until - timedelta(days=1)))


def _party(xml: Xml, party: Party, *, seller: bool, outside: bool) -> None:
    """`outside` the scope of tax no VAT id may stand on the document (BR-O-02)."""
    with xml.inside("cac:Party"):
        xml.leaf("cbc:EndpointID", party.email, schemeID="EM")
        with xml.inside("cac:PartyName"):
            xml.leaf("cbc:Name", party.name)
        with xml.inside("cac:PostalAddress"):
            xml.leaf("cbc:StreetName", party.address.street)
            xml.leaf("cbc:CityName", party.address.city)
            xml.leaf("cbc:PostalZone", party.address.postcode)
            with xml.inside("cac:Country"):
                xml.leaf("cbc:IdentificationCode", party.address.country)
        for number, scheme in (("" if outside else party.vat_id, "VAT"), (party.tax_number if seller else "", "FC")):
            if number:
                with xml.inside("cac:PartyTaxScheme"):
                    xml.leaf("cbc:CompanyID", number)
                    _scheme(xml, scheme)
        with xml.inside("cac:PartyLegalEntity"):
            xml.leaf("cbc:RegistrationName", party.name)
            xml.leaf("cbc:CompanyID", party.register)
        with xml.inside("cac:Contact"):
            xml.leaf("cbc:Name", party.contact)
            xml.leaf("cbc:Telephone", party.phone)
            xml.leaf("cbc:ElectronicMail", party.email)


def _scheme(xml: Xml, name: str = "VAT") -> None:
    with xml.inside("cac:TaxScheme"):
        xml.leaf("cbc:ID", name)


def _payment(xml: Xml, invoice: Invoice) -> None:
    facts = invoice.facts
    payment = facts.payment
    with xml.inside("cac:PaymentMeans"):
        code = (_SEPA_TRANSFER if facts.currency == "EUR" else _TRANSFER) if payment.iban else _CREDIT
        xml.leaf("cbc:PaymentMeansCode", code)
        if facts.kind == "381":
            xml.leaf("cbc:PaymentDueDate", str(facts.due_on))
        xml.leaf("cbc:PaymentID", (payment.reference or facts.number) if payment.iban else "")
        with xml.inside("cac:PayeeFinancialAccount"):
            xml.leaf("cbc:ID", payment.iban)
            xml.leaf("cbc:Name", facts.seller.name if payment.iban else "")
            with xml.inside("cac:FinancialInstitutionBranch"):
                xml.leaf("cbc:ID", payment.bic)
    with xml.inside("cac:PaymentTerms"):
        xml.leaf("cbc:Note", payment.terms)


def _allowance(xml: Xml, each: Allowance, currency: str) -> None:
    with xml.inside("cac:AllowanceCharge"):
        xml.leaf("cbc:ChargeIndicator", "false")
        xml.leaf("cbc:AllowanceChargeReasonCode", each.code)
        xml.leaf("cbc:AllowanceChargeReason", each.reason)
        xml.leaf("cbc:Amount", show_minor(each.amount_minor, currency), currencyID=currency)
        _category(xml, each.tax, "cac:TaxCategory")


def _category(xml: Xml, tax: Tax, element: str, *, explained: bool = False) -> None:
    with xml.inside(element):
        xml.leaf("cbc:ID", tax.category)
        if tax.category != "O":
            xml.leaf("cbc:Percent", plain_decimal(tax.percent))
        if explained:
            xml.leaf("cbc:TaxExemptionReasonCode", tax.code)
            xml.leaf("cbc:TaxExemptionReason", tax.reason)
        _scheme(xml)


def _taxes(xml: Xml, invoice: Invoice) -> None:
    currency = invoice.facts.currency
    with xml.inside("cac:TaxTotal"):
        xml.leaf("cbc:TaxAmount", show_minor(invoice.totals.tax_minor, currency), currencyID=currency)
        for row in invoice.taxes:
            _tax_row(xml, row, currency)
    if own := invoice.accounting:
        with xml.inside("cac:TaxTotal"):
            xml.leaf("cbc:TaxAmount", show_minor(own.tax_minor, own.currency), currencyID=own.currency)


def _tax_row(xml: Xml, row: TaxLine, currency: str) -> None:
    with xml.inside("cac:TaxSubtotal"):
        xml.leaf("cbc:TaxableAmount", show_minor(row.base_minor, currency), currencyID=currency)
        xml.leaf("cbc:TaxAmount", show_minor(row.amount_minor, currency), currencyID=currency)
        _category(xml, row.tax, "cac:TaxCategory", explained=True)


def _totals(xml: Xml, invoice: Invoice) -> None:
    totals, currency = invoice.totals, invoice.facts.currency
    rows: Iterator[tuple[str, int, bool]] = iter((
        ("LineExtensionAmount", totals.lines_minor, True),
        ("TaxExclusiveAmount", totals.without_tax_minor, True),
        ("TaxInclusiveAmount", totals.with_tax_minor, True),
        ("AllowanceTotalAmount", totals.allowances_minor, bool(invoice.allowances)),
        ("PrepaidAmount", totals.paid_minor, bool(totals.paid_minor)),
        ("PayableAmount", totals.payable_minor, True),
    ))  # fmt: skip
    with xml.inside("cac:LegalMonetaryTotal"):
        for name, amount, present in rows:
            xml.leaf(f"cbc:{name}", show_minor(amount, currency) if present else "", currencyID=currency)


def _line(xml: Xml, line: Line, invoice: Invoice) -> None:
    currency, credit = invoice.facts.currency, invoice.facts.kind == "381"
    unit = UNITS[line.unit]
    with xml.inside("cac:CreditNoteLine" if credit else "cac:InvoiceLine"):
        xml.leaf("cbc:ID", line.id)
        quantity = plain_decimal(line.quantity)
        xml.leaf("cbc:CreditedQuantity" if credit else "cbc:InvoicedQuantity", quantity, unitCode=unit)
        xml.leaf("cbc:LineExtensionAmount", show_minor(line.net_minor, currency), currencyID=currency)
        _period(xml, line.starts_on, line.until)
        with xml.inside("cac:Item"):
            xml.leaf("cbc:Description", line.about)
            xml.leaf("cbc:Name", line.name)
            _category(xml, line.tax, "cac:ClassifiedTaxCategory")
        with xml.inside("cac:Price"):
            xml.leaf("cbc:PriceAmount", plain_decimal(line.price), currencyID=currency)
            xml.leaf("cbc:BaseQuantity", str(line.per), unitCode=unit)
            if line.list_price is not None and line.list_price != line.price:
                _discount(xml, line.list_price, line.price, currency)


def _discount(xml: Xml, list_price: Decimal, price: Decimal, currency: str) -> None:
    with xml.inside("cac:AllowanceCharge"):
        xml.leaf("cbc:ChargeIndicator", "false")
        xml.leaf("cbc:Amount", plain_decimal(list_price - price), currencyID=currency)
        xml.leaf("cbc:BaseAmount", plain_decimal(list_price), currencyID=currency)
