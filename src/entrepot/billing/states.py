"""Where an issued document stands, worked out from what happened to it (money-rules §8). Pure.

Nothing of a document changes when it is paid: payments, credit notes and write-offs are rows of their own, and the
state is a function of them. So it can neither be forgotten nor contradict the books.
"""

from datetime import date
from typing import Literal, get_args

import msgspec

State = Literal["draft", "issued", "part-paid", "paid", "credited", "written off"]
Mark = Literal["overdue", "disputed"]
#: What a list may be asked for: where a document stands, or a mark beside that.
STATES: tuple[str, ...] = (*get_args(State), *get_args(Mark))


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for and what became of it, in minor units. `total_minor` is with tax; `payable_minor` is what was
    left of it when the document was issued (BT-115). `taken_off_minor` is what of `credited_minor` lowers that: where
    credit paid, the rest went back to the credit. `credited_whole`: no line of it is left, whatever they came to."""

    total_minor: int
    payable_minor: int
    due_on: date
    paid_minor: int = 0
    credited_minor: int = 0
    taken_off_minor: int = 0
    written_off_minor: int = 0
    credited_whole: bool = False
    disputed: bool = False

    @property
    def open_minor(self) -> int:
        """What the customer still owes of it. What is credited beyond that is the customer's credit."""
        return max(0, self.payable_minor - self.paid_minor - self.taken_off_minor - self.written_off_minor)


def state_of(standing: Standing) -> State:
    """Credited in full goes before everything else."""
    if standing.credited_whole:
        return "credited"
    if standing.written_off_minor:
        return "written off"
    if not standing.open_minor:
        return "paid"
    return "part-paid" if standing.paid_minor else "issued"


def marks_of(standing: Standing, on: date) -> tuple[Mark, ...]:
    """Beside the state, while something is open: past its day, and what the customer does not accept."""
    if not standing.open_minor:
        return ()
    found: list[Mark] = []
    if on > standing.due_on:
        found.append("overdue")
    if standing.disputed:
        found.append("disputed")
    return tuple(found)
