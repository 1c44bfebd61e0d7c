"""What a balance is made of: grants, paid or promotional, and which of them usage has burned. Pure.

Usage is attributed in burn order: lower priority number first, then the earlier end, then the earlier creation
(money-rules §5). What the ledger took for usage since the last attribution goes to the grants of now; the set of grants
changes only right after an attribution.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import Instant

Kind = Literal["paid", "promo"]
#: Promotional money goes first where nothing else is said: what was paid for stays longest.
PRIORITY: dict[Kind, int] = {"promo": 50, "paid": 100}
_NEVER: Instant = 1 << 62


class RefundTooLarge(EntrepotError):
    """More than was paid and is unused."""

    code = "refund_too_large"
    fault = Fault.CALLER


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """One grant of a balance, amounts in ledger units: used + refunded + expired ≤ amount. `ends_at` 0: never."""

    id: str
    kind: Kind
    amount: int
    priority: int
    ends_at: Instant
    created_at: Instant
    used: int = 0
    refunded: int = 0
    expired: int = 0

    @property
    def left(self) -> int:
        return self.amount - self.used - self.refunded - self.expired

    @property
    def order(self) -> tuple[int, Instant, Instant, str]:
        return self.priority, self.ends_at or _NEVER, self.created_at, self.id


def attribute(grants: Iterable[Grant], usage: int) -> list[Grant]:
    """The grants, in burn order, after `usage` ledger units more. What no grant covers is attributed to none."""
    found = []
    for grant in sorted(grants, key=lambda each: each.order):
        taken = min(usage, grant.left)
        usage -= taken
        found.append(msgspec.structs.replace(grant, used=grant.used + taken) if taken else grant)
    return found


def refund(grants: Iterable[Grant], amount: int, payment: str = "") -> list[tuple[Grant, int]]:
    """(grant after it, part) of each paid grant that a refund touches: that of `payment`, else the newest first.

    Raises RefundTooLarge where less than `amount` was paid and is unused.
    """
    found, rest = [], amount
    for grant in sorted(grants, key=lambda each: (each.created_at, each.id), reverse=True):
        if grant.kind != "paid" or payment not in ("", grant.id):
            continue
        part = min(rest, grant.left)
        rest -= part
        if part:
            found.append((msgspec.structs.replace(grant, refunded=grant.refunded + part), part))
    if rest:
        raise RefundTooLarge(f"{amount - rest} of {amount} ledger units are paid and unused")
    return found
