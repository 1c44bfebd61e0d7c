"""Whether a month may be billed: never twice, and anew only where nobody got its money back."""

from sqlalchemy import Connection

from entrepot.billing.states import state_of
from entrepot.billing.tables import read_issued
from entrepot.kernel.errors import EntrepotError, Fault


class InvoiceExists(EntrepotError):
    """The usage of this customer and month is billed already."""

    code = "invoice_exists"
    fault = Fault.CALLER


def free_name(connection: Connection, customer: str, month: str) -> str:
    """The name of this month's draft. Raises InvoiceExists where the month is billed and not free again: not credited
    in full, or what was billed went back to the balance."""
    name, count, documents = f"{customer}:{month}", 1, read_issued(connection, customer=customer)
    for each in documents:
        if each.purpose != "usage" or each.month != month:
            continue
        if state_of(each.standing) == "credited" and not each.freed_at:
            notes = [note.number for note in documents if note.credits == each.number]
            raise InvoiceExists(
                f"{each.number} was paid with credit, and all of it went back to the balance of {customer}, with "
                f"{' and '.join(notes)}: nothing that it billed is billed again. What was used or corrected since "
                "stands on the next invoice"
            )
        if not each.freed_at:
            raise InvoiceExists(
                f"{each.number} bills {customer} for {month} already. What was used or corrected since stands on the "
                f"next invoice; to bill the month anew, credit it in full: entrepot invoice credit-note {each.number} "
                "--all"
            )
        count += 1
    return name if count == 1 else f"{name}:{count}"
