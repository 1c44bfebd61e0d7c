"""Where a call's CPU goes: the gateway under cProfile (about three times slower, so shares count, not microseconds)."""

import argparse
import os
import pstats
import tempfile
from pathlib import Path

from bench.entrepot_target import Bench
from bench.measure import EVENTS, PAUSE_MS, SIZE, order
from entrepot.prove.processes import load, start_canned


def main() -> None:
    parser = argparse.ArgumentParser(description="profile of the gateway under load")
    parser.add_argument("--kind", choices=["unary", "burst", "single"], default="unary")
    parser.add_argument("--open", type=int, default=64, help="open calls")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--sort", choices=["tottime", "cumtime"], default="tottime")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-profile-") as folder:
        environment = {
            "PYTHONPATH": str(Path(__file__).parent / "profiled"),
            "ENTREPOT_BENCH_PROFILE": folder,
        }
        vendor = start_canned(size=SIZE, events=EVENTS, pause_ms=PAUSE_MS, core=1)
        bench = Bench(vendor.port, core=0, other=1, environment=environment)
        try:
            bench.start()
            bench.house.top_up("1000000")
            report = load(order(bench.target(), chosen.kind, chosen.open, seconds=chosen.seconds), core=1)
            bench.house.stop()
        finally:
            bench.house.end()
            vendor.end()
        print(
            f"{report.calls:,} calls in {report.seconds:.1f} s, {report.cpu_ns / 1000 / report.calls:.0f} µs CPU a call"
        )
        for name in os.listdir(folder):
            pstats.Stats(str(Path(folder) / name)).sort_stats(chosen.sort).print_stats(chosen.rows)


if __name__ == "__main__":
    main()
