"""What XRechnung 3.0 asks beyond EN 16931: the BR-DE rules, in our own words.

Numbers as in the standard (KoSIT, XRechnung 3.0.2). No official rule file is at hand here, so these are ours alone.
"""

import re
from collections.abc import Iterator

from entrepot.billing.document.en16931 import BUYER, SELLER, Finding, Report, Rule, check
from entrepot.billing.document.tree import Node
from entrepot.billing.document.ubl import XRECHNUNG

_PHONE = re.compile(r"(?:\D*\d){3}")
_EMAIL = re.compile(r"[^@\s.](?:[^@\s]*[^@\s.])?@[^@\s.](?:[^@\s]*[^@\s.])?")
_LEITWEG = re.compile(r"(\d{2,12})(?:-([0-9A-Za-z]{1,30}))?-(\d{2})")
_TYPES = ("326", "380", "384", "389", "381", "875", "876", "877")
_CONTACT = f"{SELLER}/cac:Contact"
_TAXED = ("S", "Z", "E", "AE", "K", "G", "L", "M")


def check_xrechnung(data: bytes) -> Report:
    """EN 16931 and the national rules together."""
    return check(data, _places)


def leitweg_is_right(reference: str) -> bool:
    """Whether a Leitweg-ID is well formed and its two check digits fit (ISO 7064 mod 97-10 over its letters as numbers,
    Leitweg-ID format specification 2.0.2)."""
    found = _LEITWEG.fullmatch(reference)
    if found is None:
        return False
    digits = "".join(str(int(each, 36)) for each in f"{found[1]}{found[2] or ''}{found[3]}".upper())
    return int(digits) % 97 == 1


def _places(root: Node) -> Iterator[tuple[str, Node, tuple[Rule, ...]]]:
    yield "document", root, DOCUMENT
    for number, each in enumerate(root.all("cac:PaymentMeans"), 1):
        yield f"payment {number}", each, PAYMENT
    for number, each in enumerate(root.all("cac:TaxTotal/cac:TaxSubtotal"), 1):
        yield f"tax row {number}", each, TAX_ROW


def _numbered(root: Node) -> bool:
    used = {each.text("cbc:ID") for each in root.all("//cac:ClassifiedTaxCategory")}
    return not used & set(_TAXED) or root.has(f"{SELLER}/cac:PartyTaxScheme/cbc:CompanyID")


def _files_differ(root: Node) -> bool:
    names = [each.attribute("filename") or "" for each in root.all("//cbc:EmbeddedDocumentBinaryObject")]
    return len(names) == len(set(names))


DOCUMENT: tuple[Rule, ...] = (
    ("BR-DE-1", "the document says how to pay", lambda n, _: n.has("cac:PaymentMeans")),
    ("BR-DE-2", "the seller names a contact", lambda n, _: n.has(_CONTACT)),
    ("BR-DE-3", "the seller's address has a city",
     lambda n, _: bool(n.text(f"{SELLER}/cac:PostalAddress/cbc:CityName"))),
    ("BR-DE-4", "the seller's address has a post code",
     lambda n, _: bool(n.text(f"{SELLER}/cac:PostalAddress/cbc:PostalZone"))),
    ("BR-DE-5", "the seller's contact has a name", lambda n, _: bool(n.text(f"{_CONTACT}/cbc:Name"))),
    ("BR-DE-6", "the seller's contact has a telephone", lambda n, _: bool(n.text(f"{_CONTACT}/cbc:Telephone"))),
    ("BR-DE-7", "the seller's contact has an e-mail address",
     lambda n, _: bool(n.text(f"{_CONTACT}/cbc:ElectronicMail"))),
    ("BR-DE-8", "the buyer's address has a city", lambda n, _: bool(n.text(f"{BUYER}/cac:PostalAddress/cbc:CityName"))),
    ("BR-DE-9", "the buyer's address has a post code",
     lambda n, _: bool(n.text(f"{BUYER}/cac:PostalAddress/cbc:PostalZone"))),
    ("BR-DE-15", "the buyer's reference is given (in the public sector the Leitweg-ID)",
     lambda n, _: bool(n.text("cbc:BuyerReference"))),
    ("BR-DE-16", "the seller gives a VAT id or tax number where tax categories are used", lambda n, _: _numbered(n)),
    ("BR-DE-17", "the type of the document is one that XRechnung knows",
     lambda n, _: n.text(f"cbc:{n.name}TypeCode") in _TYPES),
    ("BR-DE-21", "the document says that it follows XRechnung 3.0",
     lambda n, _: n.text("cbc:CustomizationID") == XRECHNUNG),
    ("BR-DE-22", "attached files have names of their own", lambda n, _: _files_differ(n)),
    ("BR-DE-26", "a corrected invoice names the one that it corrects",
     lambda n, _: n.text("cbc:InvoiceTypeCode") != "384" or n.has("cac:BillingReference")),
    ("BR-DE-27", "the seller's telephone has at least three digits",
     lambda n, _: not n.text(f"{_CONTACT}/cbc:Telephone") or bool(_PHONE.match(n.text(f"{_CONTACT}/cbc:Telephone")))),
    ("BR-DE-28", "the seller's e-mail address has one @ and no point at either side of it",
     lambda n, _: not n.text(f"{_CONTACT}/cbc:ElectronicMail")
     or bool(_EMAIL.fullmatch(n.text(f"{_CONTACT}/cbc:ElectronicMail")))),
    ("BR-DE-TMP-32", "the document says when it was delivered, or which period it is about",
     lambda n, _: n.has("cac:Delivery/cbc:ActualDeliveryDate") or n.has("cac:InvoicePeriod")),
    ("PEPPOL-R010", "the buyer has an electronic address", lambda n, _: bool(n.text(f"{BUYER}/cbc:EndpointID"))),
    ("PEPPOL-R020", "the seller has an electronic address", lambda n, _: bool(n.text(f"{SELLER}/cbc:EndpointID"))),
    ("PEPPOL-R001", "the document names its business process", lambda n, _: bool(n.text("cbc:ProfileID"))),
)  # fmt: skip

PAYMENT: tuple[Rule, ...] = (
    ("BR-DE-19", "a SEPA transfer goes to a right IBAN",
     lambda n, _: n.text("cbc:PaymentMeansCode") != "58" or iban_is_right(n.text("cac:PayeeFinancialAccount/cbc:ID"))),
    ("BR-DE-23-a", "a transfer names the account, and nothing about cards or debits",
     lambda n, _: n.text("cbc:PaymentMeansCode") not in ("30", "58") or n.has("cac:PayeeFinancialAccount")),
    ("BR-DE-23-b", "a transfer has neither card nor mandate",
     lambda n, _: n.text("cbc:PaymentMeansCode") not in ("30", "58")
     or not (n.has("cac:CardAccount") or n.has("cac:PaymentMandate"))),
)  # fmt: skip

TAX_ROW: tuple[Rule, ...] = (
    ("BR-DE-14", "every tax row has its rate",
     lambda n, _: n.has("cac:TaxCategory/cbc:Percent") or n.text("cac:TaxCategory/cbc:ID") == "O"),
)  # fmt: skip


def iban_is_right(iban: str) -> bool:
    """ISO 13616: two letters, two check digits, then letters and digits; mod 97 is 1."""
    packed = iban.replace(" ", "").upper()
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", packed):
        return False
    return int("".join(str(int(each, 36)) for each in packed[4:] + packed[:4])) % 97 == 1


__all__ = ["Finding", "check_xrechnung", "iban_is_right", "leitweg_is_right"]
