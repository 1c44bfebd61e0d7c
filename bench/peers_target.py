"""Other gateways as targets, each installed from its registry into `bench/peers/`: none is part of the product.

A peer that cannot be installed or started here is named with its reason and left out. All run as their documentation
says for one worker, without a database: that is less than what Entrepot does in the same measurement.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.measure import MODEL, Target
from entrepot.prove.processes import RigBroken, end, free_port, send, session_members, wait_for_port

FOLDER = Path(__file__).parent / "peers"
_INSTALL_S = 1200
_START_S = 90

_LITELLM = """model_list:
  - model_name: {model}
    litellm_params:
      model: openai/{model}
      api_base: http://127.0.0.1:{vendor}/v1
      api_key: none
general_settings:
  master_key: sk-bench
"""
_TENSORZERO = """[gateway]
observability.enabled = false

[models.{model}]
routing = ["fake"]

[models.{model}.providers.fake]
type = "openai"
model_name = "{model}"
api_base = "http://127.0.0.1:{vendor}/v1/"
api_key_location = "none"
"""
_TENSORZERO_START = """
import asyncio, inspect, json, signal, sys
from tensorzero.tensorzero import _start_http_gateway

async def main():
    stores = dict(clickhouse_url=None, postgres_url=None, valkey_url=None)
    gateway = _start_http_gateway(config_file=sys.argv[1], async_setup=False, **stores)
    if inspect.isawaitable(gateway):
        gateway = await gateway
    print(json.dumps({"port": int(gateway.base_url.rstrip("/").split(":")[2].split("/")[0])}), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


class Peer:
    """One other gateway: install once, start, name the target, stop."""

    name = ""

    def __init__(self, vendor: int, *, core: int | None) -> None:
        self._pinned = [] if core is None else ["taskset", "-c", str(core)]
        self._vendor = vendor
        self._process: subprocess.Popen[bytes] | None = None
        self.folder = FOLDER / self.name
        self.port = free_port()

    def install(self) -> None:
        raise NotImplementedError

    def start(self) -> None:
        raise NotImplementedError

    def target(self) -> Target:
        return Target(name=self.name, port=lambda _kind: self.port, pids=self._pids, key="sk-bench")

    def stop(self) -> None:
        if self._process is not None:
            for pid in reversed(self._pids()):
                send(pid, signal.SIGTERM)
            end(self._process)

    def _pids(self) -> tuple[int, ...]:
        assert self._process is not None
        return tuple(session_members(self._process.pid))

    def _launch(self, words: Sequence[str], **environment: str) -> None:
        with (FOLDER / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._pinned, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env={**os.environ, **environment}, start_new_session=True,
            )  # fmt: skip

    def _config(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text.format(model=MODEL, vendor=self._vendor))
        return path


class Litellm(Peer):
    name = "litellm"

    def install(self) -> None:
        if not (self.folder / "bin" / "litellm").exists():
            _venv(self.folder, "litellm[proxy]")

    def start(self) -> None:
        config = self._config("config.yaml", _LITELLM)
        words = [str(self.folder / "bin" / "litellm"), "--config", str(config), "--port", str(self.port)]
        self._launch([*words, "--host", "127.0.0.1"], LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_LOG="ERROR")
        wait_for_port(self.port, seconds=_START_S)


class Portkey(Peer):
    name = "portkey"

    @property
    def _server(self) -> Path:
        return self.folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"

    def install(self) -> None:
        if not self._server.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            _run(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(self.folder), "@portkey-ai/gateway"])

    def start(self) -> None:
        self._launch(["node", str(self._server), f"--port={self.port}", "--headless"], NODE_ENV="production")
        wait_for_port(self.port, seconds=_START_S)

    def target(self) -> Target:
        headers = (("x-portkey-provider", "openai"), ("x-portkey-custom-host", f"http://127.0.0.1:{self._vendor}/v1"))
        return Target(name=self.name, port=lambda _kind: self.port, pids=self._pids, key="sk-bench", headers=headers)


class Tensorzero(Peer):
    """The wheel holds the whole gateway as a library that opens an HTTP port; observability is off."""

    name = "tensorzero"

    def install(self) -> None:
        if not list(self.folder.glob("lib/python*/site-packages/tensorzero")):
            _venv(self.folder, "tensorzero")

    def start(self) -> None:
        config = self._config("tensorzero.toml", _TENSORZERO)
        script = self.folder / "start.py"
        script.write_text(_TENSORZERO_START)
        self._launch([str(self.folder / "bin" / "python"), str(script), str(config)])
        self.port = self._told()

    def _told(self) -> int:
        log = FOLDER / f"{self.name}.log"
        until = time.monotonic() + _START_S
        while time.monotonic() < until and self._process is not None and self._process.poll() is None:
            for line in reversed(log.read_text(errors="replace").splitlines()):
                if line.startswith('{"port"'):
                    return int(json.loads(line)["port"])
            time.sleep(0.1)
        raise RigBroken(f"it did not start; see {log.name}")

    def target(self) -> Target:
        return Target(
            name=self.name, port=lambda _kind: self.port, pids=self._pids, key="none",
            path="/openai/v1/chat/completions", model=f"tensorzero::model_name::{MODEL}",
        )  # fmt: skip


PEERS: tuple[type[Peer], ...] = (Tensorzero, Portkey, Litellm)


def start_peers(vendor: int, *, core: int | None) -> tuple[list[Peer], dict[str, str]]:
    """Those that run, and why the others do not."""
    FOLDER.mkdir(exist_ok=True)
    running: list[Peer] = []
    missing: dict[str, str] = {}
    for kind in PEERS:
        peer = kind(vendor, core=core)
        (FOLDER / f"{peer.name}.log").write_bytes(b"")
        try:
            print(f"peer {peer.name}: installing and starting", flush=True)
            peer.install()
            peer.start()
        except (RigBroken, OSError, subprocess.SubprocessError) as error:
            missing[peer.name] = str(error)
            print(f"peer {peer.name} is left out: {error}")
            peer.stop()
        else:
            running.append(peer)
    return running, missing


def _venv(folder: Path, *packages: str) -> None:
    if not (folder / "bin" / "pip").exists():
        _run([sys.executable, "-m", "venv", str(folder)])
    _run([str(folder / "bin" / "pip"), "install", "--quiet", *packages])


def _run(words: Sequence[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
    if done.returncode:
        raise RigBroken(f"{' '.join(words[:3])}: exit {done.returncode}: {done.stderr[-300:]}")
