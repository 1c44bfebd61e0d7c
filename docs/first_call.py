"""Records docs/first-call.svg from a real run: `.venv/bin/python docs/first_call.py`.

Starts a house on a folder of its own, pastes the call that its screen shows, asks what it cost, and draws the two
terminals as they were. Only the key, the folder's name and the pauses are shortened.
"""

import html
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
SECONDS = 20  # one turn of the recording
COLUMNS, ROW, LEFT = 132, 15, 14
START, PASTE, ANSWER, USAGE, EXPLAIN = 0.5, 4.0, 5.5, 8.0, 11.0  # when each part appears


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        os.environ["ENTREPOT_DATA"] = str(data)
        screen, second = record(data)
    text = draw(screen, second).replace(str(data), "data")
    for key in set(re.findall(r"ep_live_\w+", screen)):
        text = text.replace(key, f"{key[:14]}…")
    (ROOT / "docs" / "first-call.svg").write_text(text, encoding="utf-8")


def record(data: Path) -> tuple[str, list[tuple[float, str]]]:
    """What the first terminal showed, and (when, what) the second one did."""
    log = data.parent / "screen"
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    with log.open("wb") as output:
        serve = subprocess.Popen(
            [str(BIN / "entrepot"), "serve", "--port", "0", "--admin-port", "0"],
            cwd=ROOT,
            stdout=output,
            env=environment,
        )
    try:
        shown = wait_for(log, "Start afresh", 60)
        call = re.search(r"^curl .*?\}'$", shown, re.MULTILINE | re.DOTALL)
        assert call is not None, shown
        answer = run(call[0] + " -s -D /dev/stderr", environment)
        request = re.search(r"x-request-id: (\S+)", answer)
        assert request is not None, answer
        body = json.dumps(json.loads(answer[answer.index("{") :])["choices"][0]["message"], ensure_ascii=False)
        wait_for(log, request[1], 20)
        time.sleep(2)
        second = [
            (PASTE, "$ " + call[0]),
            (ANSWER, f'… "message": {body} …'),
            (USAGE, "$ entrepot usage\n" + run("entrepot usage", environment)),
            (EXPLAIN, f"$ entrepot explain {request[1]}\n" + run(f"entrepot explain {request[1]}", environment)),
        ]
        return log.read_text().rstrip(), second
    finally:
        serve.send_signal(signal.SIGINT)
        serve.wait(60)


def run(command: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return (done.stderr + done.stdout).replace("\r", "").rstrip()


def wait_for(log: Path, what: str, seconds: float) -> str:
    until = time.monotonic() + seconds
    while what not in (text := log.read_text()):
        if time.monotonic() > until:
            raise SystemExit(f"the screen never showed {what!r}:\n{text}")
        time.sleep(0.1)
    return text


def draw(screen: str, second: list[tuple[float, str]]) -> str:
    """The two terminals, one above the other; each part appears at its time and the whole repeats."""
    first = [
        (ANSWER if re.match(r"\d\d:\d\d:\d\d  ", line) else START, line) for line in screen.strip("\n").split("\n")
    ]
    rest = [(at, line) for at, text in second for line in text.split("\n")]
    height_first, height_second = (len(first) + 2) * ROW, (len(rest) + 2) * ROW
    width, height = COLUMNS * 7.4 + 2 * LEFT, height_first + height_second + 24
    times = sorted({at for at, _ in [*first, *rest]})
    styles = "".join(
        f"@keyframes k{number}{{0%,{at / SECONDS:.1%}{{opacity:0}}{at / SECONDS + 0.001:.1%},100%{{opacity:1}}}}"
        f".k{number}{{animation:k{number} {SECONDS}s infinite step-end}}"
        for number, at in enumerate(times)
    )
    upper_pane = pane(0, height_first, width, first, times)
    lower_pane = pane(height_first + 12, height_second, width, rest, times)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" font-size="12" '
        f'font-family="ui-monospace,Menlo,Consolas,monospace"><style>text{{white-space:pre;fill:#d8dee9}}{styles}'
        f"</style>{upper_pane}{lower_pane}</svg>\n"
    )


def pane(top: float, height: float, width: float, lines: list[tuple[float, str]], times: list[float]) -> str:
    """A dark field with its lines."""
    rows = ""
    for number, (at, line) in enumerate(lines):
        place = f'class="k{times.index(at)}" x="{LEFT}" y="{top + (number + 1.6) * ROW:.0f}"'
        rows += f"<text {place}>{html.escape(line[:COLUMNS], quote=False)}</text>"
    return f'<rect y="{top}" width="{width:.0f}" height="{height}" rx="8" fill="#1e222a"/>{rows}'


if __name__ == "__main__":
    main()
