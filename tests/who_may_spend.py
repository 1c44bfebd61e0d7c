"""The reference: who may spend what. The system may be slower than this, and may never be otherwise."""

from typing import NamedTuple


class Disagreement(AssertionError):
    """The system did what the reference forbids, or said what it knows to be untrue."""


class Use(NamedTuple):
    """Of one call: what it holds until it ends, then what it is charged, on each account that it draws on."""

    accounts: tuple[str, ...]
    hold: int
    charge: int | None = None  # None: under way


class Reference:
    """A call may begin iff Σ charges + Σ holds ≤ funds still holds, on every account that it draws on."""

    def __init__(self) -> None:
        self.funds: dict[str, int] = {}  # a balance, or the amount of a budget's period
        self.uses: dict[object, Use] = {}

    def taken(self, account: str) -> int:
        uses = [use for use in self.uses.values() if account in use.accounts]
        return sum(use.hold if use.charge is None else use.charge for use in uses)

    def left(self, account: str) -> int:
        return self.funds[account] - self.taken(account)

    def begin(self, call: object, use: Use) -> None:
        """Raises Disagreement if there is not so much."""
        for account in use.accounts:
            if use.hold > self.left(account):
                raise Disagreement(f"{account}: a hold of {use.hold} was taken, and {self.left(account)} was left")
        self.uses[call] = use

    def end(self, call: object, charge: int | None) -> None:
        """It is charged; None: it was never made."""
        use = self.uses.pop(call)
        if charge is not None:
            self.uses[call] = use._replace(charge=charge)
