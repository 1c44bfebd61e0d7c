"""`make bench`: nginx alone as a bare proxy and Entrepot with everything on, side by side in one run.

A table on the screen, one JSON line in `bench/results/`. Ratios are what counts: both targets see the same machine, the
same vendor and the same load within the same minutes.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from bench.entrepot_target import Bench
from bench.measure import EVENTS, PAUSE_MS, SIZE, Kind, Row, Target, measure, order
from bench.nginx import Nginx
from bench.page import Line, Page, write_page
from bench.peers_target import Peer, start_peers
from entrepot import __version__
from entrepot.prove.meter import memory_kib
from entrepot.prove.processes import Loading, Running, start_canned

_RESULTS = Path(__file__).parent / "results"
_OPEN = (4, 16, 64)
_KINDS: tuple[Kind, ...] = ("unary", "burst", "single")
_STREAMS = 9_000
_SPARE_FILES = 1_500


def main() -> None:
    parser = argparse.ArgumentParser(description="nginx and Entrepot side by side")
    parser.add_argument("--seconds", type=float, default=3.0, help="counted seconds of each measurement")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each; the median counts")
    parser.add_argument("--streams", type=int, default=_STREAMS, help="slow streams held open at once")
    parser.add_argument("--without", choices=["entrepot", "nginx"], action="append", default=[])
    parser.add_argument("--peers", action="store_true", help="also LiteLLM, Portkey, TensorZero, into bench/peers/")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/reference/bench.md")
    chosen = parser.parse_args()
    cores = (0, 1) if len(os.sched_getaffinity(0)) > 1 else (None, None)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    vendor = start_canned(size=SIZE, events=EVENTS, pause_ms=PAUSE_MS, core=cores[1])
    print(
        f"bench: {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, open files {files}; "
        f"server on core {cores[0]}, vendor and load on core {cores[1]}"
    )
    busy = os.getloadavg()[0]
    if busy > 1:
        print(f"the machine is busy with other things (load {busy:.1f}): figures are worse than they would be")
    run = Run(chosen, vendor, cores, files)
    try:
        run.everything()
    finally:
        run.stop()
        vendor.end()


class Run:
    """One run of the bench; collects rows and lines."""

    def __init__(
        self, chosen: argparse.Namespace, vendor: Running, cores: tuple[int | None, int | None], files: int
    ) -> None:
        self.chosen, self.vendor, self.cores, self.files = chosen, vendor, cores, files
        self.rows: list[Row] = []
        self.lines: list[Line] = []
        self.busy = os.getloadavg()[0]
        self.facts: dict[str, object] = {}
        self.nginx = None if "nginx" in chosen.without else Nginx(vendor.port, files=files, core=cores[0])
        self.bench = None if "entrepot" in chosen.without else Bench(vendor.port, core=cores[0], other=cores[1])
        self.targets: list[Target] = []
        self.peers: list[Peer] = []

    def everything(self) -> None:
        if self.nginx is not None:
            nginx = self.nginx
            self.facts["nginx"] = nginx.version
            self.targets.append(
                Target(
                    name="nginx",
                    port=lambda kind: nginx.port if kind == "unary" else nginx.stream_port,
                    pids=lambda: nginx.pids,
                )
            )
        if self.bench is not None:
            self._cold_starts(self.bench)
            self.bench.house.top_up("1000000")
            self.targets.append(self.bench.target())
        if self.chosen.peers:
            self.peers, self.facts["peers_left_out"] = start_peers(self.vendor.port, core=self.cores[0])
            self.targets += [peer.target() for peer in self.peers]
        self._admission()
        self._closed_loops()
        for peer in self.peers:
            peer.stop()
        self.targets = [target for target in self.targets if target.name in ("nginx", "entrepot")]
        self._half_load()
        if self.bench is not None:
            self._memory(self.bench)
            self._streams(self.bench)
            self._ingestion(self.bench)
        self._summary()

    def stop(self) -> None:
        for peer in self.peers:
            peer.stop()
        if self.nginx is not None:
            self.nginx.stop()
        if self.bench is not None:
            self.bench.house.end()

    def _cold_starts(self, bench: Bench) -> None:
        fresh = bench.start()
        again = []
        for _ in range(3):
            bench.house.stop()
            again.append(bench.start())
        self.facts |= {"first_start_s": fresh, "cold_start_s": again}
        self._line("cold start to first answer", statistics.median(again), "s", 1.0)
        print(
            f"first start on an empty folder {fresh:.2f} s; later starts " + ", ".join(f"{s:.2f}" for s in again) + " s"
        )

    def _admission(self) -> None:
        """The desk, limits and leases alone, in a process of their own on the server's core."""
        if self.bench is None:
            return
        pinned = [] if self.cores[0] is None else ["taskset", "-c", str(self.cores[0])]
        words = [*pinned, sys.executable, "-m", "bench.admission"]
        done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent)
        self.facts["admission_us"] = found = json.loads(done.stdout)
        for what, spent in found.items():
            limit = 10.0 if what == "all of it" else None
            if limit is not None:
                self._line(f"admission, CPU a call: {what}", spent, "µs", limit)
            else:
                self.lines.append(Line(what=f"admission, CPU a call: {what}", figure=f"{spent:.2f} µs", target="–",
                                       met=None))  # fmt: skip

    def _closed_loops(self) -> None:
        print(f"\n{'target':9} {'calls':7} {'open':>4} {'calls/s':>9} {'CPU µs/call':>12} {'µs/event':>9} "
              f"{'core':>5} {'p50 ms':>8} {'p99 ms':>8} {'failed':>7}")  # fmt: skip
        for kind in _KINDS:
            for open_calls in _OPEN:
                found: dict[str, list[Row]] = {}
                for _ in range(self.chosen.repeats):
                    for target in self.targets:
                        before = self.bench.keeper_ns() if self.bench else 0
                        row = measure(target, kind, open_calls, seconds=self.chosen.seconds, core=self.cores[1])
                        found.setdefault(target.name, []).append(row)
                        if target.name == "entrepot" and kind == "unary" and self.bench and row.calls:
                            spent = (self.bench.keeper_ns() - before) / 1000 / (row.calls * 1.33)
                            self.facts.setdefault("keeper_us_per_call", []).append(spent)  # type: ignore[attr-defined]
                for rows in found.values():
                    row = sorted(rows, key=lambda r: r.cpu_us_per_call)[len(rows) // 2]
                    self.rows.append(row)
                    _show(row)

    def _half_load(self) -> None:
        """The same arrivals straight to the vendor, through nginx, through Entrepot."""
        whose = "entrepot" if self.bench else "nginx"
        top = next(r.calls_per_s for r in self.rows if (r.target, r.kind, r.open_calls) == (whose, "unary", 16))
        rate = top / 2
        direct = Target(name="direct", port=lambda _kind: self.vendor.port, pids=lambda: (self.vendor.pid,))
        print(f"\nopen loop, {rate:,.0f} calls a second (half of {whose}'s at 16), Poisson arrivals")
        seconds = max(5.0, self.chosen.seconds)
        found: dict[str, list[Row]] = {}
        for _ in range(self.chosen.repeats):
            for target in [direct, *self.targets]:
                row = measure(target, "unary", 128, seconds=seconds, rate=rate, core=self.cores[1])
                found.setdefault(target.name, []).append(row)
        plain = _median(found["direct"])
        for name, rows in found.items():
            p50, p99 = _median(rows)
            added = "" if name == "direct" else f"   added {p50 - plain[0]:7.3f} {p99 - plain[1]:7.3f}"
            print(f"{name:9} p50 {p50:7.3f} ms  p99 {p99:7.3f} ms{added}")
            self.facts[f"half_load_{name}"] = {"rate": rate, "p50_ms": p50, "p99_ms": p99}
            if name == "entrepot":
                self._line("latency added at half load, p99", p99 - plain[1], "ms", 2.0)
                self.lines.append(Line(what="latency added at half load, p50", figure=f"{p50 - plain[0]:.2f} ms",
                                       target="–", met=None))  # fmt: skip

    def _memory(self, bench: Bench) -> None:
        for role in ("gateway", "keeper", "control"):
            for pid in bench.house.pids(role):
                self.facts[f"rss_{role}_mib"] = memory_kib(pid) / 1024
        self._line("memory of a worker after the load above", float(str(self.facts["rss_gateway_mib"])), "MB", 60.0)

    def _streams(self, bench: Bench) -> None:
        """As many slow streams as the open-file limit allows: a stream needs two descriptors in the gateway."""
        streams = max(1, min(self.chosen.streams, (self.files - _SPARE_FILES) // 2))
        pid = bench.house.pids("gateway")[0]
        before = memory_kib(pid)
        seconds = 12.0
        target = bench.target()
        started = order(target, "slow", streams, seconds=seconds, warm=1.0)
        loading = Loading(msgspec.structs.replace(started, once=True), core=self.cores[1])
        most = before
        while loading.process.poll() is None:
            try:
                most = max(most, memory_kib(pid))
            except FileNotFoundError:
                print(f"the worker {pid} died while the streams were open or left")
                break
            time.sleep(0.25)
        report = loading.report()
        opened = report.begun - report.failed
        each = (most - before) / max(1, opened)
        self.facts["slow_streams"] = {"asked": streams, "open": opened, "failed": report.failed, "kib": each}
        print(f"\n{opened:,} of {streams:,} slow streams open at once (limit of open files {self.files:,}), "
              f"{report.failed} failed {report.first_failure}: {each:.1f} KiB each")  # fmt: skip
        self._line(f"memory of an open stream ({opened:,} open)", each, "KiB", 40.0)

    def _ingestion(self, bench: Bench) -> None:
        """The journal of this run, taken in again by an empty database, in a process of its own."""
        bench.house.stop(seconds=90)
        words = [sys.executable, "-m", "bench.ingestion", str(bench.house.folder.root)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=Path(__file__).parent.parent)
        if done.returncode:
            print(f"ingestion could not be measured: {done.stdout}{done.stderr[-500:]}")
            return
        found = json.loads(done.stdout)
        self.facts["ingestion"] = found
        for what, name in (("rollup and ledger", "rollup"), ("lake", "lake")):
            speed = found[f"{name}_per_cpu_s"]
            self.lines.append(
                Line(
                    what=f"ingestion, endings → {what} ({found['endings']:,} endings)",
                    figure=f"{speed:,.0f}/s a core",
                    target="≥ 100,000/s",
                    met=speed >= 100_000,
                )
            )

    def _line(self, what: str, value: float, unit: str, limit: float) -> None:
        self.lines.append(
            Line(what=what, figure=f"{value:.2f} {unit}", target=f"≤ {limit:g} {unit}", met=value <= limit)
        )

    def _summary(self) -> None:
        by = {(r.target, r.kind, r.open_calls): r for r in self.rows}
        for open_calls, limit in ((64, 55.0), (16, 90.0), (4, 170.0)):
            row = by.get(("entrepot", "unary", open_calls))
            if row is not None:
                self._line(f"CPU per unary call, {open_calls} open", row.cpu_us_per_call, "µs", limit)
                bare = by.get(("nginx", "unary", open_calls))
                if bare is not None:
                    self._line(
                        f"× nginx alone, {open_calls} open", row.cpu_us_per_call / bare.cpu_us_per_call, "×", 3.6
                    )
        for open_calls in _OPEN:
            row, bare = by.get(("entrepot", "single", open_calls)), by.get(("nginx", "single", open_calls))
            if row is not None and bare is not None:
                ratio = row.cpu_us_per_event / bare.cpu_us_per_event
                self._line(f"CPU per single event, {open_calls} open, × nginx", ratio, "×", 1.3)
            row = by.get(("entrepot", "burst", open_calls))
            if row is not None:
                self._line(f"CPU per event in bursts of {EVENTS}, {open_calls} open", row.cpu_us_per_event, "µs", 2.0)
        print()
        for line in self.lines:
            verdict = "" if line.met is None else "met" if line.met else "missed"
            print(f"{line.what:62} {line.figure:>18}   {line.target:>12}   {verdict}")
        _RESULTS.mkdir(exist_ok=True)
        record = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "version": __version__, "cores": os.cpu_count(),
            "load_before": self.busy, "python": sys.version.split()[0], "kernel": platform.release(),
            "facts": self.facts,
            "rows": msgspec.to_builtins(self.rows), "lines": msgspec.to_builtins(self.lines),
        }  # fmt: skip
        with (_RESULTS / "results.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")
        print("\none line added to bench/results/results.jsonl")
        if self.chosen.write:
            write_page(Page(rows=self.rows, lines=self.lines, facts=self.facts, busy=self.busy))


def _median(rows: list[Row]) -> tuple[float, float]:
    """Median p50 and p99 in milliseconds."""
    return statistics.median(r.p50_us for r in rows) / 1000, statistics.median(r.p99_us for r in rows) / 1000


def _show(row: Row) -> None:
    event = f"{row.cpu_us_per_event:9.2f}" if row.cpu_us_per_event else " " * 9
    print(
        f"{row.target:9} {row.kind:7} {row.open_calls:4} {row.calls_per_s:9,.0f} {row.cpu_us_per_call:12.1f} {event} "
        f"{row.cpu_share:5.2f} {row.p50_us / 1000:8.2f} {row.p99_us / 1000:8.2f} {row.failed:7}",
        flush=True,
    )


if __name__ == "__main__":
    main()
