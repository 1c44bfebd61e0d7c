"""What the parent's events look like on a terminal: facts of the children become the screen."""

import importlib.util
import os
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from entrepot import __version__
from entrepot.kernel import instants
from entrepot.kernel.errors import EntrepotError
from entrepot.kernel.text import plain
from entrepot.serve import screen
from entrepot.serve.folding import Folding
from entrepot.serve.settings import Value
from entrepot.storage.folder import Folder

_REPEAT_SECONDS = 10.0
_NOTE_MOST = 500
_EXAMPLE = Path("examples/openai.toml")


class House:
    """Watches one parent for a person at a terminal."""

    def __init__(self, settings: dict[str, Value], out: TextIO, program: str) -> None:
        self._settings = settings
        self._folder = Folder(Path(str(settings["data"])))
        self._data = screen.shown_path(self._folder.root)
        self._terminal = screen.Terminal(out)
        self._paint = self._terminal.paint
        self._program = program
        self._folding = Folding()
        self._ends: dict[str, tuple[str, float]] = {}  # per process: how it last ended, and when that was said

    def ready(self, facts: dict[str, dict[str, Any]], seconds: float) -> None:
        self._terminal.say(screen.ready_screen(self._screen(facts, seconds), self._paint))

    def told(self, name: str, facts: dict[str, Any]) -> None:
        if "call" in facts:
            if self._folding.call(name, facts["call"]):
                self._terminal.say(screen.call_line(facts["call"]))
        elif "second" in facts:
            self._folding.sum(name, facts["second"])
        elif "note" in facts:
            self._terminal.say(self._paint(screen.YELLOW, f"{_now()}  {name}: {plain(str(facts['note']), _NOTE_MOST)}"))

    def looked(self) -> None:
        """The parent has looked around, as it does a few times a second: which seconds are over?"""
        for total in self._folding.due(time.time_ns() // 1000):
            self._terminal.say(screen.second_line(total))

    def exited(self, name: str, how: str, log: Path) -> None:
        """One line; the same end again and again gives one line in ten seconds."""
        where, now = screen.shown_path(log), time.monotonic()
        last_how, last_at = self._ends.get(name, ("", 0.0))
        if last_how == how and now - last_at < _REPEAT_SECONDS:
            return
        self._ends[name] = (how, now)
        text = f"{_now()}  {name} ended ({plain(how, _NOTE_MOST)}) and is replaced; why: {where}"
        self._terminal.say(self._paint(screen.YELLOW, text))

    def reloaded(self, facts: dict[str, Any]) -> None:
        """One line, whichever way it went."""
        if "error" in facts:
            text = self._paint(screen.YELLOW, f"{_now()}  {plain(str(facts['error']['message']), _NOTE_MOST)}")
        else:
            text = f"{_now()}  {screen.reload_line(facts)}"
        self._terminal.say(text)

    def stopping(self, seconds: int) -> None:
        self._terminal.say(
            f"\n{_now()}  stopping: calls under way may end, for at most {seconds} s; Ctrl-C again stops at once"
        )

    def stopped(self, whole: bool) -> None:
        cut = "" if whole else " Calls that were cut are recorded as estimated at the next start."
        self._terminal.say(f"{_now()}  stopped; nothing is lost.{cut}")

    def close(self) -> None:
        self._terminal.close()

    def _screen(self, facts: dict[str, dict[str, Any]], seconds: float) -> screen.Screen:
        credentials = self._folder.read_credentials()
        keeper = facts.get("keeper", {})
        local = facts.get("local", {})
        cut = sum(int(told.get("closed", 0)) for told in facts.values())
        model = credentials.get("model", "")
        balance = str(keeper.get("balance", ""))
        note, missing = self._model_note(model, local)
        default = self._folder.root.absolute() == Path("data").absolute()
        return screen.Screen(
            version=__version__,
            seconds=seconds,
            azure_endpoint=str(self._settings["azure_endpoint"]),
            base_url=str(self._settings["base_url"]),
            key=credentials.get("api_key", ""),
            customer=str(keeper.get("customer", "demo")),
            balance=f"{balance} prepaid" if balance else "",
            model=model,
            model_note=note,
            model_missing=missing,
            python=_python() if importlib.util.find_spec("openai") else "",
            program=self._program,
            data=self._data,
            data_option="" if default or os.environ.get("ENTREPOT_DATA") else f" --data {self._data}",
            before=screen.last_run(self._data, keeper, cut),
            example=str(_EXAMPLE) if _EXAMPLE.exists() else "",
        )

    def _model_note(self, model: str, local: dict[str, Any]) -> tuple[str, bool]:
        """What stands beside the model's name, and whether it cannot answer."""
        prices, built_in = _offer(self._folder, model)
        if built_in and local.get("available") is False:
            return f"{local.get('why', 'built-in model not installed')}: {local.get('remedy', '')}", True
        return "; ".join(part for part in ("built in, works offline" if built_in else "", prices) if part), False


def _offer(folder: Folder, model: str) -> tuple[str, bool]:
    """(price of a model as the demo customer pays it, whether it is the built-in one), read from the snapshot."""
    from entrepot.snapshot import Snapshot  # read once; the parent keeps nothing of it

    try:
        snapshot = Snapshot.load(folder.snapshot)
        customer = snapshot.customer("demo")
        entry = snapshot.model(model)
        price = snapshot.prices(customer.book, model) if customer else None
        upstreams = [snapshot.upstream(upstream) for upstream, _ in entry.routes] if entry else []
    except (EntrepotError, OSError):
        return "", False
    built_in = any(upstream is not None and upstream.dialect == "builtin" for upstream in upstreams)
    now = time.time_ns() // 1000
    versions = [version for version in price.versions if version.valid_from <= now] if price else []
    if not versions:
        return "", built_in
    version = versions[-1]
    scale = _scale(version.currency)
    per_million = [
        _money(Decimal(rate) * 1_000_000 / version.den / scale) for rate in (version.rates[0], version.rates[3])
    ]
    return f"{per_million[0]} in / {per_million[1]} out {version.currency} per million tokens", built_in


def _scale(currency: str) -> int:
    from entrepot.kernel.money import scale_of

    return int(10 ** scale_of(currency))


def _money(amount: Decimal) -> str:
    """At least two places, more where there are more: `0.10`, `0.075`."""
    plain = f"{amount.normalize():f}"
    whole, _, fraction = plain.partition(".")
    return f"{whole}.{fraction.ljust(2, '0')}"


def _python() -> str:
    """`.venv/bin/python` where that is what runs here."""
    local = Path(".venv/bin/python")
    return str(local) if Path(sys.prefix) == Path(".venv").absolute() and local.exists() else sys.executable


def _now() -> str:
    return instants.clock(time.time_ns() // 1000)
