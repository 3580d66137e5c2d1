"""A command from a cold shell beside the import of the library that its model needs.

Whole processes in turn, by the system's own accounting of each that has ended.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sam3i_agent.benchmarks.serving.process import served
from sam3i_agent.core.contracts import Frozen
from sam3i_agent.core.errors import ModelError

IMPORT = "from transformers.models.sam3.modeling_sam3 import Sam3Model"
"""What no program with this model comes around."""
_SAM3I = (sys.executable, "-m", "sam3i_agent.cli")
_START_S = 120
_KIB_IN_MIB = 1024


class ProcessCost(Frozen):
    """Of one kind of process, over all turns."""

    what: str
    least_s: float
    median_s: float
    """Wall time."""
    cpu_s: float
    """Median of the processor's time, all threads together."""
    peak_mib: float


class ColdStart(Frozen):
    """What `sam3i bench cold-start` measured."""

    runs: int
    library: ProcessCost
    command: ProcessCost
    server: ProcessCost
    """The same command, answered by a server that is running."""
    ratio: float
    """Of command to library: the median of the turns' ratios."""
    cpu_ratio: float


def measure_cold_start(
    image: Path, instruction: str, runs: int, advance: Callable[[], None]
) -> ColdStart:
    """Run all three in turn.

    Args:
        image: a photo.
        instruction: what to find.
        runs: turns that count, after one that does not.
        advance: called after each turn.

    Raises:
        ModelError: a process failed.
    """
    library = [sys.executable, "-c", IMPORT]
    turns: list[list[tuple[float, float, float]]] = []
    with tempfile.TemporaryDirectory() as folder, served(start_s=_START_S) as (url, _):
        words = [*_SAM3I, "segment", str(image), instruction, "--out"]
        commands = (
            library,
            [*words, str(Path(folder, "here")), "--server", ""],
            [*words, str(Path(folder, "there")), "--server", url],
        )
        for turn in range(runs + 1):
            costs = [_run(one) for one in commands]
            if turn:
                turns.append(costs)
            advance()
    ratios = [
        [costs[1][kind] / costs[0][kind] for costs in turns]  # wall, then CPU
        for kind in (0, 1)
    ]
    names = ("the library imported", "sam3i segment", "sam3i segment --server")
    kinds = [_cost(name, [costs[i] for costs in turns]) for i, name in enumerate(names)]
    return ColdStart(
        runs=runs,
        library=kinds[0],
        command=kinds[1],
        server=kinds[2],
        ratio=round(statistics.median(ratios[0]), 3),
        cpu_ratio=round(statistics.median(ratios[1]), 3),
    )


def _cost(what: str, runs: Sequence[tuple[float, float, float]]) -> ProcessCost:
    walls, cpus, peaks = zip(*runs, strict=True)
    return ProcessCost(
        what=what,
        least_s=round(min(walls), 3),
        median_s=round(statistics.median(walls), 3),
        cpu_s=round(statistics.median(cpus), 3),
        peak_mib=round(max(peaks), 1),
    )


def _run(command: Sequence[str]) -> tuple[float, float, float]:
    """Return wall and processor seconds, and MiB at the most."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise ModelError(f"{' '.join(command)} ended with exit code {process.returncode}")
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / _KIB_IN_MIB
