"""A real house for trials: `entrepot serve` in processes of its own, a data folder of its own, a fake vendor upstream.

The same rig serves tests, bench and users.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, Literal

from entrepot.journal.files import scan, streams
from entrepot.kernel.ids import AttemptId
from entrepot.metering.record import Ending, Intent, Kind, from_bytes
from entrepot.prove.client import chat_body
from entrepot.prove.compare import Ours
from entrepot.prove.processes import RigBroken, command_line, free_port, send, session_members
from entrepot.storage.folder import Folder

Target = Literal["worker", "keeper", "parent", "all"]
MODEL = "fake-model"
_ROLE = {"worker": "gateway", "keeper": "keeper"}
_LAUNCH = ["-c", "import sys; from entrepot.cli import main; sys.argv[0] = 'entrepot'; main()"]
_CATALOG = """format = 1

[operator]
name = "Trial"

[vendor]
fake = {{ name = "Fake Vendor" }}

[upstream.fake]
vendor = "fake"
endpoint = {{ dialect = "openai", url = "http://127.0.0.1:{port}/v1", zone = "EU", key = {{ file = "vendor.key" }} }}
client_gone = {{ do = "drain", seconds = 30 }}

[model]
{model} = {{ routes = ["fake/{model}"], context = 128_000, output_max = 16_000 }}

[[book.fake-cost]]
buys_from = "fake"
currency = "USD"
valid_from = 2026-01-01T00:00:00Z
prices = [{{ model = "{model}", input = {cost[0]}, cached = {cost[1]}, output = {cost[2]} }}]

[[book.list]]
currency = "USD"
valid_from = 2026-01-01T00:00:00Z
prices = [{{ model = "{model}", input = {price[0]}, cached = {price[1]}, output = {price[2]} }}]
"""


#: USD for a million tokens: input, cached, output.
Prices = tuple[str, str, str]


class House:
    """Start, kill, hold down, stop, and look into one house. `core` pins all of its processes."""

    def __init__(
        self,
        vendor_port: int,
        *,
        model: str = MODEL,
        workers: int = 2,
        core: int | None = None,
        environment: dict[str, str] | None = None,
        launch: Sequence[str] | None = None,
        price: Prices = ("0.10", "0.05", "0.40"),
    ) -> None:
        """`launch` starts the server in place of `entrepot` (a test's own roles); commands are always the real one."""
        self.root = Path(tempfile.mkdtemp(prefix="entrepot-trial-"))
        self.folder = Folder(self.root / "data")
        self.folder.create()
        self.hold("local")  # the built-in model takes a core for its start, and no trial calls it
        self.port, self.admin_port = free_port(), free_port()
        self.model = model
        self.workers = workers
        self.catalog = self.root / "catalog.toml"
        cost = ("0.08", "0.04", "0.32")
        self.catalog.write_text(_CATALOG.format(port=vendor_port, model=model, price=price, cost=cost))
        (self.root / "vendor.key").write_text("fake-vendor-key\n")
        self.log = self.root / "serve.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self._core = core
        self._launch = launch or [sys.executable, *_LAUNCH]
        self._environment = {**os.environ, "NO_COLOR": "1", **(environment or {})}

    def start(self) -> None:
        """Launch the parent; returns at once. `first_answer` waits."""
        pinned = [] if self._core is None else ["taskset", "-c", str(self._core)]
        ports = ("--port", str(self.port), "--admin-port", str(self.admin_port))
        options = (*ports, "--workers", str(self.workers), "--catalog", str(self.catalog))
        with self.log.open("ab") as log:
            self.started_at = time.monotonic()
            self.process = subprocess.Popen(
                [*pinned, *self._launch, "serve", "--data", str(self.folder.root), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.root,
                env=self._environment,
                start_new_session=True,
            )

    def first_answer(self, *, seconds: float = 30.0) -> float:
        """Seconds since `start` until a whole answer to a real call."""
        body = chat_body(self.model, completion=1, events=1)
        until = time.monotonic() + seconds
        problem = ""
        while time.monotonic() < until:
            if self.process is not None and self.process.poll() is not None:
                break
            try:
                status, text = self.post(body)
            except (OSError, http.client.HTTPException, KeyError) as error:
                problem = repr(error)
            else:
                if status == 200:
                    return time.monotonic() - self.started_at
                problem = f"{status} {text[:500]!r}"
            time.sleep(0.01)
        raise RigBroken(f"no answer {seconds:.0f} s after the start: {problem}\n{self.tail()}")

    def post(self, body: bytes, *, key: str = "", timeout: float = 10.0) -> tuple[int, bytes]:
        """One chat call on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            headers = {"Authorization": f"Bearer {key or self.key}", "Content-Type": "application/json"}
            connection.request("POST", "/v1/chat/completions", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    @property
    def key(self) -> str:
        """The demo key; KeyError before the first start made it."""
        return self.folder.read_credentials()["api_key"]

    def command(self, *words: str, timeout: float = 60.0) -> "subprocess.CompletedProcess[str]":
        """`entrepot WORDS --data …`; checks nothing."""
        return subprocess.run(
            [sys.executable, *_LAUNCH, *words, "--data", str(self.folder.root)],
            capture_output=True, text=True, timeout=timeout, env=self._environment, cwd=self.root, check=False,
        )  # fmt: skip

    def ask(self, *words: str) -> Any:
        """`entrepot WORDS --json`; RigBroken unless it exits 0."""
        done = self.command(*words, "--json")
        if done.returncode:
            raise RigBroken(f"entrepot {' '.join(words)}: exit {done.returncode}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def admin(self, method: str, path: str, body: Any = None, *, seconds: float = 30.0) -> Any:
        """The admin API; waits for a control process or a keeper that is just being started. RigBroken if refused."""
        headers = {"Authorization": f"Bearer {self.folder.read_credentials()['admin_token']}"}
        headers["Content-Type"] = "application/json"
        until = time.monotonic() + seconds
        while True:
            line = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=60)
            try:
                line.request(method, f"/admin/{path}", json.dumps(body) if body is not None else None, headers)
                answer = line.getresponse()
                status, text = answer.status, answer.read()
            except (OSError, http.client.HTTPException) as error:
                status, text = 503, repr(error).encode()
            finally:
                line.close()
            if status < 400:
                return json.loads(text)
            if status != 503 or time.monotonic() > until:
                raise RigBroken(f"{method} {path}: {status} {text[:500].decode('utf-8', 'replace')}")
            time.sleep(0.1)

    def top_up(self, amount: str = "100000", *, identity: str = "trial") -> None:
        done = self.command("balance", "top-up", "demo", amount, "USD", "--id", identity)
        if done.returncode:
            raise RigBroken(f"top-up: exit {done.returncode}: {done.stdout}{done.stderr}")

    def pids(self, role: str) -> list[int]:
        """Processes that run a role now: `gateway`, `keeper`, `control`, `local`."""
        if self.process is None:
            return []
        found = []
        for pid in session_members(self.process.pid):
            words = command_line(pid)
            if "entrepot.serve.child" in words and role in words[words.index("entrepot.serve.child") + 1 :][:1]:
                found.append(pid)
        return found

    def gateways(self) -> list[dict[str, Any]]:
        """What every gateway that answers says about itself; the calls of all of them are the sum."""
        found = []
        for path in sorted(self.folder.socket("any").parent.glob("gateway-w*.sock")):
            with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as line:
                line.settimeout(5)
                line.connect(str(path))
                line.sendall(b'{"ask": "status"}\n')
                found.append(json.loads(line.makefile().readline()))
        return found

    def kill(self, target: Target) -> int:
        """SIGKILL; how many processes were hit."""
        assert self.process is not None
        if target == "parent":
            victims = [self.process.pid]
        elif target == "all":
            victims = session_members(self.process.pid)
        else:
            victims = self.pids(_ROLE[target])
        return sum(send(pid, signal.SIGKILL) for pid in victims)

    def kill_one(self, target: Literal["worker", "keeper"], chance: Random) -> int:
        """SIGKILL one process of several that play a role; 0 if there is none."""
        victims = self.pids(_ROLE[target])
        return send(chance.choice(victims), signal.SIGKILL) if victims else 0

    def hold(self, role: str) -> None:
        """The parent does not start this role until `release`."""
        (self.folder.root / "run" / f"hold-{role}").touch()

    def hold_down(self, role: str) -> None:
        """Hang the role (SIGSTOP); the parent kills it after its silence and leaves it down until `release`."""
        self.hold(role)
        for pid in self.pids(role):
            send(pid, signal.SIGSTOP)

    def release(self, role: str) -> None:
        (self.folder.root / "run" / f"hold-{role}").unlink(missing_ok=True)

    def wait_gone(self, *, seconds: float = 20.0) -> None:
        """Until every process of the house has ended; whoever is left then is killed and RigBroken raised."""
        assert self.process is not None
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.process.poll()
            if not session_members(self.process.pid):
                return
            time.sleep(0.01)
        left = [" ".join(command_line(pid)[:6]) for pid in session_members(self.process.pid)]
        self.kill("all")
        raise RigBroken(f"still there {seconds:.0f} s after the parent's end: {left}")

    def stop(self, *, seconds: float = 40.0) -> int:
        """SIGTERM, wait for the drain; the exit code."""
        if self.process is None:
            return 0
        self.process.terminate()
        try:
            code = self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill("all")
            raise RigBroken(f"still running {seconds:.0f} s after SIGTERM\n{self.tail()}") from None
        self.wait_gone()
        return code

    def end(self, *, keep: bool = False) -> None:
        """Kill whatever is left; remove the folder unless it is to be looked at."""
        if self.process is not None:
            self.kill("all")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=10)
        if not keep:
            shutil.rmtree(self.root, ignore_errors=True)

    def tail(self) -> str:
        """The last lines of every log."""
        logs = [self.log, *sorted((self.folder.root / "run").glob("*.log"))]
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in logs if log.exists())

    def intents(self) -> Iterator[Intent]:
        """Everything that was let in, in no order."""
        for stream in streams(self.folder.journal):
            for entry in scan(self.folder.journal, stream.slot, stream.epoch):
                if entry.record[0] == Kind.INTENT:
                    record = from_bytes(entry.record)
                    assert isinstance(record, Intent)
                    yield record

    def ours(self) -> Ours:
        """Every usage record in the journal, and every intent without one."""
        endings: dict[str, list[Ending]] = {}
        intents: set[str] = set()
        for stream in streams(self.folder.journal):
            for entry in scan(self.folder.journal, stream.slot, stream.epoch):
                kind = entry.record[0]
                if kind == Kind.INTENT:
                    intents.add(str(AttemptId(stream.slot, stream.epoch, entry.seq)))
                elif kind == Kind.ENDING:
                    record = from_bytes(entry.record)
                    assert isinstance(record, Ending)
                    attempt = str(AttemptId(stream.slot, stream.epoch, record.attempt_seq))
                    endings.setdefault(attempt, []).append(record)
        return Ours(endings=endings, unended=frozenset(intents - endings.keys()))
