"""docs/tutorial/first-invoice.md, word for word: its commands in one shell, and what it says they print."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pypdf
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tutorial" / "first-invoice.md"
BIN = Path(sys.executable).parent
STARTS_SECONDS = 240.0  # on a machine that is busy with other tests
LONGEST_SECONDS = 120.0
#: From `make serve` on, as the page promises.
TEN_MINUTES = 600.0


def steps() -> list[tuple[str, list[str]]]:
    """(command, lines it prints) in the order of the page; nothing said, nothing compared."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def fits(said: list[str], printed: str) -> bool:
    """Whether the lines of the page are what was printed: `…` stands for anything in a line, alone for any lines, and
    blanks count as one."""
    pattern = ""
    for line in said:
        if line.strip() == "…":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            words = [".*".join(map(re.escape, word.split("…"))) for word in line.split()]
            pattern += r"[ ]*" + r"[ ]+".join(words).replace(r"[ ]+.*", r"[ ]*.*") + r"[ ]*\n"
    return re.fullmatch(pattern, printed.rstrip("\n") + "\n") is not None


class Shell:
    """One bash in the folder of the page; what a command prints ends where it says so."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "NO_COLOR": "1", "TZ": "UTC"}
        for name in ("ENTREPOT_DATA", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
            environment.pop(name, None)
        self._out = folder / "shell.txt"
        with self._out.open("wb") as out:
            self._process = subprocess.Popen(
                ["bash"], cwd=folder, env=environment, text=True, stdin=subprocess.PIPE, stdout=out, stderr=out,
            )  # fmt: skip
        self._read = 0

    def run(self, command: str, number: int) -> str:
        """What it printed on either stream. Fails the test where it does not end, or ends badly."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\necho \"<{number}: $?>\"\n")
        self._process.stdin.flush()
        until, mark = time.monotonic() + LONGEST_SECONDS, re.compile(rf"^<{number}: (\d+)>\n", re.MULTILINE)
        while (end := mark.search(text := self._out.read_text(encoding="utf-8")[self._read :])) is None:
            assert time.monotonic() < until, f"{command} does not end:\n{text}"
            time.sleep(0.05)
        self._read += end.end()
        assert end[1] == "0", f"{command} ended with {end[1]}:\n{text}"
        return text[: end.start()]

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder like a clone after `make serve`, which runs there on ports of its own."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("entrepot", "python"):
        (tmp_path / ".venv" / "bin" / name).symlink_to(BIN / name)
    screen = tmp_path / "screen.txt"
    with screen.open("wb") as out:
        server = subprocess.Popen(
            [BIN / "entrepot", "serve", "--port", "0", "--admin-port", "0"],
            cwd=tmp_path, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "NO_COLOR": "1"},
        )  # fmt: skip
    until = time.monotonic() + STARTS_SECONDS
    while "Start afresh" not in screen.read_text(encoding="utf-8"):
        assert time.monotonic() < until, screen.read_text(encoding="utf-8")
        assert server.poll() is None, screen.read_text(encoding="utf-8")
        time.sleep(0.1)
    yield tmp_path
    server.terminate()
    server.wait(60)


def test_the_page_is_what_happens(folder: Path) -> None:
    began, shell = time.monotonic(), Shell(folder)
    try:
        for number, (command, said) in enumerate(steps(), 1):
            printed = shell.run(command, number)
            page = "\n".join(said)
            assert not said or fits(said, printed), f"{command}\n--- the page says\n{page}\n--- printed\n{printed}"
    finally:
        shell.close()
    assert time.monotonic() - began < TEN_MINUTES
    bill, draft = sorted(folder.glob("*.pdf"))
    words = {path: " ".join(pypdf.PdfReader(path).pages[0].extract_text().split()) for path in (draft, bill)}
    assert "Draft: not an invoice" in words[draft]
    assert "Acme Werkzeuge GmbH" in words[bill]
    assert "Draft" not in words[bill]


def test_a_page_that_says_something_else_is_found_out() -> None:
    assert fits(["a … b", "…", "end"], "a   b\nx\ny\nend\n")
    assert fits(["a … b", "…", "end"], "a 1 2 b\nend\n")
    assert not fits(["a … b"], "a c\n")
    assert not fits(["a"], "a\nb\n")
    assert not fits(["paid … open"], "paid 3.00\n")
    assert len(steps()) > 20
