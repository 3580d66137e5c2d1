"""The detection losses as SAM3-I publishes them, one-to-many branch included.

After `sam3/train/loss/loss_fns.py` (IABCEMdetr, Boxes, Masks, SemanticSegCriterion),
`sam3/train/loss/sam3_loss.py` (Sam3LossWrapper) and `sam3/train/configs/sam3i/base.yaml` of
github.com/debby-0527/SAM3-I, written anew from what these compute. They differ from
`detection.detection_losses`: the class loss knows how well a query's box fits, decoder layers are
summed and masks belong to the last one alone, semantic losses are those of present targets, and all
of it grows with the square root of the batch.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from sam3i_agent.training.batches import TrainingBatch
from sam3i_agent.training.forward import DeepPredictions
from sam3i_agent.training.losses.detection import union_masks
from sam3i_agent.training.losses.matching import MatchCosts, Matches, match, match_one_to_many
from sam3i_agent.training.losses.terms import box_iou, dice, generalised_iou, sigmoid_focal, xyxy_of

_IOU_ALPHA = 0.25
"""Exponent of the score in the class target; the box's IoU has the rest."""
_LEAST_TARGET = 0.01
_NEGATIVE_GAMMA = 2.0
_POSITIVE_WEIGHT = 10.0
_PADDED_QUERIES = 200
"""The class loss is averaged over at least so many queries."""
_SEMANTIC_ALPHA = 0.6
_PRESENCE_SHARE = 0.5
"""Of the cross entropy: a focal loss with alpha 0.5 and gamma 0."""
_EPSILON = 1e-6


@dataclass(frozen=True)
class _Layer:
    """What one decoder layer says; see `DeepPredictions`."""

    logits: Tensor
    boxes_cxcywh: Tensor
    mask_logits: Tensor


def class_loss(logits: Tensor, fits: Tensor, pairs: Matches, present: Tensor) -> Tensor:
    """Return the IoU-aware cross entropy of the queries' scores, as a scalar.

    A matched query is to score as high as its box is good, an unmatched one 0; the easy among the
    unmatched count little.

    Args:
        logits: (P, Q).
        fits: (K,) IoU of the matched boxes.
        pairs: K matches.
        present: (P,) bool; without a target, presence alone is trained.
    """
    at = pairs.phrases, pairs.queries
    probability = logits.sigmoid()
    matched = torch.zeros_like(logits)
    matched[at] = 1
    wanted = torch.zeros_like(logits)
    blend = probability[at] ** _IOU_ALPHA * fits ** (1 - _IOU_ALPHA)
    wanted[at] = blend.clamp(min=_LEAST_TARGET).detach()
    positive = _POSITIVE_WEIGHT * matched * bce(logits, wanted, reduction="none")
    negative = (
        (1 - matched)
        * probability**_NEGATIVE_GAMMA
        * bce(logits, torch.zeros_like(logits), reduction="none")
    )
    total = ((positive + negative) * present[:, None]).sum()
    return total / (len(logits) * max(_PADDED_QUERIES, logits.shape[1]))


def official_losses(
    predictions: DeepPredictions, batch: TrainingBatch, costs: MatchCosts, one_to_many: float
) -> dict[str, Tensor]:
    """Return the unweighted losses of a batch by name, each a scalar.

    Args:
        predictions: of every decoder layer; with the one-to-many branch where it is asked for.
        batch: what was asked.
        costs: of matching, without a mask cost as published.
        one_to_many: factor on the losses of that branch; 0 leaves it out.
    """
    losses = _branch_losses(predictions, batch, costs, several=False)
    presence = predictions.presence_logits  # (L, P)
    there = (batch.target_counts > 0).to(presence.dtype).expand_as(presence)
    losses["presence"] = _PRESENCE_SHARE * bce(presence, there, reduction="none").mean(1).sum()
    losses |= _semantic_losses(predictions.semantic_logits, batch)
    if one_to_many and predictions.one_to_many is not None:
        extra = _branch_losses(predictions.one_to_many, batch, costs, several=True)
        for name, value in extra.items():
            losses[name] = losses[name] + one_to_many * value
    scale = len(batch.target_counts) ** 0.5
    return {name: scale * value for name, value in losses.items()}


def _branch_losses(
    predictions: DeepPredictions, batch: TrainingBatch, costs: MatchCosts, *, several: bool
) -> dict[str, Tensor]:
    """Return the losses that both branches have, summed over decoder layers."""
    layers = [
        _Layer(*parts)
        for parts in zip(
            predictions.logits, predictions.boxes_cxcywh, predictions.mask_logits, strict=True
        )
    ]
    instances = max(1, len(batch.masks))
    present = batch.target_counts > 0
    sums: dict[str, Tensor] = {}
    for layer in layers:
        is_last = layer is layers[-1]
        pairs = _pairs(layer, batch, costs, several=several and is_last)
        boxes = layer.boxes_cxcywh[pairs.phrases, pairs.queries]
        wanted = batch.boxes_cxcywh[pairs.targets]
        corners, wanted_corners = xyxy_of(boxes), xyxy_of(wanted)
        losses = {
            "class_iou": class_loss(layer.logits, box_iou(corners, wanted_corners), pairs, present),
            "box_l1": (boxes - wanted).abs().sum() / instances,
            "box_giou": (1 - generalised_iou(corners, wanted_corners)).sum() / instances,
        }
        if is_last:
            masks = layer.mask_logits[pairs.phrases, pairs.queries]
            targets = batch.masks[pairs.targets]
            losses["mask_focal"] = sigmoid_focal(masks, targets).mean((1, 2)).sum() / instances
            losses["mask_dice"] = dice(masks, targets).sum() / instances
        for name, value in losses.items():
            sums[name] = sums[name] + value if name in sums else value
    return sums


def _pairs(layer: _Layer, batch: TrainingBatch, costs: MatchCosts, *, several: bool) -> Matches:
    if several:
        return match_one_to_many(
            layer.logits, layer.boxes_cxcywh, batch.target_counts, batch.boxes_cxcywh
        )
    return match(
        layer.logits,
        layer.boxes_cxcywh,
        layer.mask_logits,
        batch.target_counts,
        batch.boxes_cxcywh,
        batch.masks,
        costs,
    )


def _semantic_losses(logits: Tensor, batch: TrainingBatch) -> dict[str, Tensor]:
    union = union_masks(batch)
    there = union.flatten(1).any(1).to(logits.dtype)
    focal = sigmoid_focal(logits, union, alpha=_SEMANTIC_ALPHA).mean((1, 2))
    count = there.sum() + _EPSILON
    return {
        "semantic_focal": (focal * there).sum() / count,
        "semantic_dice": (dice(logits, union) * there).sum() / count,
    }
