"""How a command reaches the admin API: over HTTP where a server runs, inside the command where none does.

With `--url` only that address is asked. Else the lock on DATA tells: held → the server at `admin_url`, or, while its
control process is away, the same API in here with the running keeper as the one that changes things; free → the same
API in here, which then holds the lock and is the one writer itself.
"""

import contextlib
import json
import time
import urllib.parse
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from entrepot.cli.command import options
from entrepot.cli.terminal import MISUSED, REFUSED, UNREACHABLE, Stop

if TYPE_CHECKING:
    from entrepot.storage.folder import Folder

PATIENCE_S = 60.0  # longer than the keeper's own, so that its answer arrives
PROBE_S = 2.0  # an idle control process answers in a millisecond
_BUSY = 503  # without JSON: too many connections, the request was not looked at
SETTLE_S = 5.0  # for a server that starts, or another command that holds the lock


class AdminError(Stop):
    """What the admin API answered; `details` is the rest of its JSON."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        codes = {400: MISUSED, 401: MISUSED, 403: MISUSED, 405: MISUSED, 503: UNREACHABLE}
        message = str(error.get("message", f"the server answered {status}"))
        super().__init__(message, exit_code=codes.get(status, REFUSED))
        self.code = str(error.get("code", "internal_error"))
        self.status = status
        self.details = {name: value for name, value in error.items() if name not in {"code", "message"}}


class Unreachable(Stop):
    """Nobody answers."""

    code = "server_unreachable"

    def __init__(self, message: str, *, do: str = "") -> None:
        super().__init__(message, do=do, exit_code=UNREACHABLE)


class _Way(Protocol):
    """One way to the API: method, path with query, body → status and JSON. `here`: in this process."""

    @property
    def here(self) -> bool: ...

    def send(self, method: str, target: str, body: bytes | None) -> tuple[int, bytes]: ...


class Admin:
    """The admin API, whichever way leads there. `here` is true when it runs inside this command."""

    def __init__(self, way: "_Way") -> None:
        self._way = way

    @property
    def here(self) -> bool:
        return self._way.here

    def get(self, *path: str, **query: Any) -> dict[str, Any]:
        """`get("keys", customer="acme")`; empty values are left out, `from_` is written `from`."""
        pairs = [(k.rstrip("_"), v) for k, v in query.items() if v is not None and v is not False and v not in ("", ())]
        return self._call("GET", path, "?" + urllib.parse.urlencode(pairs, doseq=True) if pairs else "", None)

    def post(self, *path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._call("POST", path, "", json.dumps(body).encode())

    def _call(self, method: str, path: tuple[str, ...], query: str, body: bytes | None) -> dict[str, Any]:
        target = "".join("/" + urllib.parse.quote(part, safe="") for part in ("admin", *path)) + query
        status, answer = self._way.send(method, target, body)
        try:
            facts: dict[str, Any] = json.loads(answer)
        except ValueError:
            raise Unreachable(f"the answer ({status}) is not that of an admin API; is the URL right?") from None
        if status >= 400:
            raise AdminError(status, facts.get("error") or {})
        return facts


class _Http:
    here = False

    def __init__(self, url: str, token: str, patience_s: float) -> None:
        self._url = url
        self._patience_s = patience_s
        wrong = Stop(f"{url!r} is not the URL of a server", do="--url http://127.0.0.1:8081", exit_code=MISUSED)
        try:
            self._to = urllib.parse.urlsplit(url)
            self._port = self._to.port
        except ValueError:
            raise wrong from None
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        if self._to.scheme not in {"http", "https"} or not self._to.hostname:
            raise wrong
        if not (token.isascii() and token.isprintable()):
            raise Stop("an admin token is plain letters; this one is not", exit_code=MISUSED)

    def send(self, method: str, target: str, body: bytes | None) -> tuple[int, bytes]:
        import http.client

        kind = http.client.HTTPSConnection if self._to.scheme == "https" else http.client.HTTPConnection
        line = kind(str(self._to.hostname), self._port, timeout=self._patience_s)
        try:
            line.request(method, self._to.path.rstrip("/") + target, body, self._headers)
            answer = line.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"no server answers at {self._url} ({error})") from None
        finally:
            line.close()


class _Inside:
    """The same API in this process."""

    here = True

    def __init__(self, folder: "Folder", *, own: bool) -> None:
        import asyncio

        import httpx

        from entrepot.control import app, keeper
        from entrepot.storage.database import open_database

        engine = open_database(folder.database)
        if own:
            from entrepot.control.own import OwnKeeper

            port: keeper.KeeperPort = OwnKeeper(engine, folder)
        else:
            port = keeper.SocketKeeper(folder.socket("keeper.sock"))
        token = folder.secret("admin-token").strip().decode()
        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app.build(port, folder, engine), raise_app_exceptions=False),
            base_url="http://localhost",
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            timeout=None,  # the keeper port has its own bound
        )

    def send(self, method: str, target: str, body: bytes | None) -> tuple[int, bytes]:
        answer = self._runner.run(self._client.request(method, target, content=body))
        return answer.status_code, answer.content

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()


class _Served:
    """A server's control process, and, from when it turns out to answer nothing, the same API in this process."""

    def __init__(self, http: _Http, inside: Callable[[], _Inside]) -> None:
        self._way: _Http | _Inside = http
        self._make_inside = inside

    @property
    def here(self) -> bool:
        return self._way.here

    def send(self, method: str, target: str, body: bytes | None) -> tuple[int, bytes]:
        try:
            status, answer = self._way.send(method, target, body)
        except Unreachable:
            if method != "GET" or self.here:  # a change may have been made: whether to repeat it is for a person
                raise
        else:
            if status != _BUSY or answer[:1] == b"{" or self.here:
                return status, answer
        self._way = self._make_inside()
        return self._way.send(method, target, body)


@contextlib.contextmanager
def admin(*, patience_s: float = PATIENCE_S) -> Iterator[Admin]:
    """The admin API of the server that the options mean. Raises Unreachable (exit code 3)."""
    from entrepot.storage.folder import Folder, for_us_alone

    chosen = options()
    folder = Folder(chosen.data)
    if chosen.url:
        yield Admin(_Http(chosen.url, chosen.token or _token(folder), patience_s))
        return
    if not folder.database.exists():
        raise Unreachable(
            f"no server has run on {chosen.data}/ yet, and none is named with --data or --url", do="make serve"
        )
    with contextlib.ExitStack() as stack:
        stack.enter_context(for_us_alone())
        own = _settle(folder, stack)
        url = folder.read_credentials().get("admin_url", "").rstrip("/")
        def inside() -> _Inside:
            way = _Inside(folder, own=own)
            stack.callback(way.close)
            return way

        if not own and _listens(url):
            yield Admin(_Served(_Http(url, chosen.token or _token(folder), patience_s), inside))
        else:
            yield Admin(inside())


def _settle(folder: "Folder", stack: contextlib.ExitStack) -> bool:
    """True: the lock is ours. False: somebody else has it, a server (which may still be starting) or, for too long,
    another command."""
    from entrepot.storage.folder import FolderInUse

    until = time.monotonic() + SETTLE_S
    while True:
        try:
            stack.enter_context(folder.locked())
        except FolderInUse:
            url = folder.read_credentials().get("admin_url", "")
            if _listens(url) or _answers(str(folder.socket("keeper.sock"))) or time.monotonic() > until:
                return False
            time.sleep(0.1)
        else:
            return True


def _listens(url: str) -> bool:
    """Whether the control process answers. A connection alone says nothing: the parent holds the port open for the next
    one; while that is away the same API runs in here."""
    import socket

    to = urllib.parse.urlsplit(url)
    try:
        with socket.create_connection((to.hostname or "", to.port or 80), timeout=PROBE_S) as line:
            line.sendall(b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            said = line.recv(12)
            return bool(said) and not said.endswith(b" 503")
    except OSError:
        return False


def _answers(path: str) -> bool:
    """Whether a process accepts on a local socket."""
    import socket

    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(1.0)
        return line.connect_ex(path) == 0


def _token(folder: "Folder") -> str:
    """As the first start wrote it down; where a server had no catalog for one, it stands among its secrets only."""
    from entrepot.storage.folder import SecretMissing

    try:
        return folder.read_credentials().get("admin_token") or folder.secret("admin-token").strip().decode()
    except SecretMissing:
        return ""
