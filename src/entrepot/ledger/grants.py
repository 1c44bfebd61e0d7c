"""What a balance is made of: grants, paid or promotional, and what may go back of them. Pure.

Burn order: lower priority number first, then the earlier end, then the earlier creation (money-rules §5). Which grants
usage has burned is worked out in `ledger.attribution`.
"""

from collections.abc import Iterable
from fractions import Fraction
from typing import Literal

import msgspec

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import Instant
from entrepot.kernel.money import round_half_away

Kind = Literal["paid", "promo"]
#: Promotional money goes first where nothing else is said: what was paid for stays longest.
PRIORITY: dict[Kind, int] = {"promo": 50, "paid": 100}
_NEVER: Instant = 1 << 62


class RefundTooLarge(EntrepotError):
    """More than was paid and is unused."""

    code = "refund_too_large"
    fault = Fault.CALLER


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """One grant of a balance, amounts in ledger units: used + refunded + expired ≤ amount. `ends_at` 0: never.

    `tax` is what was paid with it to the tax office, and `tax_back` what of that went back with refunds.
    """

    id: str
    kind: Kind
    amount: int
    priority: int
    ends_at: Instant
    created_at: Instant
    used: int = 0
    refunded: int = 0
    expired: int = 0
    tax: int = 0
    tax_name: str = ""
    tax_back: int = 0

    @property
    def left(self) -> int:
        return self.amount - self.used - self.refunded - self.expired

    @property
    def order(self) -> tuple[int, Instant, Instant, str]:
        return self.priority, self.ends_at or _NEVER, self.created_at, self.id


def refund(grants: Iterable[Grant], amount: int, payment: str = "", *, minor: int = 1) -> list[tuple[Grant, int]]:
    """(grant after it, part) of each paid grant that a refund touches: that of `payment`, else the newest first. With
    a part goes back its share of the tax that was paid, in whole minor units of `minor` ledger units each.

    Raises RefundTooLarge where less than `amount` was paid and is unused.
    """
    found, rest = [], amount
    for grant in sorted(grants, key=lambda each: (each.created_at, each.id), reverse=True):
        if grant.kind != "paid" or payment not in ("", grant.id):
            continue
        part = min(rest, grant.left)
        rest -= part
        if part:
            gone = grant.refunded + part
            back = minor * round_half_away(Fraction(grant.tax * gone, grant.amount * minor))
            found.append((msgspec.structs.replace(grant, refunded=gone, tax_back=back), part))
    if rest:
        raise RefundTooLarge(f"{amount - rest} of {amount} ledger units are paid and unused")
    return found
