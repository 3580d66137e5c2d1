"""The detection and segmentation losses of a batch, over all decoder layers."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from sam3i_agent.training.batches import TrainingBatch
from sam3i_agent.training.config import LossWeights
from sam3i_agent.training.forward import DeepPredictions
from sam3i_agent.training.losses.matching import MatchCosts, match, match_one_to_many
from sam3i_agent.training.losses.terms import dice, generalised_iou, sigmoid_focal, xyxy_of

OFFICIAL_POSITIVE_WEIGHT = 10.0
"""Of the presence focal loss (SAM 3's recipe)."""


def detection_losses(
    predictions: DeepPredictions, batch: TrainingBatch, costs: MatchCosts, weights: LossWeights
) -> dict[str, Tensor]:
    """Return the unweighted losses that `weights` does not switch off.

    Each is a scalar averaged over decoder layers; sums over instances are divided by the batch's
    number of instances, pixel losses averaged over a mask's pixels.
    """
    layers, texts, _ = predictions.logits.shape
    # A layer at a time, for a pair of query and target takes a mask; all else goes at once.
    found = [
        match(*layer, batch.target_counts, batch.boxes_cxcywh, batch.masks, costs)
        for layer in zip(
            predictions.logits, predictions.boxes_cxcywh, predictions.mask_logits, strict=True
        )
    ]
    pairs = (
        torch.cat([one.phrases + layer * texts for layer, one in enumerate(found)]),
        torch.cat([one.queries for one in found]),
    )
    logits, boxes = predictions.logits.flatten(0, 1), predictions.boxes_cxcywh.flatten(0, 1)
    presence_logits = predictions.presence_logits.flatten()
    asked_for = batch.target_counts > 0  # by text
    present = asked_for.repeat(layers)
    target_boxes = batch.boxes_cxcywh.repeat(layers, 1)
    target_masks = batch.masks.repeat(layers, 1, 1)
    instances = max(1, len(target_masks))
    losses: dict[str, Tensor] = {}

    def add(name: str, value: Tensor) -> None:
        if getattr(weights, name):
            losses[name] = value

    wanted = torch.zeros_like(logits)
    wanted[pairs] = 1
    # The presence token says whether; queries only learn which, where there is something.
    focal = sigmoid_focal(logits, wanted, positive_weight=weights.class_positive_weight)
    add("class_focal", (focal * present[:, None]).sum() / instances)
    matched = boxes[pairs]
    overlap = generalised_iou(xyxy_of(matched), xyxy_of(target_boxes))
    add("box_l1", (matched - target_boxes).abs().sum() / instances)
    add("box_giou", (1 - overlap).sum() / instances)
    masks = predictions.mask_logits.flatten(0, 1)[pairs]
    pixelwise = bce(masks, target_masks, reduction="none").mean((1, 2))
    add("mask_bce", pixelwise.sum() / instances)
    if weights.mask_focal:
        add("mask_focal", sigmoid_focal(masks, target_masks).mean((1, 2)).sum() / instances)
    add("mask_dice", dice(masks, target_masks).sum() / instances)
    there = present.to(presence_logits.dtype)
    add("presence", bce(presence_logits, there))
    if weights.presence_focal:
        focal = sigmoid_focal(presence_logits, there, positive_weight=OFFICIAL_POSITIVE_WEIGHT)
        add("presence_focal", focal.mean())
    semantic, union = predictions.semantic_logits, union_masks(batch)
    add("semantic_bce", bce(semantic, union))
    if weights.semantic_focal:
        add("semantic_focal", sigmoid_focal(semantic, union).mean())
    add("semantic_dice", (dice(semantic, union) * asked_for).sum() / asked_for.sum().clamp(min=1))
    if predictions.one_to_many is not None:
        extra = _one_to_many_losses(predictions.one_to_many, batch, weights)
        for name in losses.keys() & extra.keys():
            losses[name] = losses[name] + weights.one_to_many * extra[name]
    return losses


def _one_to_many_losses(
    predictions: DeepPredictions, batch: TrainingBatch, weights: LossWeights
) -> dict[str, Tensor]:
    """Return the losses of the branch in which several queries may find one target.

    They are averaged over its pairs, and of the last decoder layer, whose boxes are best to match.
    """
    logits, boxes = predictions.logits[-1], predictions.boxes_cxcywh[-1]
    pairs = match_one_to_many(logits, boxes, batch.target_counts, batch.boxes_cxcywh)
    count = max(1, len(pairs.queries))
    wanted = torch.zeros_like(logits)
    wanted[pairs.phrases, pairs.queries] = 1
    focal = sigmoid_focal(logits, wanted, positive_weight=weights.class_positive_weight)
    matched, targets = boxes[pairs.phrases, pairs.queries], batch.boxes_cxcywh[pairs.targets]
    masks = predictions.mask_logits[-1][pairs.phrases, pairs.queries]
    true_masks = batch.masks[pairs.targets]
    overlap = generalised_iou(xyxy_of(matched), xyxy_of(targets))
    return {
        "class_focal": (focal * (batch.target_counts > 0)[:, None]).sum() / count,
        "box_l1": (matched - targets).abs().sum() / count,
        "box_giou": (1 - overlap).sum() / count,
        "mask_bce": bce(masks, true_masks, reduction="none").mean((1, 2)).sum() / count,
        "mask_dice": dice(masks, true_masks).sum() / count,
    }


def union_masks(batch: TrainingBatch) -> Tensor:
    """Return (P, M, M) in 0..1: what all instances of each sample cover together."""
    counts = batch.target_counts
    sample_of_target = torch.repeat_interleave(
        torch.arange(len(counts), device=counts.device), counts
    )
    empty = batch.masks.new_zeros(len(counts), *batch.masks.shape[1:])
    return empty.index_add(0, sample_of_target, batch.masks).clamp(max=1)
