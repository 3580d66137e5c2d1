"""Ground truth and COCO results, as the protocols read them."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask

from sam3i_agent.agent.instructions import classify_level
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.files import read_json
from sam3i_agent.core.rle import Rle, as_rle, encode_segmentation
from sam3i_agent.data.formats.registry import read_dataset
from sam3i_agent.data.records import Record

logger = logging.getLogger(__name__)

NO_ANNOTATION = -1
_REPEATS = "repeat another one"


@dataclass(frozen=True)
class Mask:
    """One annotated or predicted mask."""

    id: int
    """Of the annotation; of a prediction, the annotation it answers, or `NO_ANNOTATION`."""
    image_id: int
    rle: Rle
    score: float = 1.0
    ignored: bool = False
    """Its pixels do not count (ReasonSeg's 255)."""


@dataclass(frozen=True)
class GroundTruth:
    """What the images of a dataset hold."""

    images: dict[int, Record]
    """By id."""
    masks: dict[int, list[Mask]]
    """By image id; every image has a list."""

    def size_hw(self, image_id: int) -> tuple[int, int]:
        """Return height and width of an image."""
        image = self.images[image_id]
        return image.height, image.width


def read_ground_truth(path: Path) -> GroundTruth:
    """Read the masks of a dataset, of any format of `data.formats.registry`.

    Raises:
        InputError: it cannot be read or is no such dataset.
    """
    records = read_dataset(path, level_of=classify_level).records
    masks: dict[int, list[Mask]] = {}
    for record in records:
        size = (record.height, record.width)
        wanted = zip(record.annotation_ids, record.encoded_masks, strict=True)
        masks[record.id] = [
            *(Mask(id_, record.id, as_rle(size, counts)) for id_, counts in wanted),
            *(
                Mask(NO_ANNOTATION, record.id, as_rle(size, counts), ignored=True)
                for counts in record.encoded_ignored
            ),
        ]
    return GroundTruth({record.id: record for record in records}, masks)


def read_coco_results(
    path: Path, truth: GroundTruth, *, repeats_count: bool
) -> dict[int, list[Mask]]:
    """Read COCO results, by image id; every image of `truth` has a list.

    Args:
        path: a list of {"image_id", "segmentation", "score"}, with "annotation_id" where a
            protocol aligns by it.
        truth: whose images they are about.
        repeats_count: whether the same mask predicted twice would change the result; if not, it
            is only logged.

    Raises:
        InputError: the file cannot be read or is no such list; or some predictions are about
            unknown images, have masks of another size or scores that are no numbers, or repeat
            another one. The message counts them by kind and names the first.
    """
    content = read_json(path)
    if isinstance(content, dict) and "annotations" in content:
        content = content["annotations"]
    if not isinstance(content, list):
        raise InputError(f"{path.name!r} is no list of COCO results")
    found: dict[int, list[Mask]] = {image_id: [] for image_id in truth.images}
    seen: set[tuple[int, int, bytes]] = set()
    problems: dict[str, list[str]] = {}
    for index, one in enumerate(content):
        try:
            mask = _prediction(one, truth)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problems.setdefault(_kind_of(error), []).append(f"number {index}: {_words(error)}")
            continue
        key = (mask.image_id, mask.id, mask.rle["counts"])
        if key in seen:
            problems.setdefault(_REPEATS, []).append(f"number {index}, of image {mask.image_id!r}")
        seen.add(key)
        found[mask.image_id].append(mask)
    said = "; ".join(
        f"{len(some)} of {len(content)} predictions {kind} (first: {some[0]})"
        for kind, some in problems.items()
    )
    if problems.keys() == {_REPEATS} and not repeats_count:
        logger.warning("%s: %s", path.name, said)
    elif problems:
        raise InputError(f"{path.name!r} cannot be scored: {said}")
    return found


def _prediction(one: Any, truth: GroundTruth) -> Mask:
    image_id = one["image_id"]
    if image_id not in truth.images:
        raise _UnknownImageError(f"image {image_id!r} is not in the ground truth")
    size = truth.size_hw(image_id)
    score = float(one.get("score", 1.0))
    if not math.isfinite(score):
        raise _ScoreError(f"image {image_id!r}, score {score}")
    counts = encode_segmentation(one["segmentation"], *size)
    return Mask(one.get("annotation_id", NO_ANNOTATION), image_id, as_rle(size, counts), score)


class _UnknownImageError(ValueError):
    """A prediction about no image of the ground truth."""


class _ScoreError(ValueError):
    """A score that is no number."""


def _kind_of(error: Exception) -> str:
    match error:
        case _UnknownImageError():
            return "are about unknown images"
        case _ScoreError():
            return "have no finite score"
        case _:
            return "cannot be read"


def _words(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)


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
    area_a, area_b = _area(a), _area(b)
    if a is None or b is None:
        return 0, area_a + area_b
    pair: Any = [a, b]
    shared = _area(coco_mask.merge(pair, intersect=True))
    return shared, area_a + area_b - shared


def _area(rle: Any) -> int:
    return 0 if rle is None else int(coco_mask.area(rle))
