"""Masks at the edges: COCO compressed run-length encoding."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

_CODE_BITS, _MORE, _SIGN = 5, 32, 16
"""Of a character of compressed counts: bits of the number, mark that more follow, sign."""
Rle = dict[str, Any]
"""`{"size": [H, W], "counts": bytes}`, what pycocotools computes with."""


def encode_mask(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return `{"size": [H, W], "counts": str}` of an (H, W) mask."""
    packed: Any = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in packed["size"]], "counts": packed["counts"].decode()}


def decode_mask(size_hw: tuple[int, int], counts: str) -> NDArray[np.bool_]:
    """Return the (H, W) mask of a compressed encoding."""
    return coco_mask.decode(as_rle(size_hw, counts)).astype(bool)


def as_rle(size_hw: tuple[int, int], counts: str) -> Any:
    """Return an encoding as pycocotools computes with it."""
    return {"size": list(size_hw), "counts": counts.encode()}


def area_of(rle: Rle) -> int:
    """Return the pixels of an encoded mask."""
    packed: Any = rle
    return int(coco_mask.area(packed))


def box_of(rle: Rle) -> list[float]:
    """Return x, y, width and height of an encoded mask's tight box, as COCO has it."""
    packed: Any = rle
    return [float(side) for side in coco_mask.toBbox(packed)]


def iou_matrix(predictions: Sequence[Rle], truths: Sequence[Rle]) -> NDArray[np.float64]:
    """Return the (P, T) mask IoUs."""
    if not predictions or not truths:
        return np.zeros((len(predictions), len(truths)))
    found: Any = list(predictions)
    wanted: Any = list(truths)
    return np.asarray(coco_mask.iou(found, wanted, [0] * len(truths)))


def encode_segmentation(segmentation: Any, height: int, width: int) -> str:
    """Return the compressed counts of a COCO `segmentation`.

    Args:
        segmentation: compressed or plain RLE (`{"size", "counts"}`), or a list of polygons.
        height: of the image, in pixels.
        width: likewise.

    Raises:
        ValueError: it is none of these, or an RLE of another size.
    """
    convert: Any = coco_mask.frPyObjects  # its stubs know neither plain RLE nor lists of polygons
    if isinstance(segmentation, dict):
        if list(segmentation["size"]) != [height, width]:
            raise ValueError(f"a mask of {segmentation['size']} on an image of {[height, width]}")
        if isinstance(segmentation["counts"], str):
            return segmentation["counts"]
        packed: Any = convert(segmentation, height, width)
    elif isinstance(segmentation, list) and segmentation:
        packed = coco_mask.merge(convert(segmentation, height, width))
    else:
        raise ValueError(f"a segmentation is RLE or polygons, not {segmentation!r:.60}")
    return packed["counts"].decode()


def tight_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """Return x0, y0, x1, y1 of an (H, W) mask, right and bottom exclusive; None of an empty one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def counts_of_changes(
    changes: NDArray[np.int64], starts_inside: bool, size_hw: tuple[int, int]
) -> str:
    """Return the compressed counts of a mask that changes before these places."""
    places = np.concatenate([[0] if starts_inside else [], [0], changes, [size_hw[0] * size_hw[1]]])
    runs = {"size": list(size_hw), "counts": np.diff(places).astype(int).tolist()}
    convert: Any = coco_mask.frPyObjects  # its stubs do not know plain runs
    return convert(runs, *size_hw)["counts"].decode()


def runs_of(counts: str) -> NDArray[np.int64]:
    """Return the runs of a mask's pixels, down the columns, from its compressed counts.

    So a mask costs what its outline does, not what its photo has.

    Returns:
        (R, 2): the place of the first pixel of each run, and the place behind its last.
    """
    codes = np.frombuffer(counts.encode(), np.uint8).astype(np.int64) - ord("0")
    ends = np.flatnonzero(codes < _MORE)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    shifts = _CODE_BITS * (np.arange(len(codes)) - np.repeat(starts, lengths))
    values = np.add.reduceat((codes & (_MORE - 1)) << shifts, starts)
    values -= ((codes[ends] & _SIGN) != 0) * (1 << (_CODE_BITS * lengths))
    # From the fourth on, a number is told as its difference to the one before the last.
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    places = np.cumsum(values)
    return places[: len(places) // 2 * 2].reshape(-1, 2)
