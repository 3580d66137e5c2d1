"""From the model's output to instances, in the official order.

Score = sigmoid(logit) * sigmoid(presence), kept above 0.5; mask *logits* are resized to the photo
and only then thresholded (the transformers post-processor applies the sigmoid first, which flips
pixels at edges, and keeps scores above 0.3). No non-maximum suppression.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from transformers.models.sam3.modeling_sam3 import Sam3ImageSegmentationOutput

from sam3i_agent.core.instances import Instances
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.prompt import SCORE_THRESHOLD
from sam3i_agent.core.rle import counts_of_changes
from sam3i_agent.core.stopping import check_stop

_LOGITS_AT_ONCE = 1 << 26
"""At the photo's size; 256 MiB in fp32."""


def to_instances(
    output: Sam3ImageSegmentationOutput,
    size_hw: tuple[int, int],
    min_scores: Sequence[float] | None = None,
) -> list[Instances]:
    """Return one `Instances` per row of a model output.

    Args:
        output: of N rows, all about photos of the same size.
        size_hw: the upright photo's height and width in pixels.
        min_scores: that scores must be above, 0..1, for each row; None takes 0.5 for all.
    """
    if output.presence_logits is None or output.pred_logits is None:
        raise ValueError("the output has no class or presence logits")
    presence = output.presence_logits.float().sigmoid()  # (N, 1)
    scores = output.pred_logits.float().sigmoid() * presence  # (N, Q)
    floors = [SCORE_THRESHOLD] * len(scores) if min_scores is None else min_scores
    rows: list[Instances] = []
    for row, floor in enumerate(floors):
        chosen = torch.nonzero(scores[row] > floor).flatten()
        chosen = chosen[scores[row, chosen].argsort(descending=True, stable=True)]
        rows.append(
            Instances(
                masks=masks_at(output.pred_masks[row, chosen], size_hw),
                boxes_xyxy=_boxes_at(output.pred_boxes[row, chosen], size_hw),
                scores=scores[row, chosen].cpu().numpy(),
                presence=float(presence[row]),
            )
        )
    return rows


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
