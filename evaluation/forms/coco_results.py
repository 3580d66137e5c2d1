"""COCO results: a list with an entry per predicted mask.

What was asked and not found has no mask, so no entry of its own: an empty mask of score 0 stands
for it in files that are written here. Evaluators of instances drop it by its score, those of unions
by its emptiness, and the entry still says that there was an answer.
"""

from collections.abc import Sequence
from typing import Any

from sam3i_agent.core.rle import Rle, area_of, as_rle, box_of, encode_segmentation
from sam3i_agent.evaluation.forms.answers import Answer, FoundMask
from sam3i_agent.evaluation.forms.problems import ENTRY_ERRORS, Problems, known_image, read_mask
from sam3i_agent.evaluation.metrics.truth import NO_ANNOTATION, GroundTruth


def read_coco_results(content: Sequence[Any], truth: GroundTruth, name: str) -> list[Answer]:
    """Return the answers of COCO results, one per image and annotation that they name.

    Args:
        content: a list of {"image_id", "segmentation", "score"}, with "annotation_id" where a
            mask answers one annotation of its image alone.
        truth: whose images they are about.
        name: of the file.

    Raises:
        InputError: some entries cannot be used.
    """
    groups: dict[tuple[int, int], list[FoundMask]] = {}
    problems = Problems(name, len(content))
    for index, one in enumerate(content):
        try:
            image_id = known_image(one["image_id"], truth)
            mask = read_mask(one["segmentation"], one.get("score", 1.0), image_id, truth)
            key = image_id, int(one.get("annotation_id", NO_ANNOTATION))
        except ENTRY_ERRORS as error:
            problems.add(index, error)
            continue
        masks = groups.setdefault(key, [])
        if mask.score or area_of(mask.rle):
            masks.append(mask)
    problems.raise_any()
    return [Answer(image, tuple(masks), id_) for (image, id_), masks in groups.items()]


def coco_results(answers: Sequence[Answer], truth: GroundTruth) -> list[dict[str, Any]]:
    """Return answers as COCO results."""
    return [entry for one in answers for entry in _entries(one, truth)]


def _entries(answer: Answer, truth: GroundTruth) -> list[dict[str, Any]]:
    shared: dict[str, Any] = {"image_id": answer.image_id, "category_id": 1}
    if answer.annotation_id != NO_ANNOTATION:
        shared["annotation_id"] = answer.annotation_id
    masks = answer.masks or (_nothing(truth.size_hw(answer.image_id)),)
    return [{**shared, **mask_fields(one.rle), "score": one.score} for one in masks]


def mask_fields(rle: Rle) -> dict[str, Any]:
    """Return what COCO says of a mask: segmentation, area and box (x, y, w, h)."""
    return {
        "segmentation": {"size": list(rle["size"]), "counts": rle["counts"].decode()},
        "area": area_of(rle),
        "bbox": box_of(rle),
    }


def _nothing(size_hw: tuple[int, int]) -> FoundMask:
    plain = {"size": list(size_hw), "counts": [size_hw[0] * size_hw[1]]}
    return FoundMask(as_rle(size_hw, encode_segmentation(plain, *size_hw)), 0.0)
