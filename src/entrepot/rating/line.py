"""What rating gives: lines, what it could not price, and what it was made of."""

from decimal import Decimal
from fractions import Fraction
from typing import Literal

import msgspec

from entrepot.catalog.prices import ALWAYS, When
from entrepot.kernel.instants import Instant
from entrepot.kernel.money import minor_digits, round_half_away

#: What a line counts: the words that an invoice knows.
Unit = Literal["token", "request", "image", "second", "hour", "day", "month", "GB-day", "seat", "unit"]
LineKind = Literal["usage", "overrun", "minimum", "percentage", "correction"]


class RatedLine(msgspec.Struct, frozen=True, kw_only=True):
    """One price of one thing in one period: quantity × price ÷ per, rounded once, half away from zero.

    `key` is its identity within a customer and a period: a line made again from the same usage has the same one, and
    corrections and credit notes compare by it. `of` is the key of the line that a correction corrects, `month` the
    period of that line ("2026-10"). Quantities may be negative, prices may not. `charged` are the ledger units that
    calls took for it. `basis` says in words where the price comes from, `reason` why it is 0, which step it is, or what
    the amount follows from; `because` says the same of steps, minimums and percentages as facts, for documents in other
    languages.
    """

    key: str
    kind: LineKind
    model: str = ""
    meter: str = ""
    product: str = ""  # of a minimum or a percentage
    when: When = ALWAYS
    project: str = ""  # only where a step counts by project
    version: str = ""  # "list/3", "contract"; several with ", " between
    basis: str = ""
    unit: Unit
    quantity: Decimal
    price: Decimal
    per: int
    list_price: Decimal | None = None
    starts_at: Instant
    ends_at: Instant
    reason: str = ""
    month: str = ""
    of: str = ""
    charged: int = 0
    because: tuple[tuple[str, ...], ...] = ()

    def exact(self) -> Fraction:
        """In units of the currency."""
        return Fraction(self.quantity) * Fraction(self.price) / self.per

    def net_minor(self, currency: str) -> int:
        """The amount on the document."""
        return round_half_away(self.exact() * 10 ** minor_digits(currency))


def product_of(line: RatedLine) -> str:
    """Under which name the ledger books a line: its model, or the product of a minimum or a percentage."""
    return line.product or line.model


class UnratedGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Usage without a price. It blocks issuing until a price is published, or until somebody carries it over by `name`
    with approval; then `carried` says who, and why."""

    name: str  # "gpt-x audio_input list/3"
    model: str
    meter: str
    price_version: str
    attempts: int
    quantity: int
    starts_at: Instant  # the stretch in which it was used, between changes of the model's prices
    ends_at: Instant
    reason: str
    carried: str = ""


class StalePrice(msgspec.Struct, frozen=True, kw_only=True):
    """Usage at a price that had ended: its worker had not heard of the newer version and keeps what it pinned."""

    model: str
    price_version: str
    newer: str
    attempts: int
    starts_at: Instant
    ends_at: Instant


class Rated(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's period, rated. `inputs` are (name, SHA-256 in hexadecimal) of everything it was made of; `open` are
    segments that may still grow, "w1-000003-000002": with one of them nothing can be issued. `charged` are the ledger
    units that all calls of the period took."""

    customer: str
    currency: str
    starts_on: str  # dates, UTC: "2026-10-01"
    until: str  # the first day after
    lines: tuple[RatedLine, ...]
    unrated: tuple[UnratedGroup, ...] = ()
    stale: tuple[StalePrice, ...] = ()
    inputs: tuple[tuple[str, str], ...] = ()
    open: tuple[str, ...] = ()
    charged: int = 0

    @property
    def blocked_by(self) -> tuple[UnratedGroup, ...]:
        """What must be priced or carried over before an invoice of this period is issued."""
        return tuple(group for group in self.unrated if not group.carried)


def to_bytes(rated: Rated) -> bytes:
    """Canonical: the same value gives the same bytes."""
    return msgspec.json.encode(rated)


def from_bytes(data: bytes) -> Rated:
    """Inverse of `to_bytes`; raises msgspec.ValidationError."""
    return msgspec.json.decode(data, type=Rated)
