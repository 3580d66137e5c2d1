"""Evaluation protocols: from ground-truth and prediction files to the field's numbers.

Each follows its official evaluator, quirks included; the metrics carry its names.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.rle import Rle, iou_matrix
from sam3i_agent.evaluation.forms.answers import (
    EVERYTHING,
    Answer,
    Selection,
    by_annotation,
    by_image,
)
from sam3i_agent.evaluation.forms.files import read_answers
from sam3i_agent.evaluation.metrics.coco_ap import PERCENT, coco_metrics
from sam3i_agent.evaluation.metrics.concept_f1 import (
    IOU_THRESHOLDS,
    MIN_SCORE,
    ConceptCounts,
    ConceptF1,
    local_f1,
)
from sam3i_agent.evaluation.metrics.overlaps import (
    iou_of_pixels,
    merged,
    overlap,
    overlap_without,
)
from sam3i_agent.evaluation.metrics.protocol import EvaluationProtocol
from sam3i_agent.evaluation.metrics.truth import GroundTruth, Mask, read_ground_truth

logger = logging.getLogger(__name__)

_PRECISION_LIMITS = (0.5, 0.6, 0.7, 0.8, 0.9)
_SINGLE_LIMITS = (0.5, 0.75)
_SINGLE_METRICS = {
    "cgF1": "cgf1",
    "precision": "precision",
    "recall": "recall",
    "F1": "f1",
    "positive_macro_F1": "positive_macro_f1",
    "positive_micro_F1": "positive_micro_f1",
    "positive_micro_precision": "positive_micro_precision",
}
"""The official evaluator's name to ours, of metrics that it has at single thresholds too."""
_IMAGE_METRICS = {
    "IL_precision": "il_precision",
    "IL_recall": "il_recall",
    "IL_F1": "il_f1",
    "IL_FPR": "il_fpr",
    "IL_MCC": "il_mcc",
}


def evaluate(
    protocol: EvaluationProtocol,
    truths: Sequence[Path],
    predictions: Path,
    *,
    selection: Selection = EVERYTHING,
    strict: bool = False,
) -> dict[str, float]:
    """Evaluate a predictions file.

    Args:
        protocol: the rules.
        truths: datasets in any format of `data.formats.registry`; one, but for `saco` any number
            of annotators.
        predictions: of any form of `evaluation.forms`.
        selection: which of its answers, where it has several kinds.
        strict: refuse files that say the same mask twice, or answer annotations that are not there.

    Returns:
        Metric to value: fractions for `saco`, percentages for the others, as their evaluators
        print them.

    Raises:
        InputError: a file cannot be used, or the number of ground truths does not fit.
    """
    if not truths:
        raise InputError("no ground truth is given", "--gt FILE")
    if len(truths) > 1 and protocol is not EvaluationProtocol.SACO:
        raise InputError(f"{protocol} takes one ground truth, {len(truths)} were given")
    read = [read_ground_truth(path) for path in truths]
    file = read_answers(predictions, read[0], selection)
    if file.repeats:
        total = sum(len(one.masks) for one in file.answers)
        _complain(f"{file.repeats} of {total} predictions repeat another one", strict)
    match protocol:
        case EvaluationProtocol.SACO:
            return {**_saco(read, _of_images(file.answers)), "repeated_masks": file.repeats}
        case EvaluationProtocol.SAM3I_1TO1:
            return _sam3i_one_to_one(read[0], by_annotation(file.answers, read[0]), strict)
        case EvaluationProtocol.SAM3I_MULTI:
            return _sam3i_multi(read[0], by_annotation(file.answers, read[0]))
        case EvaluationProtocol.REASONSEG:
            return _union_scores(read[0], _of_images(file.answers))
        case EvaluationProtocol.GREFCOCO:
            return _grefcoco(read[0], _of_images(file.answers))


def _complain(problem: str, strict: bool) -> None:
    if strict:
        raise InputError(problem, "without --strict they are scored as they stand")
    logger.warning("%s; they are scored as they stand", problem)


_Found = dict[int, Answer]
"""By image id; an image that is not there was answered with nothing."""


def _of_images(answers: Sequence[Answer]) -> _Found:
    every = by_image(answers)
    found = {one.image_id: one for one in every}
    if len(found) < len(every):
        raise InputError("the predictions answer several texts of an image", "choose with --level")
    return found


def _rles_of(found: _Found, image_id: int, min_score: float = 0.0) -> list[Rle]:
    return found[image_id].rles(min_score) if image_id in found else []


def _saco(truths: Sequence[GroundTruth], found: _Found) -> dict[str, float]:
    first = truths[0]
    if any(one.images.keys() != first.images.keys() for one in truths):
        raise InputError("the ground truths are about different images")
    pairs: list[np.ndarray] = []
    for image_id in first.images:
        # Only pairs that every annotator has finished count.
        if not all(one.images[image_id].is_exhaustive for one in truths):
            continue
        kept = _rles_of(found, image_id, MIN_SCORE)
        wanted = ([mask.rle for mask in one.masks[image_id] if not mask.is_crowd] for one in truths)
        pairs.append(_best_annotator([iou_matrix(kept, some) for some in wanted]))
    counts = ConceptCounts.of(pairs)
    mean = counts.scores()
    report = _named(mean, _SINGLE_METRICS) | _named(mean, _IMAGE_METRICS)
    for limit in _SINGLE_LIMITS:
        single = counts.scores(limit)
        report |= _named(single, _SINGLE_METRICS, f"@{limit}")
        report[f"IL_MCC@{limit}"] = single.il_mcc  # the same at every threshold
    return {**report, **_counted(counts), "pairs": len(pairs)}


def _named(scores: ConceptF1, names: dict[str, str], suffix: str = "") -> dict[str, float]:
    return {name + suffix: getattr(scores, ours) for name, ours in names.items()}


def _counted(counts: ConceptCounts) -> dict[str, float]:
    (true_negative, false_positive), (false_negative, true_positive) = counts.gate
    report: dict[str, float] = {
        "IL_TP": int(true_positive),
        "IL_FP": int(false_positive),
        "IL_TN": int(true_negative),
        "IL_FN": int(false_negative),
    }
    for limit in _SINGLE_LIMITS:
        at = counts.thresholds.index(limit)
        report[f"TP@{limit}"] = int(counts.found[at])
        report[f"FP@{limit}"] = int(counts.false_alarms[at])
        report[f"positive_FP@{limit}"] = int(counts.positive_false_alarms[at])
        report[f"FN@{limit}"] = int(counts.missed[at])
    return report


def _best_annotator(matrices: Sequence[np.ndarray]) -> np.ndarray:
    """Return the matrix of the annotator that the predictions agree with best."""
    for ious in matrices:
        if ious.shape == (0, 0):
            return ious  # a true negative against any annotator wins
    return max(matrices, key=lambda ious: float(local_f1(ious, IOU_THRESHOLDS).mean()))


def _sam3i_one_to_one(
    truth: GroundTruth, answers: Sequence[Answer], strict: bool
) -> dict[str, float]:
    """Score merged predictions by annotation; what was not predicted for is not counted."""
    annotations = {
        mask.id: mask for masks in truth.masks.values() for mask in masks if not mask.ignored
    }
    aligned = [one for one in answers if one.annotation_id in annotations]
    if answers and not aligned:
        raise InputError(
            "the predictions answer no annotation of the ground truth",
            "sam3i-1to1 aligns by annotation_id",
        )
    if lost := len(answers) - len(aligned):
        _complain(f"{lost} of {len(answers)} predictions answer no annotation", strict)
    overlaps = [overlap(merged(one.rles()), annotations[one.annotation_id].rle) for one in aligned]
    # Nothing against nothing is 0 here, unlike in ReasonSeg.
    report = _iou_report(overlaps, empty=0.0, limits=(0.5,))
    # Each answer is one detection of its image, whose annotations all are to be found.
    wanted = {one.image_id: truth.masks[one.image_id] for one in answers}
    unions = ((one, merged(one.rles())) for one in aligned)
    detections = [
        (one.image_id, union, max(mask.score for mask in one.masks))
        for one, union in unions
        if union is not None
    ]
    ap = coco_metrics(wanted, detections)
    return {
        "gIoU": report["gIoU"],
        "mIoU": report["cIoU"],
        "P@0.50": report["P@0.50"],
        "AP": ap["AP"],
        "AP50": ap["AP50"],
        "records": len(overlaps),
    }


def _sam3i_multi(truth: GroundTruth, answers: Sequence[Answer]) -> dict[str, float]:
    """Score every record's merged masks against the union of its image's targets."""
    by_id: dict[int, list[Answer]] = {}
    for one in answers:
        by_id.setdefault(one.image_id, []).append(one)
    overlaps: list[tuple[int, int]] = []
    scores: list[tuple[float, float]] = []
    for image_id, masks in truth.masks.items():
        wanted = merged([mask.rle for mask in masks])
        unions = [merged(one.rles()) for one in by_id.get(image_id, ())] or [None]
        pairs = [overlap(union, wanted) for union in unions]
        overlaps += pairs
        ious = np.array([iou_of_pixels(*pair, empty=0.0) for pair in pairs])
        scores.append((float(ious.mean()), float((ious >= _PRECISION_LIMITS[0]).mean())))
    giou, precision = np.mean(scores, axis=0)
    return {
        "gIoU": PERCENT * float(giou),
        "mIoU": _cumulative(overlaps),
        "P@0.50": PERCENT * float(precision),
        "images": len(scores),
    }


def _union_scores(truth: GroundTruth, found: _Found) -> dict[str, float]:
    overlaps = [
        _without_ignored(_rles_of(found, image_id), masks)
        for image_id, masks in truth.masks.items()
    ]
    return {**_iou_report(overlaps, empty=1.0), "images": len(overlaps)}


def _without_ignored(predictions: list[Rle], masks: list[Mask]) -> tuple[int, int]:
    return overlap_without(
        predictions,
        [one.rle for one in masks if not one.ignored],
        [one.rle for one in masks if one.ignored],
    )


def _grefcoco(truth: GroundTruth, found: _Found) -> dict[str, float]:
    report = _union_scores(truth, found)
    none_wanted = [image_id for image_id, masks in truth.masks.items() if not masks]
    wanted = [image_id for image_id, masks in truth.masks.items() if masks]
    right_none = [not _has_pixels(_rles_of(found, image_id)) for image_id in none_wanted]
    right_some = [_has_pixels(_rles_of(found, image_id)) for image_id in wanted]
    # P@X is over images with a target.
    overlaps = [_without_ignored(_rles_of(found, one), truth.masks[one]) for one in wanted]
    return {
        **report,
        **{name: value for name, value in _iou_report(overlaps, empty=1.0).items() if "@" in name},
        **({"N-acc": _share(right_none)} if right_none else {}),
        **({"T-acc": _share(right_some)} if right_some else {}),
    }


def _has_pixels(masks: list[Rle]) -> bool:
    return overlap(merged(masks), None)[1] > 0


def _iou_report(
    overlaps: Sequence[tuple[int, int]],
    *,
    empty: float,
    limits: Iterable[float] = _PRECISION_LIMITS,
) -> dict[str, float]:
    ious = np.array([iou_of_pixels(*pair, empty=empty) for pair in overlaps])
    if not len(ious):
        raise InputError("no record can be scored: ground truth and predictions do not meet")
    return {
        "gIoU": PERCENT * float(ious.mean()),
        "cIoU": _cumulative(overlaps),
        **{f"P@{limit:.2f}": PERCENT * float((ious >= limit).mean()) for limit in limits},
    }


def _cumulative(overlaps: Sequence[tuple[int, int]]) -> float:
    shared, union = np.sum(overlaps, axis=0)
    return PERCENT * float(shared / union) if union else 0.0


def _share(values: list[bool]) -> float:
    return PERCENT * float(np.mean(values))
