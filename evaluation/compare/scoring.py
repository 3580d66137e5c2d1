"""Single answers against their truth, and why one is wrong."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from sam3i_agent.core.contracts import RunStatus
from sam3i_agent.core.rle import Rle, as_rle, iou_matrix
from sam3i_agent.evaluation.compare.cases import Case, Prediction
from sam3i_agent.evaluation.metrics.concept_f1 import MIN_SCORE, match_ious
from sam3i_agent.evaluation.metrics.overlaps import iou_of_pixels, overlap_without

HIT_IOU = 0.5
TOUCH_IOU = 0.1
"""From which a prediction is about an instance at all, if badly."""


class Failure(StrEnum):
    """Why an answer is wrong, the first that applies."""

    BUDGET = "budget"
    """The budget was used up."""
    FAILED = "not answered"
    """The route could not work on the text."""
    NOTHING = "nothing found"
    FALSE_ALARM = "found though absent"
    WRONG_INSTANCE = "wrong instance"
    TOO_MANY = "too many"
    TOO_FEW = "too few"
    BOUNDARY = "poor boundary"
    """The right instances, covered badly."""


@dataclass(frozen=True)
class Scored:
    """One answer against its truth."""

    case: Case
    prediction: Prediction
    iou: float
    """Of the united masks; 1 for a right nothing."""
    shared: int
    union: int
    """Pixels."""
    instance_ious: NDArray[np.float64]
    """(predictions, truths), of predictions from `MIN_SCORE` on."""
    failure: Failure | None

    @property
    def truths(self) -> int:
        """Annotated instances."""
        return self.instance_ious.shape[1]

    def found(self, min_score: float = 0.0) -> list[tuple[Rle, float]]:
        """Return the masks from a score on, with their scores."""
        size = (self.case.record.height, self.case.record.width)
        return [
            (as_rle(size, mask.counts), score)
            for mask, score in zip(self.prediction.masks, self.prediction.scores, strict=True)
            if score >= min_score
        ]


def score_answers(cases: Sequence[Case], predictions: Iterable[Prediction]) -> list[Scored]:
    """Score every prediction whose case is known."""
    by_id = {case.id: case for case in cases}
    return [_score(by_id[one.case], one) for one in predictions if one.case in by_id]


def _score(case: Case, prediction: Prediction) -> Scored:
    size = (case.record.height, case.record.width)
    wanted = [as_rle(size, counts) for counts in case.record.encoded_masks]
    ignored = [as_rle(size, counts) for counts in case.record.encoded_ignored]
    found = [
        as_rle(size, mask.counts)
        for mask, score in zip(prediction.masks, prediction.scores, strict=True)
        if score >= MIN_SCORE
    ]
    shared, union = overlap_without(found, wanted, ignored)
    ious = iou_matrix(found, wanted)
    iou = iou_of_pixels(shared, union, empty=1.0)
    failure = _failure(prediction, iou, ious)
    return Scored(case, prediction, iou, shared, union, ious, failure)


def _failure(prediction: Prediction, iou: float, ious: NDArray[np.float64]) -> Failure | None:
    found, wanted = ious.shape
    hits = int((match_ious(ious) >= HIT_IOU).sum()) if ious.size else 0
    if iou >= HIT_IOU and (hits == found == wanted or iou == 1.0):
        return None
    if prediction.status is RunStatus.BUDGET_EXHAUSTED:
        return Failure.BUDGET
    if prediction.status is RunStatus.FAILED:
        return Failure.FAILED
    if not found:
        return Failure.NOTHING
    if not wanted:
        return Failure.FALSE_ALARM
    touched = int((ious.max(axis=0) > TOUCH_IOU).sum())
    if hits == 0:
        return Failure.BOUNDARY if touched == wanted == found else Failure.WRONG_INSTANCE
    if found > wanted:
        return Failure.TOO_MANY
    return Failure.TOO_FEW if found < wanted else Failure.WRONG_INSTANCE
