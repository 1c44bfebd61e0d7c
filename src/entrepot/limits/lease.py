"""A lease: a slice of a balance or of a budget's period, taken ahead and spent locally.

The worker's side is arithmetic on totals that only grow. free = granted - returned - Σ charges - Σ open holds.
"""

from entrepot.kernel.errors import EntrepotError


class LeaseBroken(EntrepotError):
    """A lease's totals went where they cannot go; money is wrong, so the process must stop."""

    code = "lease_broken"


class Lease:
    """One balance, or one budget's period, as this slot may spend it. Amounts are ledger units.

    Mutable on purpose: it lives on the request path of one worker. Invariant: free ≥ 0 after every operation.
    """

    __slots__ = ("balance", "charged", "granted", "held", "returned", "wanted")

    def __init__(self, balance: str, granted: int = 0, returned: int = 0, charged: int = 0) -> None:
        self.balance = balance
        self.granted = granted
        self.returned = returned
        self.charged = charged
        self.held = 0
        self.wanted = False  # calls wait for it: whoever ends a hold has them looked at
        if min(granted, returned, charged, self.free) < 0:
            raise LeaseBroken(f"lease on {balance}: granted {granted}, returned {returned}, charged {charged}")

    @property
    def free(self) -> int:
        return self.granted - self.returned - self.charged - self.held

    def take(self, hold: int) -> bool:
        """Subtract a hold if it fits; False changes nothing."""
        if hold > self.granted - self.returned - self.charged - self.held:
            return False
        self.held += hold
        return True

    def end(self, hold: int, charge: int) -> None:
        """The hold becomes a charge; the rest is free again."""
        if not 0 <= charge <= hold <= self.held:
            raise LeaseBroken(f"lease on {self.balance}: charge {charge}, hold {hold}, held {self.held}")
        self.held -= hold
        self.charged += charge

    def grant(self, total: int) -> bool:
        """The keeper's total; an older or repeated one changes nothing. True if there is more than before."""
        if total <= self.granted:
            return False
        self.granted = total
        return True

    def give_back(self, amount: int) -> int:
        """Return up to `amount` of what is free; the new total, to be durable before it is sent."""
        self.returned += max(0, min(amount, self.free))
        return self.returned


def take_all(leases: tuple[Lease, ...], hold: int) -> bool:
    """Subtract a hold from every lease if it fits in each; False changes nothing."""
    for lease in leases:
        if hold > lease.granted - lease.returned - lease.charged - lease.held:
            return False
    for lease in leases:
        lease.held += hold
    return True


def end_all(leases: tuple[Lease, ...], hold: int, charge: int) -> None:
    """The hold becomes a charge in every lease."""
    for lease in leases:
        lease.end(hold, charge)
