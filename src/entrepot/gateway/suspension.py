"""A customer is suspended while its calls are under way: they end for the client now, for the books by the usual rule.

The client of a stream gets an error event and the end of the body, that of a whole answer a 403. What the vendor still
does is drained or cancelled as when a client goes away (protocol §6), and metered `aborted`, reason `suspended`.
"""

from collections.abc import Iterable

from entrepot.gateway import problem
from entrepot.gateway.relay import Exchange
from entrepot.snapshot import Snapshot

REASON = "suspended"


def end_calls(exchanges: Iterable[Exchange], snapshot: Snapshot) -> None:
    """End those of customers that this snapshot does not know as active."""
    states: dict[str, bool] = {}
    for exchange in list(exchanges):
        customer = exchange.offer.customer.id
        if customer not in states:
            entry = snapshot.customer(customer)
            states[customer] = entry is not None and entry.state == "active"
        if not states[customer]:
            _end(exchange)


def _end(exchange: Exchange) -> None:
    reply = exchange.reply
    if reply.client is None or exchange.ended_at:
        return  # nobody waits, or its ending is written and its last bytes are under way
    reply.refuse(problem.suspended())
    exchange.client_gone(REASON)
