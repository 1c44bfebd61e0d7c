"""The customers' side of HTTP without an app: what a server asks is answered by the test."""

from entrepot.gateway import problem
from entrepot.gateway.clients import Server
from entrepot.gateway.problem import Problem
from entrepot.gateway.server import Connection, Route
from entrepot.wire.http1 import RequestHead
from hand_driven import Loop, Wire


class Shop:
    """An app that keeps every request until the test answers it."""

    def __init__(self) -> None:
        self.asked: list[tuple[Connection, bytes]] = []
        self.refusals: list[str] = []
        self.denied = False

    def allow(self, connection: Connection, route: Route, head: RequestHead) -> Problem | None:
        connection.payer = head.headers.get(b"user-agent", b"").decode()
        if self.denied:
            return problem.bad_key("no more")
        return problem.bad_key("no") if head.headers.get(b"api-key") == b"bad" else None

    def welcome(self, connection: Connection) -> bool:
        return not self.denied

    def handle(self, connection: Connection, route: Route, head: RequestHead, body: bytes) -> None:
        if body == b"raise":
            raise RuntimeError("a fault of ours")
        self.asked.append((connection, body))

    def request_id(self) -> str:
        return "req_1"

    def refused(self, connection: Connection, route: Route | None, trouble: Problem, request_id: str) -> None:
        self.refusals.append(trouble.code)

    def answer(self, text: bytes) -> None:
        """Answer the oldest request."""
        connection, _ = self.asked.pop(0)
        connection.respond(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n" % len(text), text)


class Rig:
    def __init__(self) -> None:
        self.loop = Loop()
        self.app = Shop()
        self.server = Server(self.loop, self.app)  # type: ignore[arg-type]

    def connect(self) -> Wire:
        return Wire(Connection(self.server))

    def second(self, seconds: int = 1) -> None:
        """Time passes; once a second the server looks around."""
        for _ in range(seconds):
            self.loop.pass_time(1)
            self.server.sweep(self.loop.now)


def request(body: bytes = b"", *lines: bytes) -> bytes:
    head = [b"POST /v1/chat/completions HTTP/1.1", b"host: x", b"content-length: %d" % len(body), *lines]
    return b"\r\n".join([*head, b"", body])
