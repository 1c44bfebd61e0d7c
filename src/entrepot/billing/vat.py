"""Which tax stands on a line: a table of rates and the rules for services sold between businesses in Europe.

The place of supply of a service to a business is where the business is (Art. 44 of Directive 2006/112/EC). So: at home
the standard rate (S); to a business elsewhere in the EU reverse charge (AE), if its VAT id is right; outside the EU not
subject to VAT (O). A seller below the threshold of small enterprises sells exempt (E). The rates are facts as of the
table's date; an operator may replace any of them, and the table in use is a sealed input of each invoice.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal

import msgspec

from entrepot.billing.invoice import InvoiceBroken, Tax
from entrepot.catalog.parties import TaxRate
from entrepot.catalog.tax_ids import packed, vat_id_fault
from entrepot.kernel.countries import EU

#: Standard rates by country with the day from which they hold (European Commission, "VAT rates applied in the Member
#: States"; national tax offices for CH, GB, NO), as of TABLE_ON.
TABLE_ON = date(2026, 1, 1)
_SINCE: Mapping[str, tuple[tuple[str, str], ...]] = {
    "AT": (("1984-01-01", "20"),), "BE": (("1996-01-01", "21"),), "BG": (("1999-01-01", "20"),),
    "CY": (("2014-01-13", "19"),), "CZ": (("2013-01-01", "21"),), "DE": (("2021-01-01", "19"),),
    "DK": (("1992-01-01", "25"),), "EE": (("2024-01-01", "22"), ("2025-07-01", "24")), "ES": (("2012-09-01", "21"),),
    "FI": (("2013-01-01", "24"), ("2024-09-01", "25.5")), "FR": (("2014-01-01", "20"),), "GR": (("2016-06-01", "24"),),
    "HR": (("2012-03-01", "25"),), "HU": (("2012-01-01", "27"),), "IE": (("2021-03-01", "23"),),
    "IT": (("2013-10-01", "22"),), "LT": (("2009-09-01", "21"),), "LU": (("2024-01-01", "17"),),
    "LV": (("2012-07-01", "21"),), "MT": (("2004-01-01", "18"),), "NL": (("2012-10-01", "21"),),
    "PL": (("2011-01-01", "23"),), "PT": (("2011-01-01", "23"),), "RO": (("2017-01-01", "19"), ("2025-08-01", "21")),
    "SE": (("1990-07-01", "25"),), "SI": (("2013-07-01", "22"),), "SK": (("2011-01-01", "20"), ("2025-01-01", "23")),
    "CH": (("2024-01-01", "8.1"),), "GB": (("2011-01-04", "20"),), "NO": (("2005-01-01", "25"),),
}  # fmt: skip


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """The standard rate of a country from a day on."""

    country: str
    starts_on: date
    percent: Decimal


class Seller(msgspec.Struct, frozen=True, kw_only=True):
    """The seller as the tax rules see it. `registered` are countries; `small`: below the threshold, sells exempt."""

    country: str
    registered: tuple[str, ...]
    small: bool = False
    small_reason: str = ""  # the words the law asks for, "§ 19 UStG"


class Buyer(msgspec.Struct, frozen=True, kw_only=True):
    """The buyer as the tax rules see it; without a VAT id it is taken for a private person or a body that has none."""

    country: str
    vat_id: str = ""


def rates(own: Iterable[TaxRate] = ()) -> tuple[Rate, ...]:
    """The table that ships with this version, with what the operator says of some rates in its place."""
    found = {
        (country, date.fromisoformat(starts_on)): Decimal(percent)
        for country, steps in sorted(_SINCE.items())
        for starts_on, percent in steps
    }
    found |= {(each.country, each.starts_on): each.percent for each in own}
    return tuple(
        Rate(country=country, starts_on=starts_on, percent=percent)
        for (country, starts_on), percent in sorted(found.items())
    )


def rate_of(table: tuple[Rate, ...], country: str, on: date) -> Decimal:
    """The standard rate in force; raises InvoiceBroken where the table has none."""
    found = [each for each in table if each.country == country and each.starts_on <= on]
    if not found:
        raise InvoiceBroken(
            f"no standard rate of VAT is known for {country} on {on}; give it under [operator]: tax.rates = "
            f'[{{ country = "{country}", from = {on}, percent = … }}]'
        )
    return max(found, key=lambda each: each.starts_on).percent


def decide(table: tuple[Rate, ...], seller: Seller, buyer: Buyer, on: date) -> Tax:
    """The tax of a service supplied on this day. Raises InvoiceBroken for what needs a decision by a person."""
    if buyer.vat_id:
        check_vat_id(buyer.vat_id, buyer.country)
    if seller.small:
        return Tax(category="E", percent=Decimal(0), reason=seller.small_reason)
    if buyer.country == seller.country:
        return _standard(table, seller, buyer.country, on)
    if buyer.country not in EU or seller.country not in EU:
        return Tax(category="O", percent=Decimal(0), code="VATEX-EU-O")
    if buyer.vat_id:
        return Tax(category="AE", percent=Decimal(0), code="VATEX-EU-AE")
    return _standard(table, seller, buyer.country, on)


def _standard(table: tuple[Rate, ...], seller: Seller, country: str, on: date) -> Tax:
    if country not in seller.registered:
        known = ", ".join(seller.registered) or "nowhere"
        raise InvoiceBroken(
            f"VAT of {country} is due, and the seller is registered in {known}: add {country} to tax.registered, or "
            "give the customer's VAT id"
        )
    percent = rate_of(table, country, on)
    return Tax(category="S" if percent else "Z", percent=percent)


def check_vat_id(vat_id: str, country: str) -> str:
    """The number in its plain form. Raises InvoiceBroken if it is not one of `country` or its check digits are wrong.

    Of countries outside the EU nothing is checked but that there are letters and digits.
    """
    fault = vat_id_fault(vat_id, country)
    if fault:
        raise InvoiceBroken(fault)
    return packed(vat_id)
