"""Canonical JSON: the one form of an invoice that is hashed.

Keys in alphabetical order, no blanks, UTF-8, decimals and dates as text, amounts as integers: the same bytes on every
machine, whatever wrote them.
"""

import hashlib
from decimal import Decimal

import msgspec

from entrepot.billing.invoice import Invoice, InvoiceBroken

VERSION = 1
_encoder = msgspec.json.Encoder(order="sorted", decimal_format="string")


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: int
    invoice: Invoice


def to_json(invoice: Invoice) -> bytes:
    """The canonical bytes, with a line feed at their end."""
    return _encoder.encode(_Document(format=VERSION, invoice=invoice)) + b"\n"


def from_json(data: bytes) -> Invoice:
    """The invoice of canonical bytes; raises InvoiceBroken for what is none, or was written in another form."""
    try:
        document = msgspec.json.decode(data, type=_Document)
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvoiceBroken(f"this is no invoice in canonical JSON: {error}") from None
    if document.format != VERSION:
        raise InvoiceBroken(f"this invoice has format {document.format}; this version reads {VERSION}")
    if to_json(document.invoice) != data:
        raise InvoiceBroken("this invoice is not in canonical form: its bytes differ from those we write")
    return document.invoice


def digest(invoice: Invoice) -> str:
    """SHA-256 of the canonical bytes, in hexadecimal."""
    return hashlib.sha256(to_json(invoice)).hexdigest()


def plain_decimal(value: Decimal) -> str:
    """Digits without exponent and without trailing zeros: `2.5`, `1000000`."""
    text = f"{value:f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text
