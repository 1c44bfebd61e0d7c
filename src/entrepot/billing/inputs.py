"""What an invoice is made of, kept beside the document with the hash of each part on it. Pure.

From these bytes the same document comes out again byte for byte, whatever was published, signed or installed since
(`remade`). Parts are only ever appended, with defaults.
"""

import hashlib
from collections.abc import Mapping
from decimal import Decimal

import msgspec

from entrepot.billing import vat
from entrepot.billing.invoice import Input, InvoiceBroken, Reference
from entrepot.catalog import parties
from entrepot.ledger.grant_tables import Purchase
from entrepot.rating.line import Rated

VERSION = 1
_encode = msgspec.json.Encoder(order="sorted", decimal_format="string").encode


class DocumentRate(msgspec.Struct, frozen=True, kw_only=True):
    """One rate of exchange per document: units of `currency` for one of the document's, and whose rate it is."""

    currency: str
    rate: Decimal
    source: str


class Burned(msgspec.Struct, frozen=True, kw_only=True):
    """What the month's usage burned of a prepaid balance, in ledger units: credit that was given; credit on whose
    purchase the tax was paid, with the invoices of those purchases; credit that is taxed as it burns."""

    promo: int = 0
    taxed: int = 0
    untaxed: int = 0
    advances: tuple[Reference, ...] = ()


class UsageInputs(msgspec.Struct, frozen=True, kw_only=True, tag="usage"):
    """Everything an invoice of usage is made of but its number and its day. `burned` None: the customer pays by
    invoice."""

    format: int = VERSION
    rated: Rated
    seller: parties.Seller
    buyer: parties.Buyer
    contract: str = ""
    rates: tuple[vat.Rate, ...]
    burned: Burned | None = None
    document_rate: DocumentRate | None = None
    usage: str = ""  # hash of the rollup of this customer up to the end of the period

    @property
    def month(self) -> str:
        return self.rated.starts_on[:7]


class AdvanceInputs(msgspec.Struct, frozen=True, kw_only=True, tag="top-up"):
    """Everything the invoice of a purchase of credit is made of but its number and its day."""

    format: int = VERSION
    purchase: Purchase
    seller: parties.Seller
    buyer: parties.Buyer
    contract: str = ""


Inputs = UsageInputs | AdvanceInputs


def sealed(parts: Mapping[str, object], hashes: Mapping[str, str]) -> tuple[Input, ...]:
    """Each part that there is with the hash of its canonical JSON, beside hashes that are known already."""
    ours = {name: hashlib.sha256(_encode(value)).hexdigest() for name, value in parts.items() if value is not None}
    named = {**{name: digest for name, digest in hashes.items() if digest}, **ours}
    return tuple(Input(name=name, sha256=digest) for name, digest in sorted(named.items()))


def to_bytes(inputs: Inputs) -> bytes:
    """Canonical: the same value gives the same bytes."""
    return _encode(inputs)


def from_bytes(data: bytes) -> Inputs:
    """Inverse of `to_bytes`; raises InvoiceBroken for what another version wrote."""
    try:
        found: Inputs = msgspec.json.decode(data, type=UsageInputs | AdvanceInputs)
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvoiceBroken(f"these are no inputs of an invoice: {error}") from None
    if found.format != VERSION:
        raise InvoiceBroken(f"these inputs have format {found.format}; this version reads {VERSION}")
    return found


def usage_from_bytes(data: bytes) -> UsageInputs:
    """Of an invoice of usage."""
    found = from_bytes(data)
    if not isinstance(found, UsageInputs):
        raise InvoiceBroken("these are the inputs of a purchase, not of usage")
    return found
