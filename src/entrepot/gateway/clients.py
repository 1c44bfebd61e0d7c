"""All client connections of a worker, what they may hold, and how they end when it drains."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from entrepot.gateway.bodies import Bodies
from entrepot.gateway.problem import Problem
from entrepot.gateway.routes import Route
from entrepot.wire.http1 import RequestHead

if TYPE_CHECKING:
    from entrepot.gateway.server import Connection

IDLE_S = 75.0
IDLE_DRAINING_S = 5.0  # no client keeps a connection longer without asking whether it is still there
WRITE_STALLED_S = 60.0


class Answering(Protocol):
    """What runs while a request is being answered."""

    def client_gone(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


class App(Protocol):
    """What the server asks."""

    def allow(self, connection: "Connection", route: Route, head: RequestHead) -> Problem | None: ...
    def handle(self, connection: "Connection", route: Route, head: RequestHead, body: bytes) -> None: ...
    def request_id(self) -> str: ...
    def welcome(self, connection: "Connection") -> bool: ...
    def refused(self, connection: "Connection", route: Route | None, trouble: Problem, request_id: str) -> None: ...


class Server:
    """All client connections of this worker, and the bytes they may hold."""

    def __init__(self, loop: asyncio.AbstractEventLoop, app: App) -> None:
        self.loop = loop
        self.app = app
        self.connections: set[Connection] = set()
        self.receiving: set[Connection] = set()
        self.bodies = Bodies()  # that are not whole yet
        self.draining = False
        self.changed: Callable[[], None] = lambda: None  # told when a connection has come or gone

    def sweep(self, now: float) -> None:
        """Once a second: what is received too slowly, idle too long or never read ends."""
        for connection in [c for c in self.receiving if c.deadline <= now]:
            connection.too_slow()
        if self.draining or int(now) % 5 == 0:
            idle_since = now - (IDLE_DRAINING_S if self.draining else IDLE_S)
            for connection in [c for c in self.connections if c.idle_at and c.idle_at <= idle_since]:
                if not connection.unheard():
                    connection.close()
        for connection in [c for c in self.connections if c.stalled_at and c.stalled_at <= now - WRITE_STALLED_S]:
            connection.abort()

    def drain(self) -> None:
        """Each further answer says `connection: close`; idle connections close after 5 s of silence."""
        self.draining = True
