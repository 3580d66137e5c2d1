"""How long and how much memory a report on stored predictions takes."""

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from sam3i_agent.core.contracts import CompressedMask, Frozen, RouteChoice, RunStatus, Usage
from sam3i_agent.core.errors import ModelError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.rle import decode_mask, encode_mask
from sam3i_agent.data.formats.registry import open_dataset
from sam3i_agent.data.scene_files import write_scenes
from sam3i_agent.evaluation.compare.cases import Case, Prediction, Shard, read_cases

CASES_PER_SCENE = 16
_SHIFTS = {RouteChoice.DIRECT: 9, RouteChoice.AGENT: 3, RouteChoice.AUTO: 6}
"""By how many pixels a route's masks are off, at most."""
_MISSED = 0.2
"""Share of instances that no route finds."""
_KIB_PER_MIB = 1024


class StoredPredictions(Frozen):
    """What the report took, the process's start included."""

    cases: int
    predictions: int
    seconds: float
    peak_mib: float


def measure_stored_predictions(
    cases: int, folder: Path, advance: Callable[[], None]
) -> StoredPredictions:
    """Make up a dataset and its answers, and time `sam3i compare` on them.

    Args:
        cases: texts; each is answered by three routes.
        folder: empty; gets the data and the report.
        advance: called after each scene.

    Raises:
        ModelError: the command failed.
    """
    scenes = -(-cases // CASES_PER_SCENE)
    annotations = write_scenes(scenes, folder / "data", seed=77, advance=advance)
    some = read_cases(open_dataset(annotations), tuple(InstructionLevel), limit=cases)
    out = folder / "report"
    out.mkdir()
    count = 0
    with (out / Shard().file_name).open("w", encoding="utf-8") as lines:
        for prediction in _made_up(some):
            lines.write(prediction.model_dump_json() + "\n")
            count += 1
    command = [sys.executable, "-m", "sam3i_agent.cli", "compare", str(annotations)]
    started = time.perf_counter()
    done = subprocess.run(
        [*command, "--out", str(out), "--limit", str(cases)], capture_output=True, text=True
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise ModelError(f"the report failed: {done.stderr.strip()[-500:]}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / _KIB_PER_MIB
    return StoredPredictions(
        cases=len(some), predictions=count, seconds=round(seconds, 1), peak_mib=round(peak)
    )


def _made_up(cases: list[Case]) -> Iterator[Prediction]:
    rng = np.random.default_rng(5)
    for case in cases:
        size = (case.record.height, case.record.width)
        truths = [decode_mask(size, counts) for counts in case.record.encoded_masks]
        for route, shift in _SHIFTS.items():
            masks = [
                np.roll(mask, rng.integers(-shift, shift + 1, 2), axis=(0, 1))
                for mask in truths
                if rng.random() > _MISSED
            ]
            yield Prediction(
                case=case.id,
                route=route,
                status=RunStatus.SELECTED if masks else RunStatus.NO_TARGET,
                answered_by=str(route),
                presence=0.9,
                scores=[0.9] * len(masks),
                masks=[CompressedMask.model_validate(encode_mask(mask)) for mask in masks],
                usage=Usage(seconds=float(rng.random()), prompts=1),
                trace=["route: made up"],
                warnings=[],
            )
