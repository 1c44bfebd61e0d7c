"""The words, numbers and dates of a document in one language: a TOML file beside this one."""

import tomllib
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files

import msgspec

from entrepot.billing.document.canonical import plain_decimal
from entrepot.billing.invoice import InvoiceBroken, Tax
from entrepot.kernel.money import show_minor
from entrepot.kernel.speech import Speech


class Language(Speech, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A language file as it stands."""

    units: dict[str, str]
    one: dict[str, str]  # of one
    countries: dict[str, str]  # those that letters go to; others by their code
    meters: dict[str, str]
    reasons: dict[str, str]

    def amount(self, minor: int, currency: str) -> str:
        """`1,234.50 EUR`, in this language's marks."""
        return f"{self.number(show_minor(minor, currency))} {currency}"

    def exact(self, value: Decimal, places: int = 0) -> str:
        """An exact decimal, with at least `places` digits after the point."""
        whole, _, part = plain_decimal(value).partition(".")
        padded = part.ljust(places, "0")
        return self.number(f"{whole}.{padded}" if padded else whole)

    def unit(self, name: str, quantity: Decimal = Decimal(1)) -> str:
        """`tokens`, or of one `token`."""
        return (self.one if abs(quantity) == 1 else self.units)[name]

    def country(self, code: str) -> str:
        return self.countries.get(code, code)

    def reason(self, tax: Tax) -> str:
        """What the category is, or why no tax is charged: the seller's own words, else this language's for the code."""
        return tax.reason or self.reasons.get(tax.code, tax.code) or self.words.get(f"category_{tax.category}", "")


def languages() -> list[str]:
    """Codes of the languages at hand."""
    names = (each.name for each in files("entrepot.billing.document").joinpath("languages").iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


@lru_cache(maxsize=16)
def language(code: str) -> Language:
    """Raises InvoiceBroken for a language that has no file, or whose file lacks a word that English has."""
    if code not in languages():
        raise InvoiceBroken(f"no document can be written in {code!r}; languages are {', '.join(languages())}")
    text = files("entrepot.billing.document").joinpath(f"languages/{code}.toml").read_text(encoding="utf-8")
    found = msgspec.convert(tomllib.loads(text), Language)
    if code != "en":
        english = language("en")
        lacking = sorted(({*english.words} - {*found.words}) | ({*english.units} - {*found.units}))
        lacking += sorted({*english.meters} - {*found.meters}) + sorted({*english.one} - {*found.one})
        if lacking:
            raise InvoiceBroken(f"the language {code!r} lacks the words {', '.join(lacking)}")
    return found
