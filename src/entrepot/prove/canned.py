"""A vendor for measurements: the same pre-serialised bytes for every call, no ledger, as little CPU as we know how.

The request says what it wants by a word in its body: `@burst` a stream of N events in one write, `@single` N events
one by one with a pause, `@slow` the same with a second between them, anything else a whole answer. Run as
`python -m entrepot.prove.canned`.
"""

import argparse
import asyncio
import json
import re
import signal
from collections.abc import Callable
from typing import cast

import msgspec
import uvloop

from entrepot.prove.answer import head

_SLOW_S = 1.0
_length = re.compile(rb"(?i)\r\ncontent-length: *(\d+)").search


class Menu(msgspec.Struct, frozen=True, kw_only=True):
    """The canned answers."""

    unary: bytes
    stream_head: bytes
    event: bytes  # one chunk
    events: int
    closing: bytes  # usage, [DONE], last chunk
    burst: bytes
    pause: float  # seconds between single events
    delay: float  # seconds before an answer


def menu(*, size: int = 600, events: int = 50, pause_ms: float = 20.0, delay_ms: float = 0.0) -> Menu:
    """Answers of about `size` bytes, streams of `events` events."""
    usage = b'"usage":{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46,'
    usage += b'"prompt_tokens_details":{"cached_tokens":0}}'
    start = (
        b'{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"bench-model","choices":[{"index":0,'
        b'"message":{"role":"assistant","content":"'
    )
    end = b'"},"finish_reason":"stop"}],' + usage + b"}"
    body = start + b"x" * max(0, size - len(start) - len(end)) + end
    whole = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    chunk_start = b'{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"bench-model",'
    event = b"data: " + chunk_start + b'"choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}\n\n'
    last = b"data: " + chunk_start + b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    last += b"data: " + chunk_start + b'"choices":[],' + usage + b"}\n\ndata: [DONE]\n\n"
    stream_head = head(200, "OK", [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")])
    closing = _chunk(last) + b"0\r\n\r\n"
    return Menu(
        unary=head(200, "OK", whole) + body,
        stream_head=stream_head,
        event=_chunk(event),
        events=events,
        closing=closing,
        burst=stream_head + _chunk(event * events) + closing,
        pause=pause_ms / 1000,
        delay=delay_ms / 1000,
    )


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class CannedConnection(asyncio.Protocol):
    """Answers each whole request at once; one at a time."""

    def __init__(self, chosen: Menu, loop: asyncio.AbstractEventLoop) -> None:
        self._menu = chosen
        self._loop = loop
        self._buffer = b""
        self._timer: asyncio.TimerHandle | None = None
        self._left = 0
        self._pause = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        end = data.find(b"\r\n\r\n")
        found = _length(data, 0, end) if end >= 0 else None
        size = int(found[1]) if found else 0
        if end < 0 or len(data) < end + 4 + size:
            self._buffer = data
            return
        self._buffer = data[end + 4 + size :]
        slow = b"@slow" in data
        if slow or b"@single" in data:
            self._transport.write(self._menu.stream_head)
            self._left = self._menu.events
            self._pause = _SLOW_S if slow else self._menu.pause
            self._timer = self._loop.call_later(self._pause, self._event)
            return
        answer = self._menu.burst if b"@burst" in data else self._menu.unary
        if self._menu.delay:
            self._timer = self._loop.call_later(self._menu.delay, self._transport.write, answer)
        else:
            self._transport.write(answer)

    def _event(self) -> None:
        self._left -= 1
        if self._left:
            self._transport.write(self._menu.event)
            self._timer = self._loop.call_later(self._pause, self._event)
        else:
            self._transport.write(self._menu.event)
            self._transport.write(self._menu.closing)


async def serve(port: int, chosen: Menu, ready: Callable[[int], None]) -> None:
    """Serve until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: CannedConnection(chosen, loop), "127.0.0.1", port, backlog=16384)
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    ready(server.sockets[0].getsockname()[1])
    await stop.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="a vendor that answers canned bytes")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--size", type=int, default=600, help="bytes of a whole answer's body")
    parser.add_argument("--events", type=int, default=50)
    parser.add_argument("--pause-ms", type=float, default=20.0)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    got = parser.parse_args()
    chosen = menu(size=got.size, events=got.events, pause_ms=got.pause_ms, delay_ms=got.delay_ms)
    uvloop.run(serve(got.port, chosen, lambda port: print(json.dumps({"port": port}), flush=True)))


if __name__ == "__main__":
    main()
