"""One peer on the keeper's socket: a gateway after its `hello`, or somebody with commands."""

import asyncio
import logging
from collections.abc import Callable
from typing import cast

import msgspec

from entrepot.limits.message import FromKeeper, Hello, MessageBroken, Seen, ToKeeper, Want, frame, split, to_keeper

_log = logging.getLogger(__name__)
#: Unsent bytes at which a peer that does not read is cut off: all it can lack is repeated when it comes back.
MOST_UNSENT = 32 * 1024 * 1024


class Connection(asyncio.Protocol):
    """`received` gets each message, `gone` is called once at the end."""

    def __init__(
        self, received: Callable[["Connection", ToKeeper], None], gone: Callable[["Connection"], None]
    ) -> None:
        self._received = received
        self._gone = gone
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self.gateway: Hello | None = None
        self.snapshot = 0
        #: Wants being answered, by balance; the latest of a balance waits for the one before it.
        self.asking: dict[str, Want | None] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are no subclass

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            for body in split(self._buffer):
                message = to_keeper.decode(body)
                if isinstance(message, Hello):
                    self.gateway, self.snapshot = message, message.snapshot
                elif isinstance(message, Seen):
                    self.snapshot = message.version
                self._received(self, message)
        except (MessageBroken, msgspec.DecodeError) as error:
            _log.warning("a peer is cut off: %s", error)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._gone(self)

    def send(self, message: FromKeeper) -> None:
        """Write, unless the peer is gone or does not read."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > MOST_UNSENT:
            _log.warning("a peer does not read and is cut off")
            transport.abort()
            return
        transport.write(frame(message))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    @property
    def slot(self) -> int:
        """0: not a gateway."""
        return self.gateway.slot if self.gateway else 0
