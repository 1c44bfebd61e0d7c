"""A fake vendor: an OpenAI-compatible HTTP/1.1 server in a process of its own, with a synced ledger of its own.

It reads requests leniently, does what each call's script says (`script.py`), and knows nothing of Entrepot. Run as
`python -m entrepot.prove.vendor --ledger FILE`; the first line on stdout is `{"port": …}`. SIGTERM ends it.
"""

import argparse
import asyncio
import itertools
import json
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import uvloop

from entrepot.prove.answer import Answer, Close, answer, error_body, plain
from entrepot.prove.books import Accepted, Books, Ended
from entrepot.prove.script import Operation, ParserMode, ScriptBroken, read_call
from entrepot.prove.tape import Heard, Tape

_BODY_LIMIT = 64 * 1024 * 1024
_RST = struct.pack("ii", 1, 0)


class Connection(asyncio.Protocol):
    """One connection of a caller: one request at a time, keep-alive."""

    def __init__(self, books: Books, mode: ParserMode, numbers: Iterator[int], tape: Tape) -> None:
        self._books = books
        self._mode = mode
        self._tape = tape
        self._numbers = numbers
        self._buffer = bytearray()
        self._transport: asyncio.Transport
        self._busy = False
        self._playing: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = False
        self._reset_on_reuse = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        self._writable.set()
        if self._playing is not None:
            self._playing.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        if self._reset_on_reuse:
            self._reset()
            return
        self._buffer += data
        self._next()

    def _next(self) -> None:
        """Serve the request at the start of the buffer once it is whole."""
        if self._busy or self._gone:
            return
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        lines = bytes(self._buffer[:end]).split(b"\r\n")
        pairs = (line.partition(b":") for line in lines[1:])
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        size = int(headers.get(b"content-length") or 0)
        if b"transfer-encoding" in headers or size > _BODY_LIMIT:
            self._plain(
                411, "Length Required", error_body("a Content-Length is needed", "invalid_request_error", "length")
            )
            return
        body = bytes(self._buffer[end + 4 : end + 4 + size])
        if len(body) < size:
            if b"early_answer" in body:
                self._plain(413, "Content Too Large", error_body("too large", "invalid_request_error", "too_large"))
                self._transport.close()
            return
        del self._buffer[: end + 4 + size]
        method, _, target = lines[0].partition(b" ")
        self._serve(method, target.split(b" ")[0], headers, body)

    def _serve(self, method: bytes, target: bytes, headers: dict[bytes, bytes], body: bytes) -> None:
        if method == b"GET":
            listed = json.dumps({"object": "list", "data": [{"id": "fake", "object": "model"}]}).encode()
            self._plain(200, "OK", listed)
            return
        try:
            words = self._tape.asked(body)
            call = read_call(body, self._mode, _operation(target))
            played = self._tape.play(words, _heard(method, target, headers, body)) if words else None
        except (ScriptBroken, KeyError) as broken:
            self._plain(400, "Bad Request", error_body(str(broken), "invalid_request_error", "bad_request"))
            return
        number = next(self._numbers)
        result = played or answer(call, f"chatcmpl-{number}")
        row = Accepted(
            n=number,
            at=time.time(),
            attempt=headers.get(b"x-client-request-id", b"").decode("latin-1"),
            model=call.model,
            stream=call.stream,
            prompt=result.prompt,
            completion=result.completion,
            billed=result.billed,
            fault=call.script.fault,
            cached=call.script.cached,
            tag=call.script.tag,
        )
        self._busy = True
        self._books.write(row, lambda: self._start(number, result))

    def _start(self, number: int, result: Answer) -> None:
        self._playing = asyncio.get_running_loop().create_task(self._play(number, result))

    async def _play(self, number: int, result: Answer) -> None:
        sent = pieces = 0
        how = "gone"
        try:
            for wait, data in result.pieces:
                if wait:
                    await asyncio.sleep(wait / 1000)
                if not self._writable.is_set():
                    await self._writable.wait()
                if self._gone:
                    break
                self._transport.write(data)
                sent += len(data)
                pieces += 1
            else:
                how = "done" if result.close in ("keep", "reset_on_reuse") else "cut"
        finally:
            self._books.write(Ended(n=number, how=how, sent=sent, pieces=pieces))
        self._finish(result.close)

    def _finish(self, close: Close) -> None:
        self._busy = False
        self._playing = None
        if self._gone:
            return
        if close == "reset":
            self._reset()
        elif close == "close":
            self._transport.close()
        else:
            self._reset_on_reuse = close == "reset_on_reuse"
            self._next()

    def _plain(self, status: int, reason: str, body: bytes) -> None:
        self._transport.write(plain(status, reason, body))
        self._next()

    def _reset(self) -> None:
        self._gone = True
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        self._transport.abort()


def _operation(target: bytes) -> Operation:
    path = target.partition(b"?")[0]
    if path.endswith(b"/embeddings"):
        return "embedding"
    return "completion" if path.endswith(b"/completions") and not path.endswith(b"/chat/completions") else "chat"


def _heard(method: bytes, target: bytes, headers: dict[bytes, bytes], body: bytes) -> Heard:
    named = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
    return Heard(method=method.decode("latin-1"), target=target.decode("latin-1"), headers=named, body=body.decode())


async def serve(port: int, ledger: Path, mode: ParserMode, tape: Tape, ready: Callable[[int], None]) -> None:
    """Serve until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    first = len(ledger.read_bytes().splitlines()) + 1 if ledger.exists() else 1
    books = Books(ledger, loop)
    numbers = itertools.count(first)
    server = await loop.create_server(lambda: Connection(books, mode, numbers, tape), "127.0.0.1", port, backlog=4096)
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    ready(server.sockets[0].getsockname()[1])
    await stop.wait()
    server.close()
    await books.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="a fake vendor with its own ledger")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--mode", choices=("last", "first", "fold"), default="last", help="which duplicate field wins")
    parser.add_argument("--tape", type=Path, help="answers to play back: a JSON object a line (tape.py)")
    chosen = parser.parse_args()
    tape = Tape(chosen.tape)

    def ready(port: int) -> None:
        print(json.dumps({"port": port}), flush=True)

    uvloop.run(serve(chosen.port, chosen.ledger, chosen.mode, tape, ready))


if __name__ == "__main__":
    main()
