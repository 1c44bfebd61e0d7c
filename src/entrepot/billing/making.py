"""Any invoice from what it is made of: when it is drafted, when it is issued, and whenever it is made again. Pure."""

from datetime import date

from entrepot.billing.advance import advance
from entrepot.billing.drafting import draft
from entrepot.billing.inputs import Inputs, UsageInputs
from entrepot.billing.invoice import Invoice


def made_of(inputs: Inputs, on: date, number: str = "") -> Invoice:
    """The document of these inputs as of a day; without a number it is a draft. Raises InvoiceBroken."""
    if isinstance(inputs, UsageInputs):
        return draft(inputs, on, number)
    return advance(inputs, on, number)
