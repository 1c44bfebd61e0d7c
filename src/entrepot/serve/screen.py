"""What `entrepot serve` shows: the ready screen, one line per call, one line for everything unexpected.

The parent's loop must not wait for a stopped terminal, so lines go through a bounded queue to a thread that writes.
"""

import os
import queue
import threading
from pathlib import Path
from typing import Any, TextIO

import msgspec

from entrepot.kernel import instants
from entrepot.kernel.text import plain

_QUEUE_LINES = 2000  # two seconds of the busiest screen (20 lines a second) a hundred times over
_FLUSH_SECONDS = 1.0
_NAME_MOST = 64
_LINE_MOST = 400


class Screen(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the ready screen says. Texts are as they shall appear; an empty one leaves its line out."""

    version: str
    seconds: float
    azure_endpoint: str
    base_url: str
    key: str
    customer: str
    balance: str  # "5.00 USD prepaid"
    model: str
    model_note: str  # "built in, works offline; 0.10 in / 0.40 out USD per million tokens"
    model_missing: bool
    python: str  # how this interpreter is called from here, "" without the openai package
    program: str
    data: str  # as the user wrote it
    data_option: str  # " --data DIR" where a command needs it to find us
    before: tuple[str, ...]  # lines above: what the last run left
    example: str  # catalog of a real vendor, "" where it is not there


class Paint:
    """Bold for what you copy, green for ready, yellow for what needs you, dim for the rest; or nothing."""

    def __init__(self, on: bool) -> None:
        self._on = on

    def __call__(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._on and text else text


BOLD, DIM, GREEN, YELLOW = "1", "2", "32", "33"


def ready_screen(s: Screen, paint: Paint) -> str:
    """The screen of docs: what runs where, and the call to paste."""
    copy = paint
    body = f'{{"model":"{s.model}","messages":[{{"role":"user","content":"Name three ports."}}]}}'
    lines = [
        "",
        *s.before,
        f"  {paint(GREEN, f'entrepot {s.version} is ready')} ({s.seconds:.1f} s). Ctrl-C stops it; nothing is lost.",
        "",
        f"  OpenAI clients    {copy(BOLD, s.base_url)}",
        f"  Azure clients     {copy(BOLD, s.azure_endpoint)}{_gap(s.azure_endpoint)}"
        + paint(DIM, "azure_endpoint; deployment = model name"),
    ]
    if s.key:
        lines.append(f"  Key               {copy(BOLD, s.key)}")
        lines.append(f"                    {paint(DIM, f'customer {s.customer}' + (s.balance and f', {s.balance}'))}")
    if s.model:
        note = paint(YELLOW if s.model_missing else DIM, s.model_note)
        lines.append(f"  Model             {copy(BOLD, s.model)}{_gap(s.model)}{note}")
    if s.key and s.model and not s.model_missing:
        lines += [
            "",
            "  Paste into another terminal:",
            "",
            copy(BOLD, f"curl {s.base_url}/chat/completions -H 'Content-Type: application/json' \\"),
            copy(BOLD, f"  -H 'Authorization: Bearer {s.key}' \\"),
            copy(BOLD, f"  -d '{body}'"),
            "",
        ]
        if s.python:
            lines += [
                f"  or in Python ({s.python} has the openai package):",
                "",
                copy(BOLD, "from openai import OpenAI"),
                copy(BOLD, f'client = OpenAI(base_url="{s.base_url}", api_key="{s.key}")'),
                copy(BOLD, f'print(client.chat.completions.create(model="{s.model}",'),
                copy(
                    BOLD,
                    '      messages=[{"role": "user", "content": "Name three ports."}]).choices[0].message.content)',
                ),
                "",
            ]
    else:
        lines.append("")
    lines.append(f"  What did it cost?     {s.program} usage{s.data_option}")
    if s.example:
        lines.append(f"  Sell a real model     export OPENAI_API_KEY=… && {s.program} apply {s.example}{s.data_option}")
    lines += [f"  Start afresh          stop, then delete {s.data}/", ""]
    return "\n".join(lines)


def last_run(data: str, keeper: dict[str, Any], cut: int) -> tuple[str, ...]:
    """What was found in DATA: how many records, and `cut` calls that the last run could not end itself."""
    lines = []
    records = int(keeper.get("records", 0))
    if records:
        count = f"{records:,} usage record{'' if records == 1 else 's'}"
        last = f", the last of {instants.clock(int(keeper['last_at']))}" if keeper.get("last_at") else ""
        lines.append(f"{data}/ has {count}{last}; journal {'whole' if keeper.get('whole', True) else 'damaged'}")
    if cut:
        calls, are = (
            ("1 call was", "it is") if cut == 1 else (f"{cut:,} calls were", "both are" if cut == 2 else "all are")
        )
        lines.append(
            f"{data}/: {calls} under way when the last run was killed; "
            f"{are} recorded as estimated (entrepot usage --state estimated)"
        )
    return (*lines, "") if lines else ()


def call_line(call: dict[str, Any]) -> str:
    """One call: `12:04:31  200  demo  model   41 in  23 out   0.0000133 USD   612 ms   req_…`."""
    if call.get("refused"):
        what = f"refused: {call['refused']}  {call.get('charge', '0')}".ljust(32)
    else:
        what = f"{call.get('input', 0):,} in  {call.get('output', 0):,} out   {call.get('charge', '0')}"
    model = plain(str(call["model"]), _NAME_MOST)  # of a refused call: whatever the customer wrote
    line = f"{instants.clock(int(call['at']))}  {call['status']}  {call['customer']}  {model}   {what}"
    return plain(f"{line}   {call['ms']:,} ms   {call['request']}", _LINE_MOST)


def second_line(second: dict[str, Any]) -> str:
    """Many calls in one line: `12:05:02   1,204/s   0 refused   3.1 M tokens   9.84 USD   p50 1.1 ms added`."""
    tokens = int(second.get("tokens", 0))
    shown = f"{tokens / 1e6:.1f} M" if tokens >= 1_000_000 else f"{tokens:,}"
    p50 = f"   p50 {second['p50_ms']:.1f} ms added" if second.get("p50_ms") is not None else ""
    return (
        f"{instants.clock(int(second['at']))}   {second['calls']:,}/s   {second.get('refused', 0):,} refused"
        f"   {shown} tokens   {second.get('charge', '0')}{p50}"
    )


def reload_line(facts: dict[str, Any]) -> str:
    """`generation 2 serves: keeper, gateway-1, control replaced in 1.9 s; 2 older processes end their calls`."""
    older = int(facts["leaving"])
    left = f"; {older} older process{' ends its' if older == 1 else 'es end their'} calls" if older else ""
    kept = "".join(f"; {plain(str(each['name']), _NAME_MOST)} was kept" for each in facts["kept"])
    replaced = ", ".join(facts["replaced"])
    return f"generation {facts['generation']} serves: {replaced} replaced in {facts['seconds']:.1f} s{left}{kept}"


class Terminal:
    """Writes lines in a thread of its own; drops them when nobody reads. `close()` waits a bounded moment."""

    def __init__(self, stream: TextIO) -> None:
        self.paint = Paint(stream.isatty() and not os.environ.get("NO_COLOR"))
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(_QUEUE_LINES)
        self._thread = threading.Thread(target=self._write, name="screen", daemon=True)
        self._thread.start()

    def say(self, text: str) -> None:
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            pass

    def close(self) -> None:
        try:
            self._lines.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(_FLUSH_SECONDS)

    def _write(self) -> None:
        while (text := self._lines.get()) is not None:
            try:
                self._write_line(text)
            except (OSError, ValueError):
                return  # the terminal is gone; the service goes on

    def _write_line(self, text: str) -> None:
        try:
            self._stream.write(text + "\n")
        except UnicodeEncodeError:  # a terminal that does not know every letter
            self._stream.write(text.encode("ascii", "backslashreplace").decode("ascii") + "\n")
        self._stream.flush()


def shown_path(path: Path) -> str:
    """As a person would write it from here."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _gap(text: str) -> str:
    return " " * max(2, 33 - len(text))
