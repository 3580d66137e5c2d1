"""A comparison's answers and truth as COCO files, which SA-Co's and SAM3-I's evaluators read.

`DIR/coco/truth-LEVEL.json` and `DIR/coco/ROUTE-LEVEL.json`: each record is an image entry of its
own with `text_input` (SA-Co) and `text_inst_input` (SAM3-I); each predicted mask is a COCO result,
with the `annotation_id` that SAM3-I's evaluator aligns by.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask

from sam3i_agent.core.errors import StorageError
from sam3i_agent.core.files import write_whole
from sam3i_agent.data.formats.sam3i import TEXT_LISTS
from sam3i_agent.evaluation.compare.cases import Case, Prediction

FOLDER = "coco"


def write_coco_files(cases: Sequence[Case], predictions: Iterable[Prediction], out: Path) -> None:
    """Write the truth of each level, and the answers of each route and level.

    Args:
        cases: all that was asked.
        predictions: all answers; those to unknown cases are left out.
        out: folder of the comparison.

    Raises:
        StorageError: it cannot be written.
    """
    by_id = {case.id: case for case in cases}
    contents: dict[str, Any] = {}
    for level in dict.fromkeys(case.level for case in cases):
        contents[f"truth-{level}"] = _truth([case for case in cases if case.level is level])
    for one in predictions:
        case = by_id.get(one.case)
        if case is not None:
            contents.setdefault(f"{one.route}-{case.level}", []).extend(_results(case, one))
    folder = out / FOLDER
    try:
        folder.mkdir(exist_ok=True)
        for name, content in contents.items():
            write_whole(folder / f"{name}.json", json.dumps(content))
    except OSError as error:
        raise StorageError(f"{str(folder)!r} cannot be written: {error.strerror}") from error


def _truth(cases: Sequence[Case]) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for case in cases:
        record = case.record
        texts = {key: [] for key in TEXT_LISTS.values()} | {TEXT_LISTS[case.level]: [case.text]}
        images.append(
            {
                "id": record.id,
                "file_name": record.file_name,
                "height": record.height,
                "width": record.width,
                "text_input": case.text,
                "text_inst_input": texts,
                "is_instance_exhaustive": True,
            }
        )
        shared = {"image_id": record.id, "category_id": 1, "iscrowd": 0}
        for id_, counts in zip(record.annotation_ids, record.encoded_masks, strict=True):
            annotations.append({"id": id_, **shared, **_mask(record.height, record.width, counts)})
        for index, counts in enumerate(record.encoded_ignored, start=1):
            mask = _mask(record.height, record.width, counts)
            annotations.append({"id": -1000 * record.id - index, **shared, "ignore": 1, **mask})
    categories = [{"id": 1, "name": "object"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def _results(case: Case, prediction: Prediction) -> list[dict[str, Any]]:
    record = case.record
    answers = {"annotation_id": record.annotation_ids[0]} if record.annotation_ids else {}
    return [
        {
            "image_id": record.id,
            "category_id": 1,
            **answers,
            **_mask(record.height, record.width, mask.counts),
            "score": score,
        }
        for mask, score in zip(prediction.masks, prediction.scores, strict=True)
    ]


def _mask(height: int, width: int, counts: str) -> dict[str, Any]:
    packed: Any = {"size": [height, width], "counts": counts.encode()}
    return {
        "segmentation": {"size": [height, width], "counts": counts},
        "area": int(coco_mask.area(packed)),
        "bbox": [float(side) for side in coco_mask.toBbox(packed)],
    }
