"""Entrepot with everything on, as a target: journal, holds, leases, keys, metering."""

import os
from pathlib import Path

from bench.measure import MODEL, Target
from entrepot.prove.house import House
from entrepot.prove.meter import cpu_ns


class Bench:
    """A house whose one gateway has core 0 for itself; keeper, control and the parent run beside the load on core 1."""

    def __init__(
        self, vendor: int, *, core: int | None, other: int | None, environment: dict[str, str] | None = None
    ) -> None:
        self.house = House(vendor, model=MODEL, workers=1, environment=environment)
        self._core, self._other = core, other

    def start(self) -> float:
        """Seconds to the first answer, before anything is pinned."""
        self.house.start()
        seconds = self.house.first_answer()
        self.pin()
        return seconds

    def pin(self) -> None:
        if self._core is None or self._other is None or self.house.process is None:
            return
        gateways = self.house.pids("gateway")
        for role in ("keeper", "control", "local"):
            for pid in self.house.pids(role):
                _pin(pid, self._other)
        _pin(self.house.process.pid, self._other)
        for pid in gateways:
            _pin(pid, self._core)

    def target(self) -> Target:
        return Target(
            name="entrepot",
            port=lambda _kind: self.house.port,
            pids=lambda: tuple(self.house.pids("gateway")),
            key=self.house.key,
        )

    def keeper_ns(self) -> int:
        """CPU of the keeper so far: what ingestion costs beside the request path."""
        return cpu_ns(self.house.pids("keeper"))


def _pin(pid: int, core: int) -> None:
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            os.sched_setaffinity(int(task.name), {core})
        except ProcessLookupError:
            continue
