"""A started house whose vendor plays back what a test wrote down, for tests of what goes over the wire."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from entrepot.metering.record import Ending
from entrepot.prove.house import House
from entrepot.prove.processes import start_vendor

MODEL = "fake-model"
EMBEDDINGS = "fake-embeddings"
#: Added to the house's catalog.
SELLS_EMBEDDINGS = f"""
[model.{EMBEDDINGS}]
routes = ["fake/{EMBEDDINGS}"]
context = 8_192
operations = ["embedding"]

[[book.fake-cost]]
buys_from = "fake"
currency = "USD"
valid_from = 2026-01-02T00:00:00Z
prices = [{{ model = "{EMBEDDINGS}", input = 0.01 }}]

[[book.list]]
currency = "USD"
valid_from = 2026-01-02T00:00:00Z
prices = [{{ model = "{EMBEDDINGS}", input = 0.02 }}]
"""
CHAT = "/v1/chat/completions"
AZURE_CHAT = f"/openai/deployments/{MODEL}/chat/completions?api-version=2024-10-21"


#: A customer who has less than a large call may cost.
POOR = """
[customer.poor]
contract = { book = "list" }
"""
VENDOR = "VENDOR"
Swaps = Iterable[tuple[str, str]]


class Reply(NamedTuple):
    """An answer as a client got it; names of headers in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json["error"]
        return found

    @property
    def events(self) -> list[str]:
        """The data of each event, in order."""
        lines = self.body.decode().split("\n\n")
        return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]

    @property
    def request_id(self) -> str:
        return self.headers.get("x-request-id", "")


class TapeHouse:
    """`entrepot serve` before a fake vendor with a tape; `catalog` is added to the house's own, and `swaps` change
    it: (old, new) texts, VENDOR for the address of the fake vendor."""

    def __init__(
        self, folder: Path, tape: Iterable[dict[str, Any]] = (), *, catalog: str = "", swaps: Swaps = ()
    ) -> None:
        file = folder / "tape"
        file.write_text("".join(json.dumps(one) + "\n" for one in tape))
        self.ledger = folder / "ledger"
        self.vendor = start_vendor(self.ledger, tape=file)
        self.house = House(self.vendor.port)
        written = self.house.catalog.read_text() + catalog
        for old, new in swaps:
            found = f"http://127.0.0.1:{self.vendor.port}/v1" if old == VENDOR else old
            assert found in written, old
            written = written.replace(found, new)
        self.house.catalog.write_text(written)
        try:
            self.house.start()
            self.house.first_answer(seconds=90)
            self.house.top_up()
        except BaseException:
            self.end()
            raise
        self.key = self.house.key
        self.poor = self.idle = ""  # keys of customers that a test may declare

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.house.port}/v1"

    @property
    def azure_endpoint(self) -> str:
        return f"http://127.0.0.1:{self.house.port}"

    def send(
        self, method: str, path: str, body: Any = None, *, key: str | None = "", headers: dict[str, str] | None = None
    ) -> Reply:
        """One request on a connection of its own. Without a key of its own it takes the demo's, in the header that the
        path's dialect reads first; None sends none. What is told to come back, since the keeper got no turn for a
        second on a busy machine, is sent again as the SDKs do."""
        given = dict(headers or {})
        if key is not None:
            token = key or self.key
            given |= {"api-key": token} if path.startswith("/openai") else {"Authorization": f"Bearer {token}"}
        if body is not None:
            given.setdefault("Content-Type", "application/json")
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        until = time.monotonic() + 30
        while True:
            reply = self._send(method, path, data, given)
            if b"lease_unavailable" not in reply.body or time.monotonic() > until:
                return reply
            time.sleep(0.5)

    def _send(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> Reply:
        line = http.client.HTTPConnection("127.0.0.1", self.house.port, timeout=30)
        try:
            line.request(method, path, data, headers)
            answer = line.getresponse()
            return Reply(answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read())
        finally:
            line.close()

    def chat(self, path: str = CHAT, *, headers: dict[str, str] | None = None, **fields: Any) -> Reply:
        body = {"model": MODEL, "messages": [{"role": "user", "content": "x"}], **fields}
        return self.send("POST", path, body, headers=headers)

    def heard(self, reply: Reply) -> dict[str, Any]:
        """What the vendor was sent, of a call with `user: echo`."""
        stream = reply.headers["content-type"] == "text/event-stream"
        choice = json.loads(reply.events[0])["choices"][0] if stream else reply.json["choices"][0]
        found: dict[str, Any] = json.loads(choice["delta" if stream else "message"]["content"])
        return found

    def raw(self, request: bytes, *, seconds: float = 10.0) -> bytes:
        """Bytes on a socket; what came back until the other side closed."""
        with socket.create_connection(("127.0.0.1", self.house.port), timeout=seconds) as line:
            line.sendall(request)
            line.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: line.recv(65536), b""))

    def ending(self, reply: Reply, *, seconds: float = 10.0) -> Ending:
        """The one usage record of a call."""
        until = time.monotonic() + seconds
        while True:
            found = [e for rows in self.house.ours().endings.values() for e in rows if e.request == reply.request_id]
            if found:
                assert len(found) == 1, found
                return found[0]
            assert time.monotonic() < until, f"no record of {reply.request_id}"
            time.sleep(0.02)

    def key_of(self, customer: str, *options: str) -> str:
        """A key of a customer that the catalog declares, who gets half a dollar."""
        paid = self.house.command("balance", "top-up", customer, "0.5", "USD", "--id", f"first-{customer}")
        assert paid.returncode == 0, paid.stdout + paid.stderr
        key = str(self.house.ask("key", "create", "--customer", customer, *options)["key"])
        self.wait(lambda: self.send("GET", "/v1/models", key=key).status == 200)
        return key

    def calls(self, kind: str = "open") -> int:
        """Calls that the gateways have open, or `drained`: whose client has gone."""
        total = 0
        for path in (self.house.folder.root / "run").glob("gateway-w*.sock"):
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(5)
                line.connect(str(path))
                line.sendall(b'{"ask": "status"}\n')
                total += int(json.loads(line.makefile().readline())[kind])
        return total

    @staticmethod
    def wait(true: Callable[[], bool], *, seconds: float = 15.0) -> None:
        until = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < until, "it never became so"
            time.sleep(0.02)

    def endings(self) -> int:
        return sum(len(rows) for rows in self.house.ours().endings.values())

    def end(self) -> None:
        self.house.end()
        self.vendor.end()
