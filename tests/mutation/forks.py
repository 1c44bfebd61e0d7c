"""One process that has collected all tests, and a fork of it for each mutant."""

import ast
import builtins
import importlib
import math
import os
import resource
import signal
import time
import types
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import Phase, settings

from mutation.mutants import Mutant, functions_of, mutants_of

#: A loop without end is noticed after so much processor time, and so many times what the tests took unbroken; one that
#: waits for what never comes, after so many seconds. A busy machine kills no mutant.
PATIENCE_S, TIMES = 3.0, 4
WAITS_S, WAITS_TIMES = 60.0, 20
_SEEN_S = 0.02
_TOLD = 254  # the largest place; 255 stands for every later one


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
        self._reached: dict[tuple[str, int], set[str]] = defaultdict(set)  # (file, line of a statement) → tests
        self._kills: dict[tuple[str, str, str], int] = defaultdict(int)  # (file, function, test) → mutants
        self._failed = False
        self._told = os.dup(2)  # pytest keeps what is written to it while tests run
        self.fates: list[Fate] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._failed = self._failed or report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = session.items
        for item in self._items:
            _without_shrinking(item)
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
        """Run everything unbroken, with functions that say which of their statements are reached."""
        seen: set[tuple[str, int]] = set()
        builtins.__mutation_seen__ = seen  # type: ignore[attr-defined]
        before = [
            (name, function, function.__code__)
            for name in self._files
            for function in _telling(name, self._source / name)
        ]
        for item, following in zip(self._items, [*self._items[1:], None], strict=True):
            for name, function, _ in before:
                _function(name, function.__qualname__)  # forgets what it knows: each test finds it out again
            started = time.process_time()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            self._seconds[item.nodeid] = time.process_time() - started
            for place in seen:
                self._reached[place].add(item.nodeid)
            seen.clear()
        for _, function, code in before:
            function.__code__ = code

    def _all(self, work: list[tuple[str, Mutant, str]]) -> Iterator[Fate]:
        running: dict[int, tuple[str, Mutant, str, list[pytest.Item], float]] = {}
        while work or running:
            while work and len(running) < self._jobs:
                name, mutant, words = work.pop(0)
                tests = self._tests(name, mutant)
                if not tests:
                    yield Fate(name, mutant, killed=False, words=words)
                    continue
                unbroken = sum(self._seconds[item.nodeid] for item in tests)
                pid = os.fork()
                if not pid:
                    most = math.ceil(PATIENCE_S + TIMES * unbroken)
                    resource.setrlimit(resource.RLIMIT_CPU, (most, most))
                    os._exit(self._tried(name, mutant, tests))
                running[pid] = name, mutant, words, tests, time.monotonic() + WAITS_S + WAITS_TIMES * unbroken
                if not len(work) % 25:
                    os.write(self._told, f"{len(work)} to go\n".encode())
            pid, status = os.waitpid(-1, os.WNOHANG) if running else (0, 0)
            if pid:
                name, mutant, words, tests, _ = running.pop(pid)
                if 0 < (place := os.waitstatus_to_exitcode(status)) <= min(len(tests), _TOLD):
                    self._kills[name, mutant.function, tests[place - 1].nodeid] += 1
                yield Fate(name, mutant, killed=status != 0, words=words)
                continue
            for late, (*_, until) in running.items():
                if time.monotonic() > until:
                    os.kill(late, signal.SIGKILL)
            time.sleep(_SEEN_S)

    def _tests(self, file: str, mutant: Mutant) -> list[pytest.Item]:
        """Those that reach the statement: first what killed most of its function for its time, then the quickest."""

        def turn(item: pytest.Item) -> tuple[float, float]:
            seconds = max(self._seconds[item.nodeid], _SEEN_S)
            return -self._kills[file, mutant.function, item.nodeid] / seconds, seconds

        reaching = self._reached[file, mutant.statement]
        return sorted((item for item in self._items if item.nodeid in reaching), key=turn)

    def _tried(self, file: str, mutant: Mutant, tests: list[pytest.Item]) -> int:
        """In the child: 0 where every test passes, else the place of the one that failed (a status has eight bits)."""
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        self._failed = False
        _break(file, self._source / file, mutant)
        for place, (item, following) in enumerate(zip(tests, [*tests[1:], None], strict=True), 1):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._failed:
                return min(place, _TOLD + 1)
        return 0


def _without_shrinking(item: pytest.Item) -> None:
    """That a property fails is enough here; the smallest example of it is looked for a hundred times as long."""
    test = getattr(item, "obj", None)
    before = getattr(test, "_hypothesis_internal_use_settings", None)
    if test is not None and before is not None:
        test._hypothesis_internal_use_settings = settings(
            before, phases=(Phase.explicit, Phase.generate), max_examples=60, database=None
        )  # fmt: skip


def _break(file: str, path: Path, mutant: Mutant) -> None:
    """Put the mutant's code object into the function, wherever it was imported to."""
    code = _codes_of(mutant.tree, path)[mutant.function]
    _function(file, mutant.function).__code__ = code


def _telling(file: str, path: Path) -> Iterator[types.FunctionType]:
    """Every function of a file, before it is made to say what of it is reached; restore `__code__` afterwards."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = functions_of(tree)
    for _, node in functions:
        _tell_statements(node, file)
    codes = _codes_of(ast.fix_missing_locations(tree), path)
    for name, _ in functions:
        found = _function(file, name)
        yield found
        found.__code__ = codes[name]


def _tell_statements(node: ast.AST, file: str) -> None:
    for child in ast.iter_child_nodes(node):
        _tell_statements(child, file)
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list):
            told = [ast.parse(f"__mutation_seen__.add(({file!r}, {each.lineno}))").body[0] for each in block]
            block[:] = [each for pair in zip(told, block, strict=True) for each in pair]


def _function(file: str, name: str) -> types.FunctionType:
    found: Any = importlib.import_module("entrepot." + file.removesuffix(".py").replace("/", "."))
    for part in name.split("."):
        found = found.__dict__[part] if isinstance(found, type) else getattr(found, part)
    found = getattr(found, "fget", found)
    while hasattr(found, "__wrapped__"):
        if hasattr(found, "cache_clear"):
            found.cache_clear()
        found = found.__wrapped__
    assert isinstance(found, types.FunctionType)
    return found


def _codes_of(tree: ast.Module, path: Path) -> dict[str, types.CodeType]:
    """Code objects by qualified name."""
    found: dict[str, types.CodeType] = {}

    def walk(code: types.CodeType) -> None:
        for each in code.co_consts:
            if isinstance(each, types.CodeType):
                found.setdefault(each.co_qualname, each)
                walk(each)

    walk(compile(tree, str(path), "exec"))
    return found
