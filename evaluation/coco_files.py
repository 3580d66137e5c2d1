"""Ground truth and predictions in COCO form, as the protocols read them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from sam3i_agent.segmodel.errors import InputError
from sam3i_agent.segmodel.rle import encode_segmentation

Rle = dict[str, Any]
"""`{"size": [H, W], "counts": bytes}`, what pycocotools computes with."""


@dataclass(frozen=True)
class Mask:
    """One annotated or predicted mask."""

    id: int
    """Of the annotation; of a prediction, the annotation it answers, or -1."""
    image_id: int
    rle: Rle
    score: float = 1.0
    ignored: bool = False
    """Its pixels do not count (ReasonSeg's 255)."""


@dataclass(frozen=True)
class GroundTruth:
    """One file of images and annotations."""

    images: dict[int, dict[str, Any]]
    """By id, as the file has them."""
    masks: dict[int, list[Mask]]
    """By image id; every image has a list."""

    def size_hw(self, image_id: int) -> tuple[int, int]:
        """Return height and width of an image."""
        image = self.images[image_id]
        return image["height"], image["width"]


def read_ground_truth(path: Path) -> GroundTruth:
    """Read a COCO file; segmentations may be RLE or polygons.

    Raises:
        InputError: it cannot be read or is no such file.
    """
    content = _read_json(path)
    try:
        images = {one["id"]: one for one in content["images"]}
        masks: dict[int, list[Mask]] = {image_id: [] for image_id in images}
        for one in content["annotations"]:
            image = images[one["image_id"]]
            counts = encode_segmentation(one["segmentation"], image["height"], image["width"])
            rle = {"size": [image["height"], image["width"]], "counts": counts.encode()}
            ignored = bool(one.get("ignore", 0))
            masks[image["id"]].append(Mask(one["id"], image["id"], rle, ignored=ignored))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path.name!r} is no COCO ground truth: {error!r}") from error
    if not images:
        raise InputError(f"{path.name!r} has no images")
    return GroundTruth(images, masks)


def read_predictions(path: Path, truth: GroundTruth) -> dict[int, list[Mask]]:
    """Read COCO results, by image id; every image of `truth` has a list.

    Args:
        path: a list of {"image_id", "segmentation", "score"}, with "annotation_id" where a
            protocol aligns by it.
        truth: whose images they are about.

    Raises:
        InputError: the file cannot be read, is no such list, or names an unknown image.
    """
    content = _read_json(path)
    if isinstance(content, dict) and "annotations" in content:
        content = content["annotations"]
    found: dict[int, list[Mask]] = {image_id: [] for image_id in truth.images}
    try:
        for one in content:
            image_id = one["image_id"]
            if image_id not in found:
                raise InputError(f"{path.name!r} predicts for image {image_id!r}, which is unknown")
            size = truth.size_hw(image_id)
            counts = encode_segmentation(one["segmentation"], *size).encode()
            found[image_id].append(
                Mask(
                    one.get("annotation_id", -1),
                    image_id,
                    {"size": list(size), "counts": counts},
                    float(one.get("score", 1.0)),
                )
            )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path.name!r} is no list of COCO results: {error!r}") from error
    return found


def iou_matrix(predictions: list[Mask], truths: list[Mask]) -> np.ndarray:
    """Return the (P, T) mask IoUs."""
    if not predictions or not truths:
        return np.zeros((len(predictions), len(truths)))
    found: Any = [one.rle for one in predictions]
    wanted: Any = [one.rle for one in truths]
    return np.asarray(coco_mask.iou(found, wanted, [0] * len(truths)))


def merged(masks: list[Mask]) -> Rle | None:
    """Return the union of masks; None of none."""
    rles: Any = [one.rle for one in masks]
    union: Any = coco_mask.merge(rles) if masks else None
    return union


def overlap(a: Rle | None, b: Rle | None) -> tuple[int, int]:
    """Return the pixels of intersection and union of two unions of masks."""
    area_a, area_b = _area(a), _area(b)
    if a is None or b is None:
        return 0, area_a + area_b
    pair: Any = [a, b]
    shared = _area(coco_mask.merge(pair, intersect=True))
    return shared, area_a + area_b - shared


def _area(rle: Any) -> int:
    return 0 if rle is None else int(coco_mask.area(rle))


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path.name!r} is no JSON: {error}") from error
