"""The admin API as one FastAPI application, and the process that serves it."""

import asyncio
import importlib
import os
import pkgutil
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import Engine

import entrepot
from entrepot.control import api, problem, webhooks
from entrepot.control.gate import Gate, permitted
from entrepot.control.house import House
from entrepot.control.keeper import KeeperPort, SocketKeeper
from entrepot.storage.database import open_database
from entrepot.storage.folder import Folder

LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")
BEAT_S = 0.5
CLOSE = (b"connection", b"close")
DRAIN_S = 5
OPEN_CONNECTIONS = 256
HEAD_S = 10.0  # a connection that has not sent a whole head by then makes room for others


def build(keeper: KeeperPort, folder: Folder, engine: Engine, hosts: tuple[str, ...] = ()) -> FastAPI:
    """The application; `hosts` are allowed beside the loopback names."""
    app = FastAPI(
        title="Entrepot admin API",
        version=entrepot.__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(permitted)],
    )
    app.state.house = House(keeper, folder, engine)
    for router in _routers():
        app.include_router(router, prefix="/admin")
    problem.install(app)
    app.add_middleware(Gate, hosts=(*LOCAL_HOSTS, *hosts), token=lambda: folder.secret("admin-token").strip())
    return app


def all_routes() -> list[APIRoute]:
    """Every address of the admin API below /admin, for the reference page and the tests."""
    return [route for router in _routers() for route in router.routes if isinstance(route, APIRoute)]


def _routers() -> list[APIRouter]:
    """One per file of `control/api`."""
    names = sorted(module.name for module in pkgutil.iter_modules(api.__path__))
    return [importlib.import_module(f"{api.__name__}.{name}").router for name in names]


class _Server(uvicorn.Server):
    """Signals are ours: uvicorn raises them again after its shutdown, and this process has to exit with 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HeadWaits:
    """Since when each connection owes us the head of its request. The server itself has a bound for the pause between
    two requests only, and counts the silent ones among those it serves."""

    def __init__(self) -> None:
        self._since: dict[Any, tuple[Any, float]] = {}  # connection → its last request, and when that was first seen

    def close_overdue(self, connections: Iterable[Any], now: float) -> None:
        """Close those that have waited HEAD_S; called a few times a second."""
        waiting = {}
        for each in list(connections):
            last = each.cycle
            if last is not None and not last.response_complete:
                continue
            known, since = self._since.get(each, (last, now))
            waiting[each] = (last, since if known is last else now)
            if now - waiting[each][1] > HEAD_S:
                each.transport.close()
        self._since = waiting


def run(  # noqa: PLR0917  the same six for every role: serve.wiring calls them alike
    data: Path,
    listener: socket.socket,
    alive_fd: int,
    beat: Callable[[], None],
    ready: Callable[[dict[str, Any]], None],
    settings: dict[str, Any],
) -> None:
    """Serve on the inherited socket until SIGTERM or the parent's death, then drain for at most DRAIN_S."""
    folder = Folder(data)
    hosts = tuple(host for host in (str(settings.get("host", "")), *settings.get("hosts", ())) if host)
    app = build(SocketKeeper(folder.socket("keeper.sock")), folder, open_database(folder.database), hosts)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        limit_concurrency=OPEN_CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=DRAIN_S,
    )
    drain_s = float(settings.get("reload_drain_seconds", 0))
    asyncio.run(_serve(_Server(config), app.state.house, listener, alive_fd, beat, ready, drain_s))


async def _serve(  # noqa: PLR0917  what `run` has made of them
    server: uvicorn.Server,
    house: House,
    listener: socket.socket,
    alive_fd: int,
    beat: Callable[[], None],
    ready: Callable[[dict[str, Any]], None],
    drain_s: float,
) -> None:
    loop = asyncio.get_running_loop()
    leaves_by = 0.0

    def stop() -> None:
        server.should_exit = True

    def leave() -> None:
        """A reload: the successor serves on the same socket. Take no connection, tell each client with its answer, and
        stop when the last one has gone."""
        nonlocal leaves_by
        leaves_by = leaves_by or loop.time() + drain_s
        for each in server.servers:
            each.close()
        if CLOSE not in server.config.encoded_headers:
            server.config.encoded_headers.append(CLOSE)
            server.server_state.default_headers = [*server.server_state.default_headers, CLOSE]

    def parent_gone() -> None:
        if not os.read(alive_fd, 1):
            loop.remove_reader(alive_fd)
            stop()

    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGINT, stop)
    loop.add_signal_handler(signal.SIGUSR1, leave)
    loop.add_reader(alive_fd, parent_gone)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    telling = asyncio.create_task(webhooks.run(house))
    waits = HeadWaits()
    told = False
    try:
        while not serving.done():
            beat()
            waits.close_overdue(server.server_state.connections, loop.time())
            if server.started and not told:
                told = True
                ready({"role": "control", "pid": os.getpid()})
            if leaves_by:
                telling.cancel()  # its successor tells webhooks from now on
            if leaves_by and (not server.server_state.connections or loop.time() > leaves_by):
                stop()
            await asyncio.wait([serving], timeout=BEAT_S if told else 0.02)
    finally:
        telling.cancel()
        await serving
