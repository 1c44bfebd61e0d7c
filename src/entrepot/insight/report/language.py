"""The words and numbers of a report in one language: a TOML file beside this one."""

import tomllib
from fractions import Fraction
from functools import lru_cache
from importlib.resources import files

import msgspec

from entrepot.insight.drawing.marks import Legend, Ticks
from entrepot.insight.facts import Base, InsightError
from entrepot.kernel.errors import Fault
from entrepot.kernel.money import round_half_away
from entrepot.kernel.speech import Speech


class LanguageUnknown(InsightError):
    """A report was asked for in a language that has no file."""

    code = "language_unknown"
    fault = Fault.CALLER


class Language(Speech, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A language file as it stands; `notes` are the footnotes."""

    short_months: list[str]
    notes: dict[str, str]

    def say(self, word: str, **values: str) -> str:
        return self.words[word].format(**values)

    def rounded(self, value: Fraction, places: int, *, sign: bool = False) -> str:
        """Halves go away from zero. With `sign` also a plus."""
        units = round_half_away(value * 10**places)
        whole, part = divmod(abs(units), 10**places)
        digits = f"{'-' if units < 0 else ''}{whole}" + (f".{part:0{places}d}" if places else "")
        return ("+" if sign and units > 0 else "") + self.number(digits)

    def percent(self, value: Fraction, places: int = 1, *, sign: bool = False) -> str:
        return f"{self.rounded(value * 100, places, sign=sign)} %"

    def points(self, value: Fraction) -> str:
        """`−1.6 points`: a difference of two rates."""
        return self.say("points", number=self.rounded(value * 100, 1, sign=True))

    def ticks(self, text: str = "{}", times: int | Fraction = 1) -> Ticks:
        return Ticks(text=text, times=times, decimal=self.decimal, group=self.group)

    def legend(self) -> Legend:
        return Legend(books=self.words["books"], reported=self.words["reported"], assumed=self.words["assumed"])

    def short_month(self, name: str) -> str:
        """`2026-10` as `Oct 2026`."""
        year, _, number = name.partition("-")
        return f"{self.short_months[int(number) - 1]} {year}"


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """How amounts of a base are written throughout a report: all in the same thousands or millions."""

    language: Language
    base: Base
    power: int  # of ten: 6 for millions
    word: str  # "M", "" for none

    @property
    def unit(self) -> str:
        return f"{self.word} {self.base.currency}".strip()

    def bare(self, amount: int, *, sign: bool = False) -> str:
        """`83.3`, where the unit stands elsewhere."""
        return self.language.rounded(self.value(amount), 1 if self.power else 2, sign=sign)

    def value(self, amount: int) -> Fraction:
        return Fraction(amount, 10 ** (self.base.scale + self.power))

    def show(self, amount: int, *, sign: bool = False) -> str:
        """`83.3 M USD`."""
        return f"{self.bare(amount, sign=sign)} {self.unit}"


def money(language: Language, base: Base, largest: int) -> Money:
    """Millions from a million on, thousands from ten thousand on, else the currency itself with two places."""
    whole = abs(largest) // 10**base.scale
    power, word = (6, "million") if whole >= 10**6 else (3, "thousand") if whole >= 10**4 else (0, "")
    return Money(language=language, base=base, power=power, word=language.words[word] if word else "")


def languages() -> list[str]:
    """Codes of the languages at hand."""
    names = (each.name for each in files("entrepot.insight.report").joinpath("languages").iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


@lru_cache(maxsize=16)
def language(code: str) -> Language:
    """Raises LanguageUnknown."""
    if code not in languages():
        raise LanguageUnknown(f"no report can be written in {code!r}; languages are {', '.join(languages())}")
    text = files("entrepot.insight.report").joinpath(f"languages/{code}.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Language)
