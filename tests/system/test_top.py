"""`entrepot top` against a started server with two workers, on a terminal and off it."""

import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

import pytest

from entrepot.prove.client import chat_body
from entrepot.prove.house import House
from entrepot.prove.processes import start_vendor
from terminal import Terminal

ENTER, LEAVE, FRAME = "\x1b[?1049h", "\x1b[?25h\x1b[?1049l", "\x1b[?2026h"
_CALLS = """
import sys, time, http.client
port, key, body = int(sys.argv[1]), sys.argv[2], sys.argv[3].encode()
while True:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    line.request("POST", "/v1/chat/completions", body, {"Authorization": "Bearer " + key})
    line.getresponse().read()
    line.close()
    time.sleep(0.02)
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    vendor = start_vendor(tmp_path_factory.mktemp("vendor") / "ledger")
    found = House(vendor.port, workers=2)
    caller = None
    try:
        found.start()
        found.first_answer()
        found.top_up()
        body = chat_body(found.model, prompt=100, completion=10).decode()
        caller = Popen([sys.executable, "-c", _CALLS, str(found.port), found.key, body], stdout=DEVNULL)
        yield found
    finally:
        if caller is not None:
            caller.kill()
            caller.wait()
        found.end()
        vendor.end()


@pytest.fixture
def terminal(house: House) -> Iterator[Terminal]:
    found = Terminal(["top", "--every", "0.5", "--data", str(house.folder.root)], house.root, columns=120, rows=20)
    try:
        yield found
    finally:
        found.close()


def _frames(shown: str) -> list[list[str]]:
    """The screens that were drawn, as lines."""
    found = [part.partition("\x1b[J")[0] for part in shown.split(FRAME)[1:]]
    return [part.removeprefix("\x1b[H").replace("\x1b[K", "").replace("\r", "").split("\n") for part in found]


def _busy(shown: str) -> list[list[str]]:
    """The frames in which calls have ended."""
    rows = [(frame, [line.split() for line in frame if line.startswith("demo")]) for frame in _frames(shown)]
    return [frame for frame, found in rows if found and float(found[0][2]) > 0]


def test_a_screen_is_redrawn_in_place_and_the_terminal_given_back(terminal: Terminal) -> None:
    before = terminal.settings()
    shown = terminal.read_until("demo")
    assert shown.startswith(ENTER)
    terminal.type("x")
    until = time.monotonic() + 20
    while not _busy(terminal.shown) and time.monotonic() < until:
        terminal._read(0.1)
    terminal.type("q")
    assert terminal.end() == 0
    assert terminal.shown.endswith(LEAVE)
    assert terminal.settings() == before
    assert "\x1b[2J" not in terminal.shown, "wiping the screen first is what flickers"
    busy = _busy(terminal.shown)[0]
    assert busy[0].endswith("2 workers")
    assert busy[2].split() == [
        "customer", "model", "calls/s", "open", "refused/s", "in/s", "out/s", "charge/s", "p50", "p99"
    ]  # fmt: skip
    row = busy[3].split()
    assert row[:2] == ["demo", "fake-model"]
    assert float(row[2]) > 0
    assert float(row[5].replace(",", "")) == pytest.approx(100 * float(row[2]), rel=0.1, abs=60)


def test_another_size_is_drawn_at_once(terminal: Terminal) -> None:
    terminal.read_until("demo")
    terminal.resize(40, 6)
    terminal.process.send_signal(signal.SIGWINCH)
    frames = len(_frames(terminal.shown))
    until = time.monotonic() + 10
    while len(_frames(terminal.shown)) < frames + 3 and time.monotonic() < until:
        terminal._read(0.1)
    last = _frames(terminal.shown)[-1]
    assert len(last) <= 6
    assert max(map(len, last)) <= 40


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, -15)])
def test_a_signal_gives_the_terminal_back_too(terminal: Terminal, number: signal.Signals, code: int) -> None:
    before = terminal.settings()
    terminal.read_until(FRAME)
    terminal.process.send_signal(number)
    assert terminal.end() == code
    assert terminal.shown.endswith(LEAVE)
    assert terminal.settings() == before


def test_off_a_terminal_there_is_a_line_for_each_look(house: House, tmp_path: Path) -> None:
    launch = [sys.executable, "-c", "import sys; from entrepot.cli import main; sys.argv[0] = 'entrepot'; main()"]
    top = Popen([*launch, "top", "--every", "0.5", "--data", str(house.folder.root)], stdout=PIPE, text=True)
    assert top.stdout is not None
    lines = [top.stdout.readline() for _ in range(3)]
    top.send_signal(signal.SIGINT)
    rest, _ = top.communicate(timeout=20)
    assert top.returncode == 0
    for line in [*lines, *rest.splitlines()]:
        assert "\x1b" not in line
        assert " open   0 refused/s   " in line


def test_once_and_json_say_the_same_as_data(house: House) -> None:
    done = house.command("top", "--once", "--every", "2", "--json")
    facts = json.loads(done.stdout)
    assert (facts["workers"], facts["rows"][0]["customer"]) == (2, "demo")
    assert facts["calls_per_s"] > 0
    assert facts["input_per_s"] == pytest.approx(100 * facts["calls_per_s"], rel=0.01)
    text = house.command("top", "--once", "--by", "model").stdout
    assert "fake-model" in text
    assert "demo" not in text


def test_without_a_server_it_says_so(tmp_path: Path, house: House) -> None:
    done = house.command("top", "--once", "--url", "http://127.0.0.1:9")
    assert (done.returncode, "no server answers at" in done.stderr) == (3, True)
