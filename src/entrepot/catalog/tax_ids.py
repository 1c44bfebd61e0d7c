"""Check digits of what identifies a party to tax offices and banks. Pure; an empty answer: nothing is wrong."""

from stdnum import iban
from stdnum.eu import vat
from stdnum.exceptions import InvalidChecksum, ValidationError

from entrepot.kernel.countries import EU

#: Greece writes its VAT ids with EL.
_PREFIX = {"GR": "EL"}


def packed(number: str) -> str:
    """Without blanks, in capitals: as it stands in an e-invoice."""
    return "".join(number.split()).upper()


def vat_id_fault(vat_id: str, country: str) -> str:
    """What is wrong with a VAT id of `country`. Outside the EU nothing is checked but that it is letters and digits."""
    number = packed(vat_id)
    if country not in EU:
        plain = number.isalnum() and number.isascii()
        return "" if plain else f"the tax number {vat_id!r} holds more than letters and digits"
    prefix = _PREFIX.get(country, country)
    if not number.startswith(prefix):
        return f"the VAT id {vat_id!r} does not begin with {prefix}, as those of {country} do"
    try:
        vat.validate(number)
    except ValidationError as error:
        return f"the VAT id {vat_id!r} is not right: {_said(error)}"
    return ""


def iban_fault(number: str) -> str:
    """What is wrong with an account number."""
    try:
        iban.validate(number)
    except ValidationError as error:
        return f"the IBAN {number!r} is not right: {_said(error)}"
    return ""


def _said(error: ValidationError) -> str:
    if isinstance(error, InvalidChecksum):
        return "its check digits do not fit the others"
    return str(error).rstrip(".").lower()
