"""The trial `overload`: what one worker still serves when twice and three times as much comes as it can take.

Arrivals come at a rate, whatever the server does (open loop). A client that is told to retry later does so, as the SDKs
do.
"""

from collections.abc import Callable

import msgspec

from entrepot.prove.client import chat_body
from entrepot.prove.house import House
from entrepot.prove.load import Order, Report, chat_request
from entrepot.prove.processes import load, start_canned

Say = Callable[[str], None]
GOODPUT = 0.90  # of the peak, at three times its load
REFUSED_MS = 10.0
_CONNECTIONS = 1_200
_LOADS = (1, 2, 3)
_CLOSED = (64, 128, 256, 512)  # connections of the closed loops that the peak is sought with: disks decide how many
_VENDOR_MS = 5.0


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """One load: `times` the peak."""

    times: int
    offered: float  # a second
    goodput: float  # answered with 200, a second
    refused: dict[str, int]  # by code
    refused_p50_ms: float
    refused_p99_ms: float
    p99_ms: float


class Overloads(msgspec.Struct, frozen=True, kw_only=True):
    """All loads of one trial."""

    peak: float
    loads: tuple[Load, ...]

    def failures(self) -> list[str]:
        last = self.loads[-1]
        found = []
        if last.goodput < GOODPUT * self.peak:
            found.append(f"at {last.times} x load {last.goodput:,.0f} calls a second of {self.peak:,.0f}")
        # The median: worker, keeper and the others share one processor here, and the generator and the vendor another,
        # so the slowest hundredth is the scheduler's.
        worst = max((each.refused_p50_ms for each in self.loads), default=0.0)
        if worst > REFUSED_MS:
            found.append(f"refusals took {worst:.1f} ms (median)")
        return found


def run_overload(*, seconds: float, say: Say, keep: bool = False) -> Overloads:
    """Find the peak in closed loops, then offer 1, 2 and 3 times as much, `seconds` each."""
    vendor = start_canned(delay_ms=_VENDOR_MS, core=1)
    house = House(vendor.port, workers=1, core=0)
    try:
        house.start()
        house.first_answer()
        house.top_up("1000000")
        request = chat_request("127.0.0.1", chat_body(house.model), key=house.key)
        peak = max(_good(load(_order(house.port, request, seconds, connections=n), core=1)) for n in _CLOSED)
        say(f"  peak {peak:,.0f} calls a second")
        loads = []
        for times in _LOADS:
            report = load(_order(house.port, request, seconds, rate=peak * times, connections=_CONNECTIONS), core=1)
            loads.append(Load(
                times=times, offered=peak * times, goodput=_good(report),
                refused=report.refusals,
                refused_p50_ms=report.refused_p50_us / 1000, refused_p99_ms=report.refused_p99_us / 1000,
                p99_ms=report.p99_us / 1000,
            ))  # fmt: skip
        return Overloads(peak=peak, loads=tuple(loads))
    finally:
        house.end(keep=keep)
        vendor.end()


def show_overload(found: Overloads, say: Say) -> None:
    for each in found.loads:
        share = each.goodput / found.peak
        refused = ", ".join(f"{code} {number:,}" for code, number in each.refused.items()) or "none"
        say(
            f"  {each.times} x  {each.offered:>8,.0f} offered  {each.goodput:>8,.0f} served ({share:.0%} of the peak)  "
            f"refused: {refused}; after {each.refused_p50_ms:.1f} ms, p99 {each.refused_p99_ms:.1f} ms"
        )


def _order(port: int, request: bytes, seconds: float, *, connections: int, rate: float = 0.0) -> Order:
    return Order(
        host="127.0.0.1", port=port, requests=(request,), connections=connections, seconds=seconds, warm_seconds=1.5,
        rate=rate, obey=True,
    )  # fmt: skip


def _good(report: Report) -> float:
    return report.statuses.get("200", 0) / report.seconds if report.seconds else 0.0
