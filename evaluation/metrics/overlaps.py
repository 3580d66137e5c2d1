"""Pixels that sets of masks share, computed on their encodings."""

from collections.abc import Sequence
from typing import Any

from pycocotools import mask as coco_mask

from sam3i_agent.core.rle import Rle, area_of


def merged(masks: Sequence[Rle]) -> Rle | None:
    """Return the union of masks; None of none."""
    some: Any = list(masks)
    union: Any = coco_mask.merge(some) if some else None
    return union


def overlap_without(
    found: Sequence[Rle], wanted: Sequence[Rle], ignored: Sequence[Rle]
) -> tuple[int, int]:
    """Return the pixels of intersection and union of two sets of masks, each united.

    Args:
        found: predicted.
        wanted: annotated.
        ignored: whose pixels do not count.
    """
    answer, truth, left_out = merged(found), merged(wanted), merged(ignored)
    shared, union = overlap(answer, truth)
    if left_out is None:
        return shared, union
    lost_union = overlap(merged([*found, *wanted]), left_out)[0]
    lost_shared = 0
    if answer is not None and truth is not None:
        # |A n B n I| by inclusion and exclusion over unions with I.
        lost_shared = overlap(answer, left_out)[0] + overlap(truth, left_out)[0] - lost_union
    return shared - lost_shared, union - lost_union


def iou_of_pixels(shared: int, union: int, *, empty: float) -> float:
    """Return the IoU of two unions of masks; `empty` is nothing against nothing."""
    return shared / union if union else empty


def overlap(a: Rle | None, b: Rle | None) -> tuple[int, int]:
    """Return the pixels of intersection and union of two unions of masks."""
    area_a, area_b = (0 if one is None else area_of(one) for one in (a, b))
    if a is None or b is None:
        return 0, area_a + area_b
    pair: Any = [a, b]
    both: Any = coco_mask.merge(pair, intersect=True)
    shared = area_of(both)
    return shared, area_a + area_b - shared
