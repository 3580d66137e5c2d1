"""How well a route answers a dataset of scenes: cgF1 and gIoU on one level's records."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sam3i_agent.agent.run import segment_photo_sync
from sam3i_agent.agent.state import SegmenterLike
from sam3i_agent.core.contracts import LevelChoice, RouteChoice, RunStatus, SegmentationResult
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks, mask_ious, union_iou
from sam3i_agent.core.photo import read_photo
from sam3i_agent.data.formats.sam3i import read_records
from sam3i_agent.evaluation.metrics.concept_f1 import MIN_SCORE, concept_f1

LOOSE_IOU = 0.5


@dataclass(frozen=True)
class BenchmarkReport:
    """Figures over all records that have a text of the level; percentages but for counts."""

    records: int
    positives: int
    failures: int
    """Runs that ended as `failed`; they count as finding nothing."""
    cgf1: float
    cgf1_50: float
    """At the IoU threshold 0.5."""
    positive_micro_f1_50: float
    il_mcc: float
    giou: float
    """Mean IoU of the united masks, nothing-for-nothing counting as 100."""
    nothing_right: float | None
    """Share of the records without a target that got none; None where there is no such record."""

    def as_dict(self) -> dict[str, float | None]:
        """Return the figures rounded to two places."""
        return {
            name: None if value is None else round(value, 2) for name, value in asdict(self).items()
        }


def run_benchmark(
    segmenter: SegmenterLike,
    annotations: Path,
    level: InstructionLevel,
    route: RouteChoice,
    read_as: LevelChoice,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> BenchmarkReport:
    """Answer the first text of `level` of every record and compare with its annotations.

    Args:
        segmenter: a loaded model.
        annotations: SAM3-I JSON as `sam3i dataset scenes` writes it, beside its images.
        level: which text.
        route: which pipeline.
        read_as: how the direct route reads the texts.
        advance: called with records done and in all.

    Raises:
        InputError: no record has a text of the level, an image is missing, or the model lacks the
            level asked for.
    """
    records = read_records(annotations, (level,))
    pairs: list[np.ndarray] = []
    union_ious: list[float] = []
    absent_right: list[bool] = []
    failures = 0
    for done, record in enumerate(records, start=1):
        photo = read_photo(annotations.parent / record.file_name)
        result = segment_photo_sync(
            segmenter, photo, record.texts[level][0], route=route, level=read_as
        )
        failures += result.status is RunStatus.FAILED
        masks, truths = _kept_masks(result), record.masks()
        pairs.append(mask_ious(masks, truths))
        union_ious.append(union_iou(masks, truths))
        if not len(truths):
            absent_right.append(not len(masks))
        advance(done, len(records))
    loose, full = concept_f1(pairs, (LOOSE_IOU,)), concept_f1(pairs)
    return BenchmarkReport(
        records=len(records),
        positives=len(records) - len(absent_right),
        failures=failures,
        cgf1=100 * full.cgf1,
        cgf1_50=100 * loose.cgf1,
        positive_micro_f1_50=100 * loose.positive_micro_f1,
        il_mcc=100 * loose.il_mcc,
        giou=100 * float(np.mean(union_ious)),
        nothing_right=100 * float(np.mean(absent_right)) if absent_right else None,
    )


def _kept_masks(result: SegmentationResult) -> Masks:
    keep = [one.score >= MIN_SCORE for one in result.instances]
    return result.masks()[np.array(keep, dtype=bool)]
