"""What tiles find that one pass over a large photo does not, and that they spoil nothing else."""

from collections.abc import Callable
from itertools import count, islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam3i_agent.core.contracts import Frozen
from sam3i_agent.core.masks import Masks, union_iou
from sam3i_agent.core.model_choice import Tiling
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.core.rle import tight_box
from sam3i_agent.data.scenes import Colour, SceneLimits, Shape, generate_scene
from sam3i_agent.evaluation.metrics.concept_f1 import match_ious
from sam3i_agent.segmodel.tiling import SizedSegmenter, TilingSegmenter

SIZE_HW = (3000, 4000)
_OBJECT_PX = (48, 80)
"""Longer side of a small object, at least and at most."""
_ONE = SceneLimits(min_objects=1, max_objects=1, min_diameter=0.3, max_diameter=0.4)
_HIT_IOU = 0.5
_KINDS_AT_ONCE = 16
_ORDINARY_SIDE = 2048
"""Of an ordinary photo, in pixels: large enough that small objects would have it tiled."""
_BACKGROUND = 96

Boxes = list[tuple[int, int, int, int]]


class LargePhotos(Frozen):
    """Of all objects, asked for by their kind (`red circle`)."""

    photos: int
    objects: int
    recall_one_pass: float
    recall_tiles: float
    precision_tiles: float
    encodings_per_photo: float
    ordinary_texts: int
    """About photos of 2,048 px with objects of ordinary size, half of them absent."""
    ordinary_giou_one_pass: float
    ordinary_giou_auto: float


def draw_large_photo(
    seed: int, objects: int, size_hw: tuple[int, int] = SIZE_HW
) -> tuple[NDArray[np.uint8], dict[str, list[tuple[NDArray[np.bool_], int, int]]]]:
    """Draw small objects on a grid's cells, one in each, anywhere in its cell.

    Args:
        seed: the same, the same photo.
        objects: how many.
        size_hw: of the photo, in pixels.

    Returns:
        (H, W, 3) RGB, and per kind (`red circle`) the objects: cut-out mask, left and top.
    """
    rng = np.random.default_rng(seed)
    height, width = size_hw
    shade = rng.integers(-12, 13, (height // 50 + 1, width // 50 + 1, 3)) + _BACKGROUND
    small = Image.fromarray(np.clip(shade, 0, 255).astype(np.uint8))
    pixels = np.array(small.resize((width, height), Image.Resampling.BICUBIC))
    cell = int(np.sqrt(height * width / objects))
    cells = [
        (x, y) for y in range(0, height - cell + 1, cell) for x in range(0, width - cell + 1, cell)
    ]
    rng.shuffle(cells)
    found: dict[str, list[tuple[NDArray[np.bool_], int, int]]] = {}
    scenes = (generate_scene(seed, index, limits=_ONE) for index in count())
    for (left, top), scene in zip(cells[:objects], scenes, strict=False):
        (item,) = scene.objects
        box = tight_box(item.mask)
        if box is None:
            continue
        x0, y0, x1, y1 = box
        factor = int(rng.integers(*_OBJECT_PX)) / max(x1 - x0, y1 - y0)
        size = (max(1, round((x1 - x0) * factor)), max(1, round((y1 - y0) * factor)))
        picture = np.asarray(Image.fromarray(scene.image[y0:y1, x0:x1]).resize(size))
        mask = np.asarray(Image.fromarray(item.mask[y0:y1, x0:x1]).resize(size, 0))
        x = left + int(rng.integers(0, max(1, cell - size[0])))
        y = top + int(rng.integers(0, max(1, cell - size[1])))
        pixels[y : y + size[1], x : x + size[0]][mask] = picture[mask]
        found.setdefault(f"{item.colour} {item.shape}", []).append((mask, x, y))
    return pixels, found


def measure_large_photos(
    segmenter: SizedSegmenter, photos: int, objects: int, ordinary: int, advance: Callable[[], None]
) -> LargePhotos:
    """Ask for every kind that a photo shows, in one pass and in tiles.

    Args:
        segmenter: a loaded model.
        photos: how many of 4,000 x 3,000 pixels.
        objects: in each.
        ordinary: scenes of ordinary objects.
        advance: called after each photo.
    """
    hits = {Tiling.OFF: 0, Tiling.AUTO: 0}
    answered = dict(hits)
    wanted = encodings = 0
    for number in range(photos):
        pixels, kinds = draw_large_photo(9000 + number, objects)
        photo = Photo(pixels, sha256=f"large photo {number}")
        wanted += sum(map(len, kinds.values()))
        for tiling in hits:
            image = TilingSegmenter(segmenter, tiling).encode(photo)
            texts = iter(kinds)
            while some := list(islice(texts, _KINDS_AT_ONCE)):
                answers = image.segment([Prompt(one) for one in some])
                for text, answer in zip(some, answers, strict=True):
                    ious = _ious(np.asarray(answer.masks), kinds[text])
                    hits[tiling] += int((match_ious(ious) >= _HIT_IOU).sum()) if ious.size else 0
                    answered[tiling] += len(answer)
            encodings += image.encodings if tiling is Tiling.AUTO else 0
        advance()
    one_pass, auto = _ordinary_ious(segmenter, ordinary, advance)
    return LargePhotos(
        photos=photos,
        objects=wanted,
        recall_one_pass=round(hits[Tiling.OFF] / wanted, 4),
        recall_tiles=round(hits[Tiling.AUTO] / wanted, 4),
        precision_tiles=round(hits[Tiling.AUTO] / max(1, answered[Tiling.AUTO]), 4),
        encodings_per_photo=round(encodings / photos, 1),
        ordinary_texts=len(auto),
        ordinary_giou_one_pass=round(float(np.mean(one_pass)), 4),
        ordinary_giou_auto=round(float(np.mean(auto)), 4),
    )


def _ordinary_ious(
    segmenter: SizedSegmenter, scenes: int, advance: Callable[[], None]
) -> tuple[list[float], list[float]]:
    """Return the IoU of each text in one pass, and by the automatic choice."""
    rng = np.random.default_rng(3)
    ious: dict[Tiling, list[float]] = {Tiling.OFF: [], Tiling.AUTO: []}
    for index in range(scenes):
        scene = generate_scene(9100, index)
        side = (_ORDINARY_SIDE, _ORDINARY_SIDE)
        pixels = np.array(Image.fromarray(scene.image).resize(side))
        photo = Photo(pixels, sha256=f"ordinary photo {index}")
        present = sorted({f"{one.colour} {one.shape}" for one in scene.objects})
        others = [f"{c} {s}" for c in Colour for s in Shape if f"{c} {s}" not in present]
        texts = [*present, *rng.choice(others, len(present), replace=False).tolist()]
        prompts = [Prompt(text) for text in texts]
        for tiling, values in ious.items():
            answers = TilingSegmenter(segmenter, tiling).encode(photo).segment(prompts)
            for text, answer in zip(texts, answers, strict=True):
                wanted = [one.mask for one in scene.objects if f"{one.colour} {one.shape}" == text]
                truth = np.array(wanted, bool).reshape(-1, *scene.image.shape[:2]).any(axis=0)
                large = np.asarray(Image.fromarray(truth).resize(side, 0))
                values.append(union_iou(answer.masks, Masks.encode([large], side)))
        advance()
    return ious[Tiling.OFF], ious[Tiling.AUTO]


def _ious(
    masks: NDArray[np.bool_], truths: list[tuple[NDArray[np.bool_], int, int]]
) -> NDArray[np.float64]:
    """Return the (masks, truths) IoUs, each computed where the truth is."""
    areas = masks.sum(axis=(1, 2))
    columns: list[NDArray[np.float64]] = []
    for truth, x, y in truths:
        height, width = truth.shape
        shared = (masks[:, y : y + height, x : x + width] & truth).sum(axis=(1, 2))
        columns.append(shared / (areas + truth.sum() - shared))
    return np.stack(columns, axis=1)
