"""What a call takes of its limits, and the call that waits for a share of one."""

from collections.abc import Callable

from entrepot.gateway.count import guess_prompt
from entrepot.gateway.desk import Offer
from entrepot.gateway.problem import Problem
from entrepot.gateway.ratelines import Taken
from entrepot.gateway.rates import Rates, Waiter
from entrepot.gateway.server import Connection
from entrepot.wire.openai import Call


class Parked:
    """What stands for a call at its client's connection while it waits for a share."""

    __slots__ = ("_rates", "waiter")

    def __init__(self, rates: Rates, waiter: Waiter) -> None:
        self._rates = rates
        self.waiter = waiter

    def client_gone(self) -> None:
        """The call has taken nothing, and takes nothing any more."""
        self._rates.give_up(self.waiter)

    def pause(self) -> None:
        """Nothing is sent yet."""

    def resume(self) -> None:
        """Nothing was paused."""


def limit(
    rates: Rates, connection: Connection, offer: Offer, call: Call,
    decided: Callable[[Problem | None, Taken | None], None],
) -> None:  # fmt: skip
    """Take of every limit of the offer, or of none. `decided` hears of it: at once, or within 250 ms if the keeper has
    to be asked for a share first, unless the client goes before."""
    allowance = offer.allowance
    assert allowance is not None
    most = offer.output_cap if call.output_cap is None else offer.output_max
    prompt = min(guess_prompt(call), offer.context * call.inputs)  # nothing bounds a file but the context
    tokens = rates.estimate(offer.model.id, prompt, call.output_cap, call.n, most)

    def heard(word: Problem | None) -> None:
        connection.answering = None
        decided(word, Taken(allowance, tokens) if word is None else None)

    answer = rates.admit(allowance, tokens, rates.clock(), heard)
    if isinstance(answer, Waiter):
        connection.answering = Parked(rates, answer)
    else:
        heard(answer)
