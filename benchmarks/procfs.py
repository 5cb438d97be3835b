"""What the kernel says about a process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class CpuTime:
    """CPU time of all threads of a process since it started, in seconds."""

    total: float
    user: float
    system: float

    def __sub__(self, earlier: CpuTime) -> CpuTime:
        return CpuTime(self.total - earlier.total, self.user - earlier.user, self.system - earlier.system)


def cpu_time(pid: int) -> CpuTime:
    """The total is the scheduler's, in nanoseconds, where the kernel keeps it; user and system come in clock ticks."""
    # The command may contain spaces and brackets: the fields are counted from its last bracket.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = (int(field) / TICKS_PER_SECOND for field in fields[11:13])
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        total = sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    except OSError:
        total = 0.0
    return CpuTime(total or user + system, user, system)


def memory_kib(pid: int) -> tuple[int, int]:
    """The peak of the resident memory so far, and the resident memory now, in KiB."""
    return status_number(pid, "VmHWM"), status_number(pid, "VmRSS")


def catches_signal(pid: int, number: int) -> bool:
    """True once the process has a handler of its own for the signal."""
    return bool(status_number(pid, "SigCgt", 16) >> (number - 1) & 1)


def status_number(pid: int, name: str, base: int = 10) -> int:
    """The first number of a field of /proc/PID/status; 0 when it is absent, as for a process that has just ended."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1], base)
    return 0
