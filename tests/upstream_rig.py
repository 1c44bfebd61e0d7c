"""A pool whose connections are made by hand, and callers that note how their call ended."""

from entrepot.upstream.client import Budget, Pool, Target
from entrepot.upstream.connection import (
    UpstreamConnection,
)
from entrepot.wire.http1 import ResponseHead
from hand_driven import Loop, Wire

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Caller:
    """Notes how its call ended."""

    def __init__(self, *, stream: bool = False, payer: str = "acme") -> None:
        self.payer = payer
        self.connection: UpstreamConnection | None = None
        self.ends: list[object] = []
        self.streamed = b""
        self.there = True
        self._stream = stream

    def wanted(self) -> bool:
        return self.there

    def wants_stream(self, head: ResponseHead) -> bool:
        return self._stream

    def answer(self, head: ResponseHead, body: bytes) -> None:
        self.ends.append((head.status, body))

    def stream_data(self, payload: bytes) -> None:
        self.streamed += payload

    def stream_end(self) -> None:
        self.ends.append("end")

    def failed(self) -> None:
        self.ends.append("failed")

    def lost(self, reason: str, *, answered: bool, reused: bool) -> None:
        self.ends.append((reason, answered, reused))


class Rig:
    """A pool, and connections made by hand in place of its own."""

    def __init__(self, budget: int = 1 << 30) -> None:
        self.loop = Loop()
        self.pool = Pool(self.loop, Target("http://vendor.example/v1"), budget=Budget(budget))  # type: ignore[arg-type]

    def call(self, *, stream: bool = False) -> tuple[Caller, Wire]:
        """A call on a connection of its own."""
        caller = Caller(stream=stream)
        wire = Wire(UpstreamConnection(self.pool))
        wire.protocol.start(b"POST", caller, self.loop.now)
        return caller, wire

    def again(self, payer: str = "acme") -> Caller:
        """A call on whatever the pool has."""
        caller = Caller(payer=payer)
        self.pool.send(b"AGAIN", caller)
        return caller
