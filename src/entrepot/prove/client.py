"""A caller for trials: one keep-alive connection, one call at a time, and an exact word for how each call ended."""

import asyncio
import json
import time
from typing import Any, Literal

import msgspec

from entrepot.prove.load import chat_request
from entrepot.prove.script import script_text

How = Literal["answered", "refused", "cut", "unreached", "left"]
_HEAD_LIMIT = 1 << 16


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """`answered`: 200 and whole. `refused`: another status. `cut`: the connection broke in the call. `unreached`: no
    connection. `left`: we went away on purpose."""

    how: How
    status: int
    body: bytes
    seconds: float
    sent_at: float  # time.monotonic; 0 if it never was
    request: str = ""  # our id, from the answer's head


def chat_body(model: str, *, stream: bool = False, max_tokens: int = 64, n: int = 1, **script: Any) -> bytes:
    """A chat call that carries the vendor's script."""
    fields: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": script_text(**script)}],
        "max_tokens": max_tokens,
    }
    if stream:
        fields["stream"] = True
    if n > 1:
        fields["n"] = n
    return json.dumps(fields).encode()


class Client:
    """Connects when it needs to; a broken connection is replaced at the next call."""

    def __init__(self, port: int, key: str, *, timeout: float = 30.0) -> None:
        self._port = port
        self._key = key
        self._timeout = timeout
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.busy = False  # a request is with the server and its answer not yet whole

    async def chat(self, body: bytes, *, leave_after: int = -1) -> Outcome:
        """One call; with leave_after ≥ 0 the connection is reset after so many bytes of the answer's body."""
        began = time.monotonic()
        try:
            if self._writer is None or self._reader is None or self._reader.at_eof():
                self.close()
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=_HEAD_LIMIT)
        except OSError:
            return Outcome(how="unreached", status=0, body=b"", seconds=time.monotonic() - began, sent_at=0.0)
        sent_at = time.monotonic()
        status, got, request = 0, bytearray(), ""
        how: How
        try:
            self._writer.write(chat_request("127.0.0.1", body, key=self._key))
            self.busy = True
            async with asyncio.timeout(self._timeout):
                status, request, whole = await self._answer(self._reader, got, leave_after)
            how = "left" if not whole else "answered" if status == 200 else "refused"
            if not whole:
                self.close()
        except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError):
            how = "cut"
            self.close()
        finally:
            self.busy = False
        seconds = time.monotonic() - began
        return Outcome(how=how, status=status, body=bytes(got), seconds=seconds, sent_at=sent_at, request=request)

    async def _answer(self, reader: asyncio.StreamReader, got: bytearray, leave_after: int) -> tuple[int, str, bool]:
        """(status, request id, whole); fills `got`."""
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        status = int(lines[0].split()[1])
        pairs = (line.partition(b":") for line in lines[1:])
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        request = headers.get(b"x-request-id", b"").decode("latin-1")
        if b"chunked" in headers.get(b"transfer-encoding", b""):
            while size := int(await reader.readuntil(b"\r\n"), 16):
                got += await reader.readexactly(size)
                await reader.readexactly(2)
                if 0 <= leave_after <= len(got):
                    return status, request, False
            await reader.readexactly(2)
        else:
            if leave_after >= 0:
                return status, request, False
            got += await reader.readexactly(int(headers.get(b"content-length", b"0")))
        if headers.get(b"connection", b"").lower() == b"close":
            self.close()
        return status, request, True

    def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None
