"""Exact amounts as people read them: thousands separated, every digit kept."""

from collections.abc import Sequence
from decimal import Decimal


def grouped(exact: str) -> str:
    """`144400.2602` → `144,400.2602`; nothing stays nothing."""
    whole, point, part = exact.partition(".")
    return f"{int(whole):,}{point}{part}" if whole not in {"", "-0", "-"} else exact


def total(exacts: Sequence[str]) -> str:
    """Exact sum, without trailing zeros."""
    value = sum((Decimal(each) for each in exacts), Decimal(0))
    return f"{value.normalize():f}" if value else "0"


def share(part: str, whole: str) -> str:
    """`67.0 %` of a sum that is not zero, else blank."""
    return f"{Decimal(part) * 100 / Decimal(whole):.1f} %" if Decimal(whole) else ""
