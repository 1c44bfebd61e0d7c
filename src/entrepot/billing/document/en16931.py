"""The business rules of EN 16931 on a UBL document, without any other program.

Each rule has the number of the norm (its artefacts 1.3.16) and our own words. Rules on things that we never write
(payee, tax representative, charges on a line, other tax categories) are not here: ENTREPOT-1 checks that none occurs.
"""

from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from entrepot.billing.document.codes import (
    CHARGE_REASONS,
    CURRENCIES,
    ELECTRONIC_ADDRESSES,
    PAYMENT_MEANS,
    TYPES,
    UNIT_CODES,
    VATEX,
)
from entrepot.billing.document.tree import Node, lines, places, read
from entrepot.kernel.countries import COUNTRIES

CENT = Decimal("0.01")
SELLER, BUYER = "cac:AccountingSupplierParty/cac:Party", "cac:AccountingCustomerParty/cac:Party"
_AMOUNTS = ("Amount", "BaseAmount", "PriceAmount", "TaxAmount", "TaxableAmount", "LineExtensionAmount", "PayableAmount")
CATEGORIES = ("S", "AE", "G", "O", "E", "Z")
_NEVER = (
    "cac:PayeeParty", "cac:TaxRepresentativeParty", "cac:InvoiceLine/cac:AllowanceCharge", "cac:Delivery",
    "cac:CreditNoteLine/cac:AllowanceCharge", "cac:AdditionalDocumentReference", "cbc:TaxPointDate",
    "cac:PaymentMeans/cac:CardAccount", "cac:PaymentMeans/cac:PaymentMandate",
    "cac:LegalMonetaryTotal/cbc:PayableRoundingAmount", "cac:LegalMonetaryTotal/cbc:ChargeTotalAmount",
)  # fmt: skip


class Finding(msgspec.Struct, frozen=True):
    """A rule that does not hold, and where."""

    rule: str
    where: str
    text: str


class Report(msgspec.Struct, frozen=True):
    """Which rules were looked at (each with how many places it applied to), and what does not hold."""

    fired: dict[str, int]
    findings: tuple[Finding, ...]


Rule = tuple[str, str, Callable[[Node, Node], bool]]  # number, our words, whether it holds at (place, root)


def check(data: bytes, more: Callable[[Node], Iterator[tuple[str, Node, tuple[Rule, ...]]]] | None = None) -> Report:
    """Apply every rule; `more` adds those of a national profile."""
    root = read(data)
    fired: dict[str, int] = {}
    findings: list[Finding] = []
    places_of = [*_places(root), *(more(root) if more else ())]
    for where, node, rules in places_of:
        for number, text, holds in rules:
            fired[number] = fired.get(number, 0) + 1
            if not holds(node, root):
                findings.append(Finding(number, where, text))
    return Report(fired, tuple(findings))


def _places(root: Node) -> Iterator[tuple[str, Node, tuple[Rule, ...]]]:
    yield "document", root, DOCUMENT
    if totals := root.first("cac:LegalMonetaryTotal"):
        yield "totals", totals, TOTALS
    for line in lines(root):
        yield f"line {line.text('cbc:ID')}", line, LINE
    for number, each in enumerate(root.all("cac:AllowanceCharge"), 1):
        yield f"allowance {number}", each, ALLOWANCE
    for number, each in enumerate(root.all("cac:TaxTotal/cac:TaxSubtotal"), 1):
        yield f"tax row {number}", each, TAX_ROW
    for number, each in enumerate(root.all("cac:PaymentMeans"), 1):
        yield f"payment {number}", each, PAYMENT
    for each in root.all("//cac:InvoicePeriod"):
        yield "period", each, PERIOD
    for each in root.all("cac:BillingReference"):
        yield "preceding document", each, PRECEDING
    for path in (SELLER, BUYER):
        for each in root.all(f"{path}/cac:PartyTaxScheme"):
            if each.text("cac:TaxScheme/cbc:ID") == "VAT":
                yield f"{path} VAT id", each, VAT_ID
    for each in root.all("//cbc:EndpointID"):
        yield "electronic address", each, ADDRESS
    for each in root.all("//cac:Country"):
        yield "country", each, COUNTRY
    for each in [*root.all("//cac:TaxCategory"), *root.all("//cac:ClassifiedTaxCategory")]:
        yield "tax category", each, CATEGORY
    for name in _AMOUNTS:
        for each in root.all(f"//cbc:{name}"):
            yield name, each, AMOUNT


def rounded(value: Decimal) -> Decimal:
    """To cents, half away from zero."""
    return value.quantize(CENT, ROUND_HALF_UP)


def _currency(root: Node) -> str:
    return root.text("cbc:DocumentCurrencyCode")


def _tax_total(root: Node) -> Node | None:
    """The tax total in the document's currency, if there is exactly one."""
    currency = _currency(root)
    found = [e for e in root.all("cac:TaxTotal/cbc:TaxAmount") if e.attribute("currencyID") == currency]
    return found[0] if len(found) == 1 else None


def _uses(root: Node, category: str) -> bool:
    return any(
        each.text("cbc:ID") == category
        for path in ("//cac:ClassifiedTaxCategory", "cac:AllowanceCharge/cac:TaxCategory")
        for each in root.all(path)
    )


def _breakdowns(root: Node, category: str) -> list[Node]:
    rows = root.all("cac:TaxTotal/cac:TaxSubtotal")
    return [each for each in rows if each.text("cac:TaxCategory/cbc:ID") == category]


def _vat_ids(root: Node, party: str) -> list[str]:
    return [
        each.text("cbc:CompanyID")
        for each in root.all(f"{party}/cac:PartyTaxScheme")
        if each.text("cac:TaxScheme/cbc:ID") == "VAT"
    ]


def _one_breakdown(category: str) -> Callable[[Node, Node], bool]:
    def holds(_: Node, root: Node) -> bool:
        found = len(_breakdowns(root, category))
        if not _uses(root, category):
            return found == 0
        return found >= 1 if category == "S" else found == 1

    return holds


def _parties(category: str) -> Callable[[Node, Node], bool]:
    """Which numbers of seller and buyer a category needs (or forbids)."""

    def holds(_: Node, root: Node) -> bool:
        if not _uses(root, category):
            return True
        seller = root.has(f"{SELLER}/cac:PartyTaxScheme/cbc:CompanyID")
        if category == "O":
            return not _vat_ids(root, SELLER) and not _vat_ids(root, BUYER)
        if category == "AE":
            return seller and (bool(_vat_ids(root, BUYER)) or root.has(f"{BUYER}/cac:PartyLegalEntity/cbc:CompanyID"))
        return bool(_vat_ids(root, SELLER)) if category == "G" else seller

    return holds


def _only_outside(_: Node, root: Node) -> bool:
    if not _breakdowns(root, "O"):
        return True
    named = [*root.all("//cac:TaxCategory"), *root.all("//cac:ClassifiedTaxCategory")]
    return all(each.text("cbc:ID") == "O" for each in named)


DOCUMENT: tuple[Rule, ...] = (
    ("BR-01", "the document says which specification it follows", lambda n, _: bool(n.text("cbc:CustomizationID"))),
    ("BR-02", "the document has a number", lambda n, _: bool(n.text("cbc:ID"))),
    ("BR-03", "the document has a date of issue", lambda n, _: bool(n.text("cbc:IssueDate"))),
    ("BR-04", "the document has a type", lambda n, _: bool(n.text(f"cbc:{n.name}TypeCode"))),
    ("BR-05", "the document has a currency", lambda n, _: bool(_currency(n))),
    ("BR-06", "the seller has a name",
     lambda n, _: bool(n.text(f"{SELLER}/cac:PartyLegalEntity/cbc:RegistrationName"))),
    ("BR-07", "the buyer has a name", lambda n, _: bool(n.text(f"{BUYER}/cac:PartyLegalEntity/cbc:RegistrationName"))),
    ("BR-08", "the seller has an address", lambda n, _: n.has(f"{SELLER}/cac:PostalAddress")),
    ("BR-09", "the seller's address has a country",
     lambda n, _: bool(n.text(f"{SELLER}/cac:PostalAddress/cac:Country/cbc:IdentificationCode"))),
    ("BR-10", "the buyer has an address", lambda n, _: n.has(f"{BUYER}/cac:PostalAddress")),
    ("BR-11", "the buyer's address has a country",
     lambda n, _: bool(n.text(f"{BUYER}/cac:PostalAddress/cac:Country/cbc:IdentificationCode"))),
    ("BR-16", "there is at least one line", lambda n, _: any(True for _ in lines(n))),
    ("BR-53", "tax in the accounting currency is given where that currency is named",
     lambda n, _: not n.text("cbc:TaxCurrencyCode") or any(
         e.attribute("currencyID") == n.text("cbc:TaxCurrencyCode") for e in n.all("cac:TaxTotal/cbc:TaxAmount"))),
    ("BR-CO-14", "the tax total is the sum of the tax rows",
     lambda n, _: (total := _tax_total(n)) is not None
     and total.number() == rounded(n.sum("cac:TaxTotal/cac:TaxSubtotal/cbc:TaxAmount"))),
    ("BR-CO-15", "the sum with tax is the sum without tax plus the tax",
     lambda n, _: (total := _tax_total(n)) is not None
     and n.number("cac:LegalMonetaryTotal/cbc:TaxInclusiveAmount")
     == (n.number("cac:LegalMonetaryTotal/cbc:TaxExclusiveAmount") or Decimal(0)) + (total.number() or Decimal(0))),
    ("BR-CO-18", "there is a tax table", lambda n, _: n.has("cac:TaxTotal/cac:TaxSubtotal")),
    ("BR-CO-25", "with something to pay there is a due date or terms of payment",
     lambda n, _: not (n.number("cac:LegalMonetaryTotal/cbc:PayableAmount") or 0) > 0 or bool(
         n.text("cbc:DueDate") or n.text("cac:PaymentMeans/cbc:PaymentDueDate")
         or n.text("cac:PaymentTerms/cbc:Note"))),
    ("BR-CO-26", "the seller can be told by a VAT id, an identifier or its register",
     lambda n, _: bool(_vat_ids(n, SELLER)) or n.has(f"{SELLER}/cac:PartyIdentification/cbc:ID")
     or n.has(f"{SELLER}/cac:PartyLegalEntity/cbc:CompanyID")),
    ("BR-DEC-13", "the tax total has at most two decimals",
     lambda n, _: all(places(e.text()) <= 2 for e in n.all("cac:TaxTotal/cbc:TaxAmount"))),
    ("BR-CL-01", "the type of the document is one of UNTDID 1001",
     lambda n, _: n.text(f"cbc:{n.name}TypeCode") in TYPES[n.name]),
    ("BR-CL-04", "the currency is one of ISO 4217", lambda n, _: _currency(n) in CURRENCIES),
    ("BR-CL-05", "the accounting currency is one of ISO 4217",
     lambda n, _: n.text("cbc:TaxCurrencyCode") in ("", *CURRENCIES)),
    *((f"BR-{category}-01", f"category {category} has its row in the tax table where it is used, and only there",
       _one_breakdown(category)) for category in CATEGORIES),
    *((f"BR-{category}-02", f"category {category} goes with the tax numbers that it needs", _parties(category))
      for category in CATEGORIES),
    ("BR-O-11", "what is outside the scope of tax stands alone", _only_outside),
    ("ENTREPOT-1", "nothing stands here that these rules do not look at",
     lambda n, _: not any(n.has(path) for path in _NEVER)),
)  # fmt: skip


def _two(name: str) -> Callable[[Node, Node], bool]:
    return lambda n, _: places(n.text(f"cbc:{name}")) <= 2


def _allowances(root: Node) -> Decimal:
    return sum(
        (each.number("cbc:Amount") or Decimal(0) for each in root.all("cac:AllowanceCharge")
         if each.text("cbc:ChargeIndicator") == "false"), Decimal(0),
    )  # fmt: skip


def _zero(value: Decimal | None) -> Decimal:
    return Decimal(0) if value is None else value


TOTALS: tuple[Rule, ...] = (
    ("BR-12", "the sum of the lines is given", lambda n, _: n.has("cbc:LineExtensionAmount")),
    ("BR-13", "the sum without tax is given", lambda n, _: n.has("cbc:TaxExclusiveAmount")),
    ("BR-14", "the sum with tax is given", lambda n, _: n.has("cbc:TaxInclusiveAmount")),
    ("BR-15", "what is to be paid is given", lambda n, _: n.has("cbc:PayableAmount")),
    ("BR-CO-10", "the sum of the lines is the sum of what stands on them",
     lambda n, r: n.number("cbc:LineExtensionAmount")
     == rounded(sum((_zero(line.number("cbc:LineExtensionAmount")) for line in lines(r)), Decimal(0)))),
    ("BR-CO-11", "the sum of the allowances is the sum of what stands on them",
     lambda n, r: _zero(n.number("cbc:AllowanceTotalAmount")) == rounded(_allowances(r))
     and (n.has("cbc:AllowanceTotalAmount") or not r.has("cac:AllowanceCharge"))),
    ("BR-CO-13", "the sum without tax is that of the lines less the allowances",
     lambda n, _: n.number("cbc:TaxExclusiveAmount")
     == rounded(_zero(n.number("cbc:LineExtensionAmount")) - _zero(n.number("cbc:AllowanceTotalAmount")))),
    ("BR-CO-16", "what is to be paid is the sum with tax less what is paid",
     lambda n, _: n.number("cbc:PayableAmount")
     == rounded(_zero(n.number("cbc:TaxInclusiveAmount")) - _zero(n.number("cbc:PrepaidAmount")))),
    ("BR-DEC-09", "the sum of the lines has at most two decimals", _two("LineExtensionAmount")),
    ("BR-DEC-10", "the sum of the allowances has at most two decimals", _two("AllowanceTotalAmount")),
    ("BR-DEC-12", "the sum without tax has at most two decimals", _two("TaxExclusiveAmount")),
    ("BR-DEC-14", "the sum with tax has at most two decimals", _two("TaxInclusiveAmount")),
    ("BR-DEC-16", "what is paid has at most two decimals", _two("PrepaidAmount")),
    ("BR-DEC-18", "what is to be paid has at most two decimals", _two("PayableAmount")),
)  # fmt: skip


def _quantity(line: Node) -> Node | None:
    return line.first("cbc:InvoicedQuantity") or line.first("cbc:CreditedQuantity")


LINE: tuple[Rule, ...] = (
    ("BR-21", "a line has a number", lambda n, _: bool(n.text("cbc:ID"))),
    ("BR-22", "a line has a quantity", lambda n, _: _quantity(n) is not None),
    ("BR-23", "a line's quantity has a unit",
     lambda n, _: (q := _quantity(n)) is not None and bool(q.attribute("unitCode"))),
    ("BR-24", "a line has an amount", lambda n, _: n.has("cbc:LineExtensionAmount")),
    ("BR-25", "a line names what is sold", lambda n, _: bool(n.text("cac:Item/cbc:Name"))),
    ("BR-26", "a line has a price", lambda n, _: n.has("cac:Price/cbc:PriceAmount")),
    ("BR-27", "a price is not below zero", lambda n, _: _zero(n.number("cac:Price/cbc:PriceAmount")) >= 0),
    ("BR-28", "a price before discount is not below zero",
     lambda n, _: _zero(n.number("cac:Price/cac:AllowanceCharge/cbc:BaseAmount")) >= 0),
    ("BR-CO-04", "a line has a tax category",
     lambda n, _: bool(n.text("cac:Item/cac:ClassifiedTaxCategory/cbc:ID"))
     and n.text("cac:Item/cac:ClassifiedTaxCategory/cac:TaxScheme/cbc:ID") == "VAT"),
    ("BR-DEC-23", "a line's amount has at most two decimals", _two("LineExtensionAmount")),
    ("BR-CL-23", "a unit is one of UN/ECE Recommendation 20",
     lambda n, _: all(e.attribute("unitCode") in UNIT_CODES
                      for e in (_quantity(n), n.first("cac:Price/cbc:BaseQuantity")) if e is not None)),
)  # fmt: skip

ALLOWANCE: tuple[Rule, ...] = (
    ("BR-31", "an allowance has an amount", lambda n, _: n.has("cbc:Amount")),
    ("BR-32", "an allowance has a tax category", lambda n, _: bool(n.text("cac:TaxCategory/cbc:ID"))),
    ("BR-33", "an allowance has a reason",
     lambda n, _: bool(n.text("cbc:AllowanceChargeReason") or n.text("cbc:AllowanceChargeReasonCode"))),
    ("BR-DEC-01", "an allowance has at most two decimals", _two("Amount")),
    ("BR-CL-19", "the reason of an allowance is one of UNTDID 5189",
     lambda n, _: n.text("cbc:AllowanceChargeReasonCode") in ("", *CHARGE_REASONS)),
)  # fmt: skip


def _base(row: Node, root: Node) -> bool:
    """BR-x-08: a tax row's base is the sum of its lines less its allowances (for S: per rate)."""
    category, rate = row.text("cac:TaxCategory/cbc:ID"), row.number("cac:TaxCategory/cbc:Percent")

    def mine(tax: Node | None) -> bool:
        same = tax is not None and tax.text("cbc:ID") == category
        return same and (category != "S" or (tax is not None and tax.number("cbc:Percent") == rate))

    total = sum(
        (_zero(line.number("cbc:LineExtensionAmount")) for line in lines(root)
         if mine(line.first("cac:Item/cac:ClassifiedTaxCategory"))), Decimal(0),
    ) - sum(
        (_zero(each.number("cbc:Amount")) for each in root.all("cac:AllowanceCharge")
         if mine(each.first("cac:TaxCategory"))), Decimal(0),
    )  # fmt: skip
    return row.number("cbc:TaxableAmount") == rounded(total)


def _tax(row: Node, root: Node) -> bool:
    """In a credit note up to the cent that lies between two rounded taxes and their difference."""
    tax = _zero(row.number("cac:TaxCategory/cbc:Percent")) * _zero(row.number("cbc:TaxableAmount")) / 100
    return abs(_zero(row.number("cbc:TaxAmount")) - rounded(tax)) <= (CENT if root.name == "CreditNote" else 0)


def _explained(row: Node, _: Node) -> bool:
    given = row.has("cac:TaxCategory/cbc:TaxExemptionReason") or row.has("cac:TaxCategory/cbc:TaxExemptionReasonCode")
    return given == (row.text("cac:TaxCategory/cbc:ID") in ("AE", "G", "O", "E"))


def _of(category: str, rule: Callable[[Node, Node], bool]) -> Callable[[Node, Node], bool]:
    """A rule that concerns the rows of one category."""
    return lambda row, root: row.text("cac:TaxCategory/cbc:ID") != category or rule(row, root)


TAX_ROW: tuple[Rule, ...] = (
    ("BR-45", "a tax row has its base", lambda n, _: n.has("cbc:TaxableAmount")),
    ("BR-46", "a tax row has its tax", lambda n, _: n.has("cbc:TaxAmount")),
    ("BR-47", "a tax row has its category", lambda n, _: bool(n.text("cac:TaxCategory/cbc:ID"))),
    ("BR-48", "a tax row has its rate, unless it is outside the scope",
     lambda n, _: n.has("cac:TaxCategory/cbc:Percent") or n.text("cac:TaxCategory/cbc:ID") == "O"),
    ("BR-CO-17", "the tax of a row is its base times its rate", _tax),
    ("BR-DEC-19", "a tax row's base has at most two decimals", _two("TaxableAmount")),
    ("BR-DEC-20", "a tax row's tax has at most two decimals", _two("TaxAmount")),
    *((f"BR-{c}-08", f"the base of category {c} is the sum of its lines less its allowances", _of(c, _base))
      for c in CATEGORIES),
    *((f"BR-{c}-09", f"the tax of category {c} is its base times its rate", _of(c, _tax)) for c in CATEGORIES),
    *((f"BR-{c}-10", f"category {c} says why there is no tax, if there is none, and only then", _of(c, _explained))
      for c in CATEGORIES),
)  # fmt: skip

PAYMENT: tuple[Rule, ...] = (
    ("BR-49", "how to pay has a code", lambda n, _: bool(n.text("cbc:PaymentMeansCode"))),
    ("BR-50", "an account to pay to has a number",
     lambda n, _: not n.has("cac:PayeeFinancialAccount") or bool(n.text("cac:PayeeFinancialAccount/cbc:ID"))),
    ("BR-61", "a transfer names the account to pay to",
     lambda n, _: n.text("cbc:PaymentMeansCode") not in ("30", "58")
     or bool(n.text("cac:PayeeFinancialAccount/cbc:ID"))),
    ("BR-CL-16", "how to pay is one of UNTDID 4461", lambda n, _: n.text("cbc:PaymentMeansCode") in PAYMENT_MEANS),
)  # fmt: skip

PERIOD: tuple[Rule, ...] = (
    ("BR-29", "a period does not end before it begins",
     lambda n, _: not (n.text("cbc:StartDate") and n.text("cbc:EndDate"))
     or n.text("cbc:EndDate") >= n.text("cbc:StartDate")),
    ("BR-CO-19", "a period has a start or an end", lambda n, _: n.has("cbc:StartDate") or n.has("cbc:EndDate")),
)  # fmt: skip

PRECEDING: tuple[Rule, ...] = (
    ("BR-55", "a preceding document is named by its number",
     lambda n, _: bool(n.text("cac:InvoiceDocumentReference/cbc:ID"))),
)  # fmt: skip

VAT_ID: tuple[Rule, ...] = (
    ("BR-CO-09", "a VAT id begins with its country", lambda n, _: n.text("cbc:CompanyID")[:2] in (*COUNTRIES, "EL")),
)  # fmt: skip

ADDRESS: tuple[Rule, ...] = (
    ("BR-62", "an electronic address says its scheme", lambda n, _: bool(n.attribute("schemeID"))),
    ("BR-CL-25", "the scheme of an electronic address is one of the EAS list",
     lambda n, _: n.attribute("schemeID") in ELECTRONIC_ADDRESSES),
)  # fmt: skip

COUNTRY: tuple[Rule, ...] = (
    ("BR-CL-14", "a country is one of ISO 3166-1", lambda n, _: n.text("cbc:IdentificationCode") in COUNTRIES),
)  # fmt: skip


def _rate_fits(tax: Node, _: Node) -> bool:
    category, rate = tax.text("cbc:ID"), tax.number("cbc:Percent")
    if category == "O":
        return rate is None
    return rate is not None and ((rate > 0) == (category == "S"))


CATEGORY: tuple[Rule, ...] = (
    ("BR-CL-18", "a tax category is one that we use", lambda n, _: n.text("cbc:ID") in CATEGORIES),
    *((f"BR-{c}-05", f"the rate of category {c} is {'above zero' if c == 'S' else 'absent' if c == 'O' else 'zero'}",
       lambda n, r, c=c: n.text("cbc:ID") != c or _rate_fits(n, r)) for c in CATEGORIES),
    ("BR-CL-22", "a reason of exemption is one of the VATEX list",
     lambda n, _: n.text("cbc:TaxExemptionReasonCode") in ("", *VATEX)),
)  # fmt: skip

AMOUNT: tuple[Rule, ...] = (
    ("BR-CL-03", "an amount says its currency", lambda n, _: (n.attribute("currencyID") or "") in CURRENCIES),
)  # fmt: skip
