"""The arguments of a command, which came as JSON: each is what it should be, or refused in words."""

import re
from collections.abc import Mapping
from decimal import Decimal

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import DAY, Instant, parse, show
from entrepot.kernel.money import show as show_money
from entrepot.kernel.money import to_scaled
from entrepot.kernel.text import is_plain, plain

Args = Mapping[str, object]
Facts = dict[str, object]

NAME_MOST, BOOKING_MOST = 200, 128
_AMOUNT = r"-?[0-9]{1,18}(\.[0-9]{1,18})?"


class CommandRefused(EntrepotError):
    """An argument is missing, of the wrong kind, or names what is not there."""

    code = "command_refused"
    fault = Fault.CALLER


def text_of(args: Args, name: str, default: str | None = None) -> str:
    value = args.get(name, default)
    if isinstance(value, str) and (value or default is not None):
        return value
    what = "is missing" if value in (None, "") else f"is a text, not {type(value).__name__}"
    raise CommandRefused(f"{name} {what}")


def name_of(args: Args, name: str, most: int, default: str | None = None) -> str:
    """A text that people read in lists: on one line, without what a terminal would obey."""
    value = text_of(args, name, default)
    if len(value) > most:
        raise CommandRefused(f"{name} has {len(value):,} characters; at most {most} are kept")
    if not is_plain(value):
        raise CommandRefused(f"{name} {plain(value)!r} holds control or invisible characters; write it without them")
    return value


def whole(args: Args, name: str, default: int = 0, *, least: int = 0, most: int = 10**12) -> int:
    value = args.get(name, default)
    if type(value) is not int or not least <= value <= most:
        raise CommandRefused(f"{name} is a whole number from {least:,} to {most:,}, not {value!r}")
    return value


def amount_of(args: Args, currency: str, what: str) -> int:
    """`amount` in ledger units, more than 0; `what` names the movement: `a top-up`."""
    wanted = text_of(args, "amount")
    if not re.fullmatch(_AMOUNT, wanted):
        raise CommandRefused(
            f"amount {plain(wanted)!r} is not an amount of money: at most 18 digits before and after the point, "
            "without separators, for example 100 or 99.50"
        )
    amount = to_scaled(Decimal(wanted), currency)
    if amount <= 0:
        back = "; money that went back to a customer is booked by balance refund" if what == "a top-up" else ""
        raise CommandRefused(f"{what} is more than 0, not {wanted} {currency}{back}")
    return amount


def end_of(wanted: object, now: Instant, *, default: Instant, name: str) -> Instant:
    """`never`, days like `90d`, a date or an instant; 0 for never, `default` without a word."""
    if wanted is None or wanted == "":
        return default
    said = str(wanted)
    if said == "never":
        return 0
    try:
        at = now + int(said[:-1]) * DAY if re.fullmatch("[0-9]{1,9}d", said) else parse(said)
        show(at)
    except (ValueError, OverflowError):
        raise CommandRefused(f'{name} is a date, an instant, days like 90d, or never; not "{said}"') from None
    if at <= now:
        raise CommandRefused(f"{name} {said} is past already")
    return at


def exact(scaled: int, currency: str) -> str:
    """Digits for programs: no separators; whoever shows them to a person groups them."""
    return show_money(scaled, currency, places=2).replace(",", "")
