"""How figures are written: exact digits for programs, short ones beside a mark in a chart."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from entrepot.insight.facts import Base, Facts
from entrepot.kernel.money import minor_digits, round_half_away, show

_PLACES = 9
_LARGE = ((10**12, "tn"), (10**9, "bn"), (10**6, "M"), (10**3, "k"))


def amount(units: int, base: Base) -> str:
    """Exact, without separators: `1234.50`."""
    return show(units, base.currency, places=minor_digits(base.currency)).replace(",", "")


def number(value: Fraction | int | None) -> str | None:
    """Nine decimal places, half away from zero; None stays None."""
    if value is None:
        return None
    digits = Decimal(round_half_away(Fraction(value) * 10**_PLACES)).scaleb(-_PLACES)
    return f"{digits:f}"


def percent(value: Fraction | None, places: int = 1) -> str:
    """`24.1 %`; "–" of what cannot be had."""
    if value is None:
        return "–"
    rounded = Decimal(round_half_away(value * 100 * 10**places)).scaleb(-places)
    return f"{rounded:,f} %".replace("-", "\u2212")


def short(units: int, base: Base) -> str:
    """Three digits and a word: `19.9 M EUR`."""
    size, word = thousands(units, base)
    value, of = Fraction(units, 10**base.scale * size), f" {word}" if word else ""
    places = max(0, 3 - len(str(int(abs(value))))) if of or value.denominator > 1 else 0
    digits = Decimal(round_half_away(value * 10**places)).scaleb(-places)
    return f"{digits:,f}{of} {base.currency}".replace("-", "\u2212")


def thousands(units: int, base: Base) -> tuple[int, str]:
    """In what a large amount is told: (1,000,000, "M"); (1, "") of a small one."""
    return next(((size, word) for size, word in _LARGE if abs(units) >= size * 10**base.scale), (1, ""))


def signed(units: int, base: Base) -> str:
    """A change: `+19.9 M EUR`."""
    return f"+{short(units, base)}" if units > 0 else short(units, base)


def base_text(base: Base) -> str:
    """What a figure is a figure of, in words."""
    kinds = {"billed": "billed, without tax", "earned": "earned, as rated when metered",
             "run-rate": "at the pace of a year", "stated": "as others state it, not from our books"}  # fmt: skip
    window = f" ({base.window_days} days × 365 / {base.window_days})" if base.window_days else ""
    net = "" if base.view == "gross" else ", net of what agents pass on"
    return f"{base.whole}, {kinds[base.kind]}{window}{net}, {base.currency}, {base.starts_on} until {base.until}"


def base_figures(facts: Facts) -> dict[str, Any]:
    base = facts.base
    return {
        "kind": base.kind, "view": base.view, "currency": base.currency, "from": base.starts_on, "until": base.until,
        "whole": base.whole, "window_days": base.window_days, "text": base_text(base),
    }  # fmt: skip


def inputs(*of: Facts) -> list[dict[str, str]]:
    """What the figures were gathered from."""
    found = dict.fromkeys(pair for each in of for pair in each.inputs)
    return [{"name": name, "sha256": sha256} for name, sha256 in found]


def label(name: str, names: Mapping[str, str]) -> str:
    """The name for people, where there is one."""
    return names.get(name) or name


def standings(facts: Facts) -> list[dict[str, Any]]:
    """What of the whole is from our books, reported and assumed."""
    sums = facts.by("standing")
    return [{"standing": name, "amount": amount(units, facts.base)} for name, units in sums.items()]


def most(names: Iterable[str], count: int) -> tuple[list[str], list[str]]:
    """The first so many, and the rest."""
    found = list(names)
    return found[:count], found[count:]
