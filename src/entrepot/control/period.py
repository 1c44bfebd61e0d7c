"""Periods as a request gives them: from is included, until is not, both UTC."""

from entrepot.control.problem import Mistaken
from entrepot.kernel.instants import Instant, parse


def instant_of(text: str, name: str) -> Instant | None:
    """None where nothing is given; raises Mistaken."""
    try:
        return parse(text) if text else None
    except ValueError:
        raise Mistaken(f"{name} {text!r} is not a date or instant like 2026-11-01 or 2026-11-01T10:00:00Z") from None


def period_of(from_: str, until: str) -> tuple[Instant | None, Instant | None]:
    """Raises Mistaken, also where nothing lies between them."""
    since, ends = instant_of(from_, "from"), instant_of(until, "until")
    if since is not None and ends is not None and ends <= since:
        raise Mistaken(f"until {until} is not after from {from_}; nothing is between them")
    return since, ends
