"""What of the machine this process may have: by its affinity, and by the control groups of Linux.

A container's share is a quota of its group, which neither torch nor /proc/meminfo knows of: torch
would start a thread for each processor of the machine, and they would wait for each other.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_NO_LIMIT = 1 << 60
"""Bytes that the first version writes, or more, where there is no limit."""


def allowed_processors() -> int:
    """Return how many processors this process may have, at least one."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    return max(1, math.floor(min([count, *_quotas()])))


def memory_left() -> int | None:
    """Return the bytes that the control groups still allow; None where they set no limit.

    What the groups hold of files counts as free: it is given up when memory is needed.
    """
    left: list[int] = []
    for group in _groups("memory"):
        limit = _number(group / "memory.max") or _number(group / "memory.limit_in_bytes")
        if limit is None or limit >= _NO_LIMIT:
            continue
        taken = [
            int(value)
            for name, value in map(str.split, _lines(group / "memory.stat"))
            if name in ("anon", "total_rss")  # of the second version and of the first
        ]
        left.append(max(0, limit - sum(taken)))
    return min(left, default=None)


def _quotas() -> Iterator[float]:
    for group in _groups("cpu"):
        for line in _lines(group / "cpu.max"):  # "150000 100000", or "max 100000"
            quota, period = line.split()
            if quota.isdecimal():
                yield int(quota) / int(period)
        quota, period = (_number(group / f"cpu.cfs_{one}_us") for one in ("quota", "period"))
        if quota is not None and period:
            yield quota / period


def _groups(controller: str) -> Iterator[Path]:
    """Yield this process's groups and all above them, whose limits hold too.

    Within a container the path may be that of the host: what is not there is passed over.
    """
    for line in _lines(_OWN):
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = _GROUPS / controllers
        group = root / path.lstrip("/")
        yield from (one for one in (group, *group.parents) if one.is_relative_to(root))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("ascii").splitlines()
    except OSError:
        return []


def _number(path: Path) -> int | None:
    """Return the number that a file holds; None where it says "max", -1, or is not there."""
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdecimal() else None
