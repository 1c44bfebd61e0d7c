"""What a process uses: CPU time and memory, read from /proc."""

import os
from collections.abc import Iterable
from pathlib import Path


def cpu_ns(pids: Iterable[int]) -> int:
    """CPU time of all living threads of these processes; nanoseconds where the kernel counts them, else clock ticks."""
    return sum(map(_cpu_of, pids))


def _cpu_of(pid: int) -> int:
    total = 0
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total
    except (FileNotFoundError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))


def memory_kib(pid: int, field: str = "VmRSS") -> int:
    """`VmRSS` (or another field) of /proc/PID/status in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    return 0
