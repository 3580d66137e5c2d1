"""Masks at the edges: COCO compressed run-length encoding."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask


def encode_mask(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return `{"size": [H, W], "counts": str}` of an (H, W) mask."""
    packed: Any = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in packed["size"]], "counts": packed["counts"].decode()}


def decode_mask(size_hw: tuple[int, int], counts: str) -> NDArray[np.bool_]:
    """Return the (H, W) mask of a compressed encoding."""
    return coco_mask.decode({"size": list(size_hw), "counts": counts.encode()}).astype(bool)


def mask_ious(predictions: NDArray[np.bool_], truths: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the (P, T) mask IoUs of (P, H, W) predictions and (T, H, W) truths."""
    if not len(predictions) or not len(truths):
        return np.zeros((len(predictions), len(truths)))
    # pycocotools' stubs know the encoding of one mask only, not that of a stack.
    found, wanted = (_encode_stack(masks) for masks in (predictions, truths))
    return np.asarray(coco_mask.iou(found, wanted, [0] * len(truths)))


def _encode_stack(masks: NDArray[np.bool_]) -> Any:
    return coco_mask.encode(np.asfortranarray(masks.transpose(1, 2, 0), dtype=np.uint8))
