"""From what the model keeps to instances, in the official order.

Mask *logits* are resized to the photo and only then thresholded (the transformers post-processor
applies the sigmoid first, which flips pixels at edges). No non-maximum suppression.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sam3i_agent.core.instances import Instances
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.rle import counts_of_changes
from sam3i_agent.core.stopping import check_stop
from sam3i_agent.segmodel.network.answering import RowAnswer

_LOGITS_AT_ONCE = 1 << 26
"""At the photo's size; 256 MiB in fp32."""


def to_instances(row: RowAnswer, size_hw: tuple[int, int]) -> Instances:
    """Return what a row of an answer has found.

    Args:
        row: about a photo.
        size_hw: the upright photo's height and width in pixels.
    """
    return Instances(
        masks=masks_at(row.mask_logits, size_hw),
        boxes_xyxy=_boxes_at(row.boxes, size_hw),
        scores=row.scores.numpy(),
        presence=row.presence,
    )


def masks_at(logits: Tensor, size_hw: tuple[int, int]) -> Masks:
    """Return masks at the photo's size.

    Some are resized, thresholded and encoded at a time, on the device of the logits: those of a
    large photo are 4 bytes a pixel.

    Args:
        logits: (N, h, w), of any size.
        size_hw: the photo's height and width in pixels.
    """
    counts: list[str] = []
    at_once = max(1, _LOGITS_AT_ONCE // (size_hw[0] * size_hw[1]))
    for start in range(0, len(logits), at_once):
        check_stop()
        some = logits[start : start + at_once].float()[None]
        resized = interpolate(some, size_hw, mode="bilinear", align_corners=False)[0]
        counts += encode_on_device(resized > 0)  # sigmoid above 0.5
    return Masks(size_hw, counts)


def encode_on_device(masks: Tensor) -> list[str]:
    """Return COCO's compressed counts of (N, H, W) bool masks; only their runs leave the device."""
    count, height, width = masks.shape
    flat = masks.transpose(1, 2).reshape(count, height * width)  # down the columns
    row, place = torch.nonzero(flat[:, 1:] != flat[:, :-1], as_tuple=True)
    firsts = flat[:, 0].cpu().numpy()
    rows, places = row.cpu().numpy(), place.cpu().numpy() + 1
    bounds = np.searchsorted(rows, np.arange(count + 1))
    return [
        counts_of_changes(places[bounds[i] : bounds[i + 1]], bool(firsts[i]), (height, width))
        for i in range(count)
    ]


def _boxes_at(boxes: Tensor, size_hw: tuple[int, int]) -> np.ndarray:
    height, width = size_hw
    scale = torch.tensor([width, height, width, height], dtype=torch.float32)
    return (boxes.float().cpu() * scale).numpy()
