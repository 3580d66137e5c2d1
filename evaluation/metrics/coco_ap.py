"""COCO's average precision and recall of masks, by pycocotools."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sam3i_agent.core.rle import Rle, area_of
from sam3i_agent.evaluation.metrics.truth import Mask

PERCENT = 100.0
COCO_METRICS = {"AP": 0, "AP50": 1, "AP75": 2, "AR@1": 6, "AR@10": 7, "AR@100": 8}
"""Name to its place in `COCOeval.stats`; all areas."""


def coco_metrics(
    truths: Mapping[int, Sequence[Mask]], found: Sequence[tuple[int, Rle, float]]
) -> dict[str, float]:
    """Return AP and AR in percent, over images with one category.

    Args:
        truths: annotations by image id; crowds take part as COCO has it.
        found: image id, mask and score of each prediction.

    Returns:
        `COCO_METRICS`, all 0 where nothing was found; -100 where no image has an annotation, as
        pycocotools says it.
    """
    if not found:
        return dict.fromkeys(COCO_METRICS, 0.0)
    wanted: list[dict[str, Any]] = []
    for image_id, masks in truths.items():
        for one in masks:
            if not one.ignored:
                area = float(area_of(one.rle))
                shared = {"id": len(wanted) + 1, "image_id": image_id, "category_id": 1}
                crowd = int(one.is_crowd)
                wanted.append({**shared, "segmentation": one.rle, "area": area, "iscrowd": crowd})
    results = [
        {"image_id": image_id, "category_id": 1, "segmentation": rle, "score": score}
        for image_id, rle, score in found
    ]
    coco: Any = COCO()  # its stubs want fields that AP does not use
    # It asks for sizes, which encoded masks have themselves.
    images = [{"id": image_id, "height": 0, "width": 0} for image_id in truths]
    coco.dataset = {"images": images, "annotations": wanted, "categories": [{"id": 1}], "info": {}}
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        coco.createIndex()
        evaluation: Any = COCOeval(coco, coco.loadRes(results), "segm")
        # Of its ranges of areas, the others are not asked for and take as long again each.
        evaluation.params.areaRng = evaluation.params.areaRng[:1]
        evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:1]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: PERCENT * float(evaluation.stats[at]) for name, at in COCO_METRICS.items()}
