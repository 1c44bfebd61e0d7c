"""What the client has of its answer, and what it gets last: the one place that writes an answer to it.

Once the head of a stream is out, whatever goes wrong is said as an event of the stream; before it, with its status.
"""

from typing import TYPE_CHECKING

from entrepot.gateway import problem
from entrepot.gateway.heads import answer_head, id_lines, place_lines, stream_head
from entrepot.gateway.problem import Dialect, Problem
from entrepot.kernel.instants import SECOND, Instant
from entrepot.wire.http1 import ResponseHead

if TYPE_CHECKING:
    from entrepot.gateway.desk import Offer
    from entrepot.gateway.server import Connection

HELD_LIMIT = 1_000  # reads held back behind a stream's end; an honest one has one or two
#: A stream is never silent for longer before its first token: proxies cut what is (reference/wire.md 45).
KEEP_ALIVE = 10 * SECOND
_COMMENT = b": waiting for the model\n\n"


class Reply:
    """The client's side of one call. `client` is None once it has gone."""

    __slots__ = ("chunked", "client", "dialect", "held", "request_id", "spoke_at", "started")

    def __init__(self, client: "Connection", request_id: str, dialect: Dialect) -> None:
        self.client: Connection | None = client
        self.request_id = request_id
        self.dialect = dialect
        self.chunked = client.takes_chunks
        self.started = False  # a byte of the answer is with the client
        self.spoke_at: Instant = 0  # when a stream that has brought nothing yet was last kept alive
        self.held: list[bytes] = []  # what waits for the ending: from the usage-bearing or terminal event on

    def lines(self, offer: "Offer") -> bytes:
        """Header lines of the answer beside those that say what it is."""
        lines = id_lines(self.request_id, self.dialect) + offer.notice
        if self.dialect is Dialect.AZURE:
            lines += place_lines(offer.deployment.name, offer.upstream.zone)
        if offer.allowance is not None:
            lines += offer.allowance.told()
        return lines if self.client is None else lines + self.client.echo()

    def begin(self, offer: "Offer") -> None:
        """The head of a stream, once."""
        if self.client is not None and not self.started:
            self.started = True
            self.client.write(stream_head(self.lines(offer) + self.client.leaving(), chunked=self.chunked))

    def pass_on(self, data: bytes) -> None:
        """A piece of a stream that need not wait."""
        if self.client is not None:
            self.client.write(b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data)

    def hold(self, data: bytes) -> bool:
        """A piece that waits for the ending; False if there are too many."""
        self.held.append(data)
        return len(self.held) <= HELD_LIMIT

    def keep_alive(self, offer: "Offer", since: Instant, now: Instant) -> None:
        """A comment, if nothing was sent to the client for long; `since`: when the vendor was asked."""
        if self.client is not None and now - max(self.spoke_at, since) >= KEEP_ALIVE:
            self.spoke_at = now
            self.begin(offer)
            self.pass_on(_COMMENT)

    def whole(self, offer: "Offer", head: ResponseHead, body: bytes, readable: bytes) -> None:
        """The vendor's answer as it is. `readable`: without its encoding, for a stream that has begun meanwhile."""
        if self.client is None:
            return
        if not self.started:
            self.client.respond(answer_head(head, len(body), self.lines(offer)), body)
        elif head.status == 200:
            self.finish(readable)
        else:
            self.finish(b"".join(b"data: %b\n" % line for line in body.splitlines()) + b"\n")

    def finish(self, last: bytes) -> None:
        """The end of a stream, after what is still to be said."""
        if self.client is None:
            return
        if self.chunked:
            last = b"%x\r\n%b\r\n0\r\n\r\n" % (len(last), last) if last else b"0\r\n\r\n"
        self.client.last(last)

    def refuse(self, trouble: Problem) -> None:
        """The end of an answer that there is none."""
        if self.client is None:
            return
        if self.started:
            self.finish(problem.stream_error(trouble, self.dialect))
        else:
            self.client.refuse(trouble, self.dialect, self.request_id)

    def cut(self) -> None:
        """End the connection now: what the client has must not look whole."""
        if self.client is not None:
            self.client.abort()
