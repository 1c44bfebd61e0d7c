"""One process that has collected all tests, and a fork of it for each mutant."""

import importlib
import os
import signal
import sys
import time
import types
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mutation.mutants import Mutant, mutants_of

PATIENCE_S = 90
_SEEN_S = 0.02


class Fate(NamedTuple):
    """What became of a mutant."""

    file: str
    mutant: Mutant
    killed: bool
    words: str  # its line

    @property
    def name(self) -> str:
        """Stays the same when lines move."""
        return f"{self.file} {self.mutant.function} `{self.words}` {self.mutant.what}"


class Forks:
    """A plugin of pytest that runs the collected tests its own way."""

    def __init__(self, source: Path, files: Sequence[str], jobs: int) -> None:
        self._source, self._files, self._jobs = source, files, jobs
        self._items: list[pytest.Item] = []
        self._seconds: dict[str, float] = {}
        self._entered: dict[tuple[str, str], set[str]] = defaultdict(set)  # (file, function) → tests
        self._failed = False
        self.fates: list[Fate] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._failed = self._failed or report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = session.items
        self._once()
        if self._failed:
            raise pytest.UsageError("a test fails without any mutant")
        work = [
            (name, each, (self._source / name).read_text(encoding="utf-8").splitlines()[each.line - 1].strip())
            for name in self._files
            for each in mutants_of((self._source / name).read_text(encoding="utf-8"))
        ]
        self.fates = sorted(self._all(work), key=lambda fate: (self._files.index(fate.file), fate.mutant.line))
        return True

    def _once(self) -> None:
        """Run everything unbroken, and see who enters what."""
        wanted = {str(self._source / name): name for name in self._files}
        now = ""

        def enter(frame: types.FrameType, what: str, _arg: object) -> None:
            if what == "call" and (name := wanted.get(frame.f_code.co_filename)):
                self._entered[name, frame.f_code.co_qualname.split(".<locals>")[0]].add(now)

        for item, following in zip(self._items, [*self._items[1:], None], strict=True):
            now, started = item.nodeid, time.monotonic()
            sys.setprofile(enter)
            try:
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            finally:
                sys.setprofile(None)
            self._seconds[now] = time.monotonic() - started

    def _all(self, work: list[tuple[str, Mutant, str]]) -> Iterator[Fate]:
        running: dict[int, tuple[str, Mutant, str, float]] = {}
        while work or running:
            while work and len(running) < self._jobs:
                name, mutant, words = work.pop(0)
                tests = self._tests(name, mutant.function)
                if not tests:
                    yield Fate(name, mutant, killed=False, words=words)
                    continue
                pid = os.fork()
                if not pid:
                    os._exit(self._tried(name, mutant, tests))
                running[pid] = name, mutant, words, time.monotonic() + PATIENCE_S
            pid, status = os.waitpid(-1, os.WNOHANG) if running else (0, 0)
            if pid:
                name, mutant, words, _ = running.pop(pid)
                yield Fate(name, mutant, killed=status != 0, words=words)
                continue
            for late, (*_, until) in running.items():
                if time.monotonic() > until:  # a loop without end is noticed as well
                    os.kill(late, signal.SIGKILL)
            time.sleep(_SEEN_S)

    def _tests(self, file: str, function: str) -> list[pytest.Item]:
        """Those that enter the function, module by module, the quickest modules first."""
        mine = [item for item in self._items if item.nodeid in self._entered[file, function]]
        seconds: dict[str, float] = defaultdict(float)
        for item in mine:
            seconds[item.nodeid.split("::")[0]] += self._seconds[item.nodeid]
        return sorted(mine, key=lambda item: (seconds[item.nodeid.split("::")[0]], item.nodeid.split("::")[0]))

    def _tried(self, file: str, mutant: Mutant, tests: list[pytest.Item]) -> int:
        """In the child: 0 where every test passes."""
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        self._failed = False
        _break(file, self._source / file, mutant)
        for item, following in zip(tests, [*tests[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._failed:
                return 1
        return 0


def _break(file: str, path: Path, mutant: Mutant) -> None:
    """Put the mutant's code object into the function, wherever it was imported to."""
    module = importlib.import_module("entrepot." + file.removesuffix(".py").replace("/", "."))
    code = next(each for each in _codes(compile(mutant.tree, str(path), "exec")) if each.co_qualname == mutant.function)
    found: Any = module
    for part in mutant.function.split("."):
        found = found.__dict__[part] if isinstance(found, type) else getattr(found, part)
    found = getattr(found, "fget", found)
    while hasattr(found, "__wrapped__"):
        if hasattr(found, "cache_clear"):
            found.cache_clear()
        found = found.__wrapped__
    found.__code__ = code


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield each
            yield from _codes(each)
