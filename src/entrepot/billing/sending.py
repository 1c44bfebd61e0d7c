"""Whether a document can be handed out in the format that its customer gets, asked before it is issued: what is issued
never changes, so a missing address would be missing for ever. Pure."""

from entrepot.billing.document.ubl import to_ubl
from entrepot.billing.document.xrechnung import check_xrechnung
from entrepot.billing.invoice import Invoice, numbered
from entrepot.catalog import parties

#: What to write where, for what the catalog does not ask of everybody.
_CONTACT = "give operator.contact name, phone and email"
_REMEDIES = {
    "PEPPOL-R010": "give customer.{customer}.about.email", "PEPPOL-R020": _CONTACT, "BR-DE-2": _CONTACT,
    "BR-DE-5": _CONTACT, "BR-DE-6": _CONTACT, "BR-DE-7": _CONTACT, "BR-DE-1": "give operator.invoice.iban",
}  # fmt: skip


def cannot_be_sent(invoice: Invoice, buyer: parties.Buyer, customer: str) -> list[str]:
    """Rules of the customer's format that a draft breaks, each with what to do; empty: it can be sent."""
    if buyer.format != "xrechnung":
        return []
    facts = invoice.facts
    as_issued = numbered(invoice, facts.number or "draft", facts.issued_on, facts.due_on)
    found: dict[str, str] = {}
    for each in check_xrechnung(to_ubl(as_issued, xrechnung=True)).findings:
        do = _REMEDIES.get(each.rule, f"{each.where} is where it does not hold").format(customer=customer)
        found.setdefault(do, f"{each.text} ({each.rule}): {do}")
    return [
        f'{customer} is to get an XRechnung (pays.format = "xrechnung"), in which {words}; entrepot apply FILE, then '
        "draft again"
        for words in found.values()
    ]
