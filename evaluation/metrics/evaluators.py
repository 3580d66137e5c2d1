"""Evaluation protocols: from ground-truth and prediction files to the field's numbers.

Each follows its official evaluator, quirks included; the metrics carry its names.
"""

import contextlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.rle import iou_matrix
from sam3i_agent.evaluation.metrics.coco_files import (
    GroundTruth,
    Mask,
    Rle,
    iou_of_pixels,
    merged,
    overlap,
    overlap_without,
    read_coco_results,
    read_ground_truth,
)
from sam3i_agent.evaluation.metrics.concept_f1 import (
    IOU_THRESHOLDS,
    MIN_SCORE,
    concept_f1,
    local_f1,
)
from sam3i_agent.evaluation.metrics.protocol import EvaluationProtocol

PERCENT = 100.0
_PRECISION_LIMITS = (0.5, 0.6, 0.7, 0.8, 0.9)
_SINGLE_LIMITS = (0.5, 0.75)


def evaluate(
    protocol: EvaluationProtocol, truths: Sequence[Path], predictions: Path
) -> dict[str, float]:
    """Evaluate a predictions file.

    Args:
        protocol: the rules.
        truths: datasets in any format of `data.formats.registry`; one, but for `saco` any number
            of annotators.
        predictions: COCO results.

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
    repeats_count = protocol is EvaluationProtocol.SACO
    found = read_coco_results(predictions, read[0], repeats_count=repeats_count)
    match protocol:
        case EvaluationProtocol.SACO:
            return _saco(read, found)
        case EvaluationProtocol.SAM3I_1TO1:
            return _sam3i_one_to_one(read[0], found)
        case EvaluationProtocol.SAM3I_MULTI:
            return _sam3i_multi(read[0], found)
        case EvaluationProtocol.REASONSEG:
            return _union_scores(read[0], found)
        case EvaluationProtocol.GREFCOCO:
            return _grefcoco(read[0], found)


def _saco(truths: Sequence[GroundTruth], found: dict[int, list[Mask]]) -> dict[str, float]:
    first = truths[0]
    if any(one.images.keys() != first.images.keys() for one in truths):
        raise InputError("the ground truths are about different images")
    pairs: list[np.ndarray] = []
    for image_id in first.images:
        # Only pairs that every annotator has finished count.
        if not all(one.images[image_id].is_exhaustive for one in truths):
            continue
        kept = [one.rle for one in found[image_id] if one.score >= MIN_SCORE]
        pairs.append(
            _best_annotator([iou_matrix(kept, _rles(one.masks[image_id])) for one in truths])
        )
    scores = {"": concept_f1(pairs)}
    scores |= {f"@{limit}": concept_f1(pairs, (limit,)) for limit in _SINGLE_LIMITS}
    report: dict[str, float] = {}
    for suffix, score in scores.items():
        report[f"cgF1{suffix}"] = score.cgf1
        report[f"positive_micro_F1{suffix}"] = score.positive_micro_f1
        report[f"IL_MCC{suffix}"] = score.il_mcc
    report["pairs"] = len(pairs)
    return report


def _best_annotator(matrices: Sequence[np.ndarray]) -> np.ndarray:
    """Return the matrix of the annotator that the predictions agree with best."""
    for ious in matrices:
        if ious.shape == (0, 0):
            return ious  # a true negative against any annotator wins
    return max(matrices, key=lambda ious: float(local_f1(ious, IOU_THRESHOLDS).mean()))


def _sam3i_one_to_one(truth: GroundTruth, found: dict[int, list[Mask]]) -> dict[str, float]:
    """Score merged predictions by annotation; what was not predicted for is not counted."""
    answers: dict[int, list[Mask]] = {}
    for one in (mask for masks in found.values() for mask in masks):
        answers.setdefault(one.id, []).append(one)
    annotations = {
        mask.id: mask for masks in truth.masks.values() for mask in masks if not mask.ignored
    }
    unknown = answers.keys() - annotations.keys()
    if unknown:
        raise InputError(
            f"{len(unknown)} predictions answer no annotation of the ground truth",
            "each needs the annotation_id it is about",
        )
    overlaps = [
        overlap(merged(_rles(masks)), annotations[key].rle)
        for key, masks in sorted(answers.items())
    ]
    # Nothing against nothing is 0 here, unlike in ReasonSeg.
    report = _iou_report(overlaps, empty=0.0, limits=(0.5,))
    return {
        "gIoU": report["gIoU"],
        "mIoU": report["cIoU"],
        "P@0.50": report["P@0.50"],
        **_average_precision([annotations[key] for key in sorted(answers)], answers),
        "records": len(overlaps),
    }


def _average_precision(
    annotations: Sequence[Mask], answers: dict[int, list[Mask]]
) -> dict[str, float]:
    """COCO AP of merged masks, each record an image of its own with category 1."""
    images = [
        {"id": one.id, "height": one.rle["size"][0], "width": one.rle["size"][1]}
        for one in annotations
    ]
    wanted: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for one in annotations:
        area = float(overlap(one.rle, None)[1])
        shared = {"id": one.id, "image_id": one.id, "category_id": 1}
        wanted.append({**shared, "segmentation": one.rle, "area": area, "iscrowd": 0})
        score = max(mask.score for mask in answers[one.id])
        results.append({**shared, "segmentation": merged(_rles(answers[one.id])), "score": score})
    if not annotations:
        return {"AP": 0.0, "AP50": 0.0}
    coco: Any = COCO()  # its stubs want fields that AP does not use
    coco.dataset = {"images": images, "annotations": wanted, "categories": [{"id": 1}], "info": {}}
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        coco.createIndex()
        evaluation: Any = COCOeval(coco, coco.loadRes(results), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {
        "AP": PERCENT * float(evaluation.stats[0]),
        "AP50": PERCENT * float(evaluation.stats[1]),
    }


def _sam3i_multi(truth: GroundTruth, found: dict[int, list[Mask]]) -> dict[str, float]:
    """Score every record's merged masks against the union of its image's targets."""
    overlaps: list[tuple[int, int]] = []
    scores: list[float] = []
    for image_id, masks in truth.masks.items():
        wanted = merged(_rles(masks))
        records: dict[int, list[Mask]] = {}
        for one in found[image_id]:
            records.setdefault(one.id, []).append(one)
        pairs = [overlap(merged(_rles(some)), wanted) for some in records.values()]
        pairs = pairs or [overlap(None, wanted)]
        overlaps += pairs
        scores.append(float(np.mean([iou_of_pixels(*pair, empty=0.0) for pair in pairs])))
    values = np.array(scores)
    return {
        "gIoU": PERCENT * float(values.mean()),
        "mIoU": _cumulative(overlaps),
        "P@0.50": PERCENT * float((values >= _PRECISION_LIMITS[0]).mean()),
        "images": len(scores),
    }


def _union_scores(truth: GroundTruth, found: dict[int, list[Mask]]) -> dict[str, float]:
    overlaps = [_without_ignored(found[image_id], masks) for image_id, masks in truth.masks.items()]
    return {**_iou_report(overlaps, empty=1.0), "images": len(overlaps)}


def _without_ignored(predictions: list[Mask], masks: list[Mask]) -> tuple[int, int]:
    return overlap_without(
        _rles(predictions),
        [one.rle for one in masks if not one.ignored],
        [one.rle for one in masks if one.ignored],
    )


def _rles(masks: list[Mask]) -> list[Rle]:
    return [one.rle for one in masks]


def _grefcoco(truth: GroundTruth, found: dict[int, list[Mask]]) -> dict[str, float]:
    report = _union_scores(truth, found)
    none_wanted = [image_id for image_id, masks in truth.masks.items() if not masks]
    wanted = [image_id for image_id, masks in truth.masks.items() if masks]
    right_none = [not _has_pixels(found[image_id]) for image_id in none_wanted]
    right_some = [_has_pixels(found[image_id]) for image_id in wanted]
    # P@X is over images with a target.
    overlaps = [_without_ignored(found[one], truth.masks[one]) for one in wanted]
    return {
        **report,
        **{name: value for name, value in _iou_report(overlaps, empty=1.0).items() if "@" in name},
        **({"N-acc": _share(right_none)} if right_none else {}),
        **({"T-acc": _share(right_some)} if right_some else {}),
    }


def _has_pixels(masks: list[Mask]) -> bool:
    return overlap(merged(_rles(masks)), None)[1] > 0


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
