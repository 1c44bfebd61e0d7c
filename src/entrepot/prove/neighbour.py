"""The trial `neighbour`: a recorded mix of clients, one key each; what do the others notice when the largest floods?

The mix is a window of a trace of ServeGen (per client: rate, and the distribution of the time between calls), scaled
down; the calls of the others are the same, at the same instants, with and without the flood. The largest client has a
limit of twice its rate, and floods with ten times it.
"""

import csv
import gzip
import math
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import msgspec

from entrepot.kernel.errors import EntrepotError
from entrepot.prove.client import chat_body
from entrepot.prove.house import House
from entrepot.prove.load import Order, Report, chat_request
from entrepot.prove.processes import Loading, start_vendor

Say = Callable[[str], None]
WORSE = 1.5  # times the p99 without the flood
_FLOOD = 10  # times its own rate
_ALLOWED = 2
_CONNECTIONS = 128
_WARM_S = 2.0


class TraceBroken(EntrepotError):
    """The file is not a trace of rates."""

    code = "trace_broken"


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """One client in the busiest window of the trace."""

    id: str
    rate: float  # calls a second
    kind: str
    shape: float

    def times(self, seconds: float, chance: Random) -> list[float]:
        """When it calls."""
        found: list[float] = []
        at = 0.0
        mean = 1 / self.rate
        while True:
            if self.kind == "Gamma":
                at += chance.gammavariate(self.shape, mean / self.shape)
            elif self.kind == "Weibull":
                at += chance.weibullvariate(mean / math.gamma(1 + 1 / self.shape), self.shape)
            else:
                at += chance.expovariate(1 / mean)
            if at >= seconds:
                return found
            found.append(at)


class Neighbours(msgspec.Struct, frozen=True, kw_only=True):
    """What the others saw, per round, in ms."""

    clients: int
    quiet_p99_ms: tuple[float, ...]
    flooded_p99_ms: tuple[float, ...]
    others_failed: int
    flood_calls: int
    flood_refused: int

    @property
    def ratio(self) -> float:
        return statistics.median(self.flooded_p99_ms) / statistics.median(self.quiet_p99_ms)

    def failures(self) -> list[str]:
        found = []
        if self.ratio > WORSE:
            found.append(f"the others' p99 is {self.ratio:.2f} times that without the flood; the bound is {WORSE}")
        if self.others_failed:
            found.append(f"{self.others_failed} calls of others failed")
        if not self.flood_refused:
            found.append("the flood was never refused")
        return found


def read_busiest(path: Path, total: float) -> list[Client]:
    """The clients of the trace's busiest window, scaled to `total` calls a second, the largest first."""
    windows: dict[str, list[tuple[str, float, str, float]]] = {}
    with gzip.open(path, "rt", newline="") as file:
        rows = csv.DictReader(file)
        needed = {"client_id", "window_start_s", "rate_rps", "arrival_dist", "dist_p1"}
        if not needed <= set(rows.fieldnames or ()):
            raise TraceBroken(f"{path}: the columns are {rows.fieldnames}; {', '.join(sorted(needed))} are needed")
        for row in rows:
            entry = (row["client_id"], float(row["rate_rps"]), row["arrival_dist"], float(row["dist_p1"] or 1))
            windows.setdefault(row["window_start_s"], []).append(entry)
    busiest = max(windows.values(), key=lambda each: sum(rate for _, rate, _, _ in each))
    scale = total / sum(rate for _, rate, _, _ in busiest)
    found = [Client(id=f"c{name}", rate=rate * scale, kind=kind, shape=shape) for name, rate, kind, shape in busiest]
    return sorted(found, key=lambda each: -each.rate)


def run_neighbour(
    trace: Path, *, workers: int, rate: float, seconds: float, rounds: int, say: Say, keep: bool = False
) -> Neighbours:
    """Each round without the flood and with it, `seconds` each."""
    clients = read_busiest(trace, rate)
    with tempfile.TemporaryDirectory(prefix="entrepot-neighbour-") as place:
        vendor = start_vendor(Path(place) / "vendor.jsonl")
        house = House(vendor.port, workers=workers)
        try:
            largest = clients[0]
            allowed = 60 * math.ceil(_ALLOWED * largest.rate)
            declared = [
                f'\n[customer.{each.id}]\ncontract = {{ book = "list" }}\n'
                + (f"limits = [{{ rpm = {allowed}, window = 1 }}]\n" if each is largest else "")
                for each in clients
            ]
            house.catalog.write_text(house.catalog.read_text() + "".join(declared))
            house.start()
            house.first_answer()
            keys = {each.id: _fund(house, each.id) for each in clients}
            say(f"  {len(clients)} clients, {rate:g} calls a second; the largest has {largest.rate:.1f} of them")
            return _rounds(house.port, clients, keys, (seconds, rounds), say)
        finally:
            house.end(keep=keep)
            vendor.end()


def show_neighbour(found: Neighbours, say: Say) -> None:
    quiet, flooded = (
        " ".join(f"{each:.1f}" for each in values) for values in (found.quiet_p99_ms, found.flooded_p99_ms)
    )
    say(f"  p99 of the others: {quiet} ms without the flood, {flooded} ms with it: {found.ratio:.2f} times")
    say(f"  the flood: {found.flood_calls:,} calls, {found.flood_refused:,} refused")


def _fund(house: House, customer: str) -> str:
    house.admin("POST", f"balances/{customer}/top-ups", {"amount": "1000", "currency": "USD", "id": customer})
    return str(house.admin("POST", "keys", {"customer": customer})["key"])


def _rounds(
    port: int, clients: Sequence[Client], keys: dict[str, str], length: tuple[float, int], say: Say
) -> Neighbours:
    seconds, rounds = length
    body = chat_body("fake-model", prompt=20, completion=20)
    requests = {each.id: chat_request("127.0.0.1", body, key=keys[each.id]) for each in clients}
    largest, others = clients[0], clients[1:]
    quiet: list[float] = []
    flooded: list[float] = []
    failed = calls = refused = 0
    for number in range(rounds):
        chance = Random(number)
        calls_of = sorted((at, each.id) for each in others for at in each.times(seconds + _WARM_S, chance))
        order = Order(
            host="127.0.0.1", port=port, requests=tuple(requests[name] for _, name in calls_of),
            connections=_CONNECTIONS, seconds=seconds, warm_seconds=_WARM_S, times=tuple(at for at, _ in calls_of),
        )  # fmt: skip
        for times in (1, _FLOOD) if number % 2 else (_FLOOD, 1):  # neither is always the first
            flood = Loading(Order(
                host="127.0.0.1", port=port, requests=(requests[largest.id],), connections=_CONNECTIONS,
                seconds=seconds, warm_seconds=_WARM_S, rate=largest.rate * times, seed=number,
            ))  # fmt: skip
            report = Loading(order).report()
            largely = flood.report()
            failed += _failed(report)
            (quiet if times == 1 else flooded).append(report.p99_us / 1000)
            if times > 1:
                calls += largely.calls
                refused += largely.statuses.get("429", 0)
        say(f"  round {number + 1}: p99 {quiet[-1]:.1f} ms, flooded {flooded[-1]:.1f} ms")
    return Neighbours(
        clients=len(clients), quiet_p99_ms=tuple(quiet), flooded_p99_ms=tuple(flooded), others_failed=failed,
        flood_calls=calls, flood_refused=refused,
    )  # fmt: skip


def _failed(report: Report) -> int:
    return sum(n for status, n in report.statuses.items() if status != "200")
