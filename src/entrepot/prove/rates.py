"""The trial `rates`: limits under a flood from processes of their own, over 1, 2 and 4 workers.

What was let through is counted twice: by the stamps of the intents, never above the limit in any sliding window and
nearly all of it reached; and in the fake vendor's ledger, which hears of a call a disk sync later, so that its windows
are shown and not judged. Both count the same calls. Then a worker is killed, and the windows around that hold as well.
"""

import http.client
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import msgspec

from entrepot.gateway.count import guess_prompt
from entrepot.kernel.instants import SECOND
from entrepot.prove.books import accepted
from entrepot.prove.client import chat_body
from entrepot.prove.house import House
from entrepot.prove.load import Order, chat_request
from entrepot.prove.processes import Loading, start_vendor
from entrepot.wire.openai import read_chat

Say = Callable[[str], None]
TURN_S = 61  # a window runs off a second after its end: what is let through in 61 s is the limit
REACHED = 0.97
_FLOOD = 3  # times the limit
_CONNECTIONS = 32
_CAP = 64


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One limit that is flooded: so much in any `window` seconds."""

    tag: str
    what: str
    declared: str
    limit: int
    window: int


KINDS = (
    Kind(tag="minute", what="requests", declared="rpm = 600", limit=600, window=60),
    Kind(tag="tokens", what="tokens", declared="tpm = 60_000", limit=60_000, window=60),
    Kind(tag="ten", what="requests", declared="rpm = 600, window = 10", limit=100, window=10),
)


class Flood(msgspec.Struct, frozen=True, kw_only=True):
    """One limit under one flood."""

    kind: Kind
    workers: int
    reached: float  # share of the limit, over whole turns
    most: int  # in any sliding window, by the stamps of the intents
    most_killed: int  # the same when a worker is killed on the way
    most_arrived: int  # by the vendor's clock
    missed: int  # calls of the vendor's ledger without an intent
    refused: int
    waited_ms: int  # as told by the last refusal
    let_in: bool  # who waited exactly so long

    def failures(self) -> list[str]:
        kind = self.kind
        where = f"{self.workers} workers, {kind.limit:,} {kind.what} in {kind.window} s"
        found = []
        if max(self.most, self.most_killed) > kind.limit:
            found.append(f"{where}: {max(self.most, self.most_killed):,} in one window")
        if self.missed:
            found.append(f"{where}: {self.missed} calls reached the vendor without an intent")
        if self.reached < REACHED and kind.window == 60:
            found.append(f"{where}: only {self.reached:.1%} reached")
        if not self.let_in:
            found.append(f"{where}: who waited {self.waited_ms} ms as told was refused")
        return found


def run_rates(*, workers: Sequence[int], turns: int, say: Say, keep: bool = False) -> list[Flood]:
    """A flood of each kind at once, `turns` times 61 s, for each number of workers."""
    found = []
    for number in workers:
        found += _run(number, turns, say, keep=keep)
    return found


def show_rates(floods: Sequence[Flood], say: Say) -> None:
    for each in floods:
        word = "let in" if each.let_in else "refused"
        say(
            f"  {each.workers} workers  {each.kind.limit:>6,} {each.kind.what:<8} in {each.kind.window:>2} s  reached "
            f"{each.reached:.1%}  most in a window {each.most:,}, killed {each.most_killed:,}, at the vendor "
            f"{each.most_arrived:,}  refused {each.refused:,}  waited {each.waited_ms} ms as told: {word}"
        )


def body_of(tag: str) -> tuple[bytes, int]:
    """A call whose real tokens are its estimate, and how many that is."""
    prompt = 10
    while True:
        body = chat_body("fake-model", prompt=prompt, completion=_CAP, tag=tag, max_tokens=_CAP)
        guessed = guess_prompt(read_chat(body))
        if guessed == prompt:
            return body, prompt + _CAP
        prompt = guessed


def most_in_a_window(taken: Sequence[tuple[float, int]], seconds: int) -> int:
    """The largest sum of any so many seconds."""
    worst = total = first = 0
    for at, amount in taken:
        total += amount
        while taken[first][0] <= at - seconds:
            total -= taken[first][1]
            first += 1
        worst = max(worst, total)
    return worst


def _run(workers: int, turns: int, say: Say, *, keep: bool) -> list[Flood]:
    with tempfile.TemporaryDirectory(prefix="entrepot-rates-") as place:
        ledger = Path(place) / "vendor.jsonl"
        vendor = start_vendor(ledger)
        house = House(vendor.port, workers=workers)
        try:
            declared = [f"\n[customer.{each.tag}]\ncontract = {{ book = \"list\" }}\nlimits = [{{ {each.declared} }}]\n"
                        for each in KINDS]  # fmt: skip
            house.catalog.write_text(house.catalog.read_text() + "".join(declared))
            house.start()
            house.first_answer()
            return _flood(house, ledger, workers, turns, say)
        finally:
            house.end(keep=keep)
            vendor.end()


def _flood(house: House, ledger: Path, workers: int, turns: int, say: Say) -> list[Flood]:
    keys = {}
    for kind in KINDS:
        paid = {"amount": "1000", "currency": "USD", "id": f"trial-{kind.tag}"}
        house.admin("POST", f"balances/{kind.tag}/top-ups", paid)
        keys[kind.tag] = str(house.admin("POST", "keys", {"customer": kind.tag})["key"])
    seconds = turns * TURN_S + TURN_S + 12  # and one more turn with a worker killed in it
    began = time.time()
    running = {}
    for kind in KINDS:
        body, tokens = body_of(kind.tag)
        rate = _FLOOD * kind.limit / kind.window / (tokens if kind.what == "tokens" else 1)
        running[kind.tag] = Loading(Order(
            host="127.0.0.1", port=house.port, requests=(chat_request("127.0.0.1", body, key=keys[kind.tag]),),
            connections=_CONNECTIONS, seconds=seconds, warm_seconds=0.0, rate=rate,
        ))  # fmt: skip
    time.sleep(turns * TURN_S + 3)
    killed_at = time.time()
    hit = house.kill_one("worker", Random(workers))
    say(f"  {workers} workers: {hit} killed after {killed_at - began:.0f} s")
    reports = {tag: each.report() for tag, each in running.items()}
    told = {kind.tag: _wait_as_told(house.port, keys[kind.tag], body_of(kind.tag)[0]) for kind in KINDS}
    calls = list(accepted(ledger))
    intents: dict[str, list[float]] = {}
    for record in house.intents():
        intents.setdefault(record.terms.customer, []).append(record.admitted_at / SECOND)
    found = []
    for kind in KINDS:
        _, tokens = body_of(kind.tag)
        waited, let_in = told[kind.tag]
        size = tokens if kind.what == "tokens" else 1
        taken = [(at, size) for at in sorted(intents[kind.tag])]
        arrived = sorted((row.at, size) for row in calls if row.tag == kind.tag)
        turn = kind.window * TURN_S / 60
        until = taken[0][0] + turns * TURN_S // turn * turn
        reached = sum(size for at, size in taken if at < until) / (kind.limit * (until - taken[0][0]) / kind.window)
        found.append(Flood(
            kind=kind, workers=workers, reached=reached, refused=reports[kind.tag].statuses.get("429", 0),
            most=most_in_a_window([each for each in taken if each[0] < killed_at], kind.window),
            most_killed=most_in_a_window(taken, kind.window), most_arrived=most_in_a_window(arrived, kind.window),
            missed=max(0, len(arrived) - len(taken)), waited_ms=waited, let_in=let_in,
        ))  # fmt: skip
    return found


def _wait_as_told(port: int, key: str, body: bytes) -> tuple[int, bool]:
    """Call until refused, wait exactly as long as told, call once more."""
    for _ in range(5_000):
        status, wait_ms = _post(port, key, body)
        if status == 429:
            time.sleep(wait_ms / 1000)
            return wait_ms, _post(port, key, body)[0] == 200
    return 0, False


def _post(port: int, key: str, body: bytes) -> tuple[int, int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
    try:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection.request("POST", "/v1/chat/completions", body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, int(answer.headers.get("retry-after-ms") or 0)
    finally:
        connection.close()
