"""Accuracy of referring expressions by boxes, as the papers on RefCOCO report it."""

from collections.abc import Sequence
from typing import Any

from pycocotools import mask as coco_mask

from sam3i_agent.core.rle import box_of
from sam3i_agent.evaluation.forms.answers import Answer
from sam3i_agent.evaluation.metrics.truth import GroundTruth

BOX_ACCURACY = "Acc"
HIT_IOU = 0.5
PERCENT = 100.0


def box_accuracy(truth: GroundTruth, answers: Sequence[Answer]) -> float:
    """Return how many images' best mask has the box of the one that is meant, in percent.

    The box is that of the mask; what was not answered, or without a mask, is wrong.

    Args:
        truth: of images with one instance each.
        answers: to texts about them.
    """
    best = {
        one.image_id: max(one.masks, key=lambda mask: mask.score) for one in answers if one.masks
    }
    hits = 0
    for image_id, masks in truth.masks.items():
        if image_id in best:
            found: Any = [box_of(best[image_id].rle)]
            wanted: Any = [box_of(mask.rle) for mask in masks]
            ious = coco_mask.iou(found, wanted, [0] * len(wanted))
            hits += any(iou >= HIT_IOU for iou in ious[0])
    return PERCENT * hits / max(1, len(truth.masks))
