"""Memory and processor time of groups of processes, some of which end meanwhile (Linux)."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np

from sam3i_agent.core.contracts import Frozen

_MINUTE_S = 60.0
_USER, _SYSTEM = 11, 12
"""Places behind the name in /proc/PID/stat."""


class UsageReport(Frozen):
    """Of one group."""

    mb_first_minute: float
    """Resident, all together, median."""
    mb_last_minute: float
    cpu_ms_per_call: float


class Usage:
    """What one group of processes has used so far."""

    def __init__(self) -> None:
        self._memory: list[tuple[float, float]] = []
        """When, and megabytes."""
        self._cpu_s: dict[int, tuple[float, float]] = {}
        """Of each process, when it was seen first and last."""

    def sample(self, at: float, pids: Iterable[int]) -> None:
        """Look at the processes.

        Args:
            at: seconds from the start.
            pids: that are there now.
        """
        pages = 0
        for pid in pids:
            with suppress(OSError, IndexError):
                folder = Path("/proc") / str(pid)
                pages += int((folder / "statm").read_text().split()[1])
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
                ticks = int(stat[_USER]) + int(stat[_SYSTEM])
                seconds = ticks / os.sysconf("SC_CLK_TCK")
                self._cpu_s[pid] = self._cpu_s.get(pid, (seconds, 0))[0], seconds
        self._memory.append((at, pages * os.sysconf("SC_PAGE_SIZE") / 1e6))

    def report(self, calls: int) -> UsageReport:
        """Sum up.

        Args:
            calls: that were answered meanwhile.
        """
        end = max(at for at, _ in self._memory)
        window = min(_MINUTE_S, end / 2)
        cpu_s = sum(last - first for first, last in self._cpu_s.values())
        return UsageReport(
            mb_first_minute=_median(mb for at, mb in self._memory if at <= window),
            mb_last_minute=_median(mb for at, mb in self._memory if at >= end - window),
            cpu_ms_per_call=round(1000 * cpu_s / max(1, calls), 1),
        )


def _median(values: Iterable[float]) -> float:
    return round(float(np.median(list(values))), 1)
