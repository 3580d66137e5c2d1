"""Detection and mask losses of the SAM 3 recipe, each a function of tensors.

Shapes: T matched pairs or targets, Q queries, M the side of the mask grid.
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def sigmoid_focal(
    logits: Tensor,
    targets: Tensor,
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
    positive_weight: float = 1.0,
) -> Tensor:
    """Return the elementwise focal loss (Lin et al. 2017, eq. 5).

    Args:
        logits: any shape.
        targets: same shape, 0..1.
        alpha: weight of the positive class, 0..1, the negative one having 1 - alpha.
        gamma: how much easy examples are discounted, 0 or more.
        positive_weight: further factor on positives. SAM 3 takes 10: few queries are matched, and
            a score must pass 0.5 to count.
    """
    probability = logits.sigmoid()
    cross_entropy = binary_cross_entropy_with_logits(logits, targets, reduction="none")
    right = probability * targets + (1 - probability) * (1 - targets)
    weight = positive_weight * alpha * targets + (1 - alpha) * (1 - targets)
    return weight * cross_entropy * (1 - right) ** gamma


def dice(logits: Tensor, targets: Tensor) -> Tensor:
    """Return 1 - soft Dice for each mask: (T, M, M) logits and 0..1 targets to (T,)."""
    probability = logits.sigmoid().flatten(1)
    targets = targets.flatten(1)
    overlap = 2 * (probability * targets).sum(1)
    return 1 - (overlap + 1) / (probability.sum(1) + targets.sum(1) + 1)


def xyxy_of(boxes_cxcywh: Tensor) -> Tensor:
    """Convert (..., 4) centre-size boxes to corners."""
    centre, size = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:]
    return torch.cat([centre - size / 2, centre + size / 2], dim=-1)


def generalised_iou(a_xyxy: Tensor, b_xyxy: Tensor) -> Tensor:
    """Return GIoU (Rezatofighi et al. 2019) of broadcastable (..., 4) boxes, in -1..1."""
    top_left = torch.maximum(a_xyxy[..., :2], b_xyxy[..., :2])
    bottom_right = torch.minimum(a_xyxy[..., 2:], b_xyxy[..., 2:])
    overlap = (bottom_right - top_left).clamp(min=0).prod(-1)
    area_a = (a_xyxy[..., 2:] - a_xyxy[..., :2]).clamp(min=0).prod(-1)
    area_b = (b_xyxy[..., 2:] - b_xyxy[..., :2]).clamp(min=0).prod(-1)
    union = area_a + area_b - overlap
    hull_min = torch.minimum(a_xyxy[..., :2], b_xyxy[..., :2])
    hull_max = torch.maximum(a_xyxy[..., 2:], b_xyxy[..., 2:])
    hull = (hull_max - hull_min).clamp(min=0).prod(-1).clamp(min=1e-9)
    return overlap / union.clamp(min=1e-9) - (hull - union) / hull


def box_iou(a_xyxy: Tensor, b_xyxy: Tensor) -> Tensor:
    """Return the IoU of broadcastable (..., 4) boxes, in 0..1."""
    top_left = torch.maximum(a_xyxy[..., :2], b_xyxy[..., :2])
    bottom_right = torch.minimum(a_xyxy[..., 2:], b_xyxy[..., 2:])
    overlap = (bottom_right - top_left).clamp(min=0).prod(-1)
    area_a = (a_xyxy[..., 2:] - a_xyxy[..., :2]).clamp(min=0).prod(-1)
    area_b = (b_xyxy[..., 2:] - b_xyxy[..., :2]).clamp(min=0).prod(-1)
    return overlap / (area_a + area_b - overlap).clamp(min=1e-9)
