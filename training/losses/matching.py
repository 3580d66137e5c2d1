"""Hungarian matching of queries to target instances (DETR; SAM 3's costs plus a mask cost)."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from sam3i_agent.training.losses.terms import box_iou, generalised_iou, sigmoid_focal, xyxy_of


@dataclass(frozen=True)
class MatchCosts:
    """Weights of the parts of a pair's cost."""

    class_focal: float = 2.0
    box_l1: float = 5.0
    box_giou: float = 2.0
    mask_dice: float = 4.0


@dataclass(frozen=True)
class Matches:
    """K matched pairs."""

    phrases: Tensor
    """(K,) int64: which phrase."""
    queries: Tensor
    """(K,) int64: which of its queries."""
    targets: Tensor
    """(K,) int64: which row of the batch's targets."""


@torch.no_grad()
def match(
    logits: Tensor,
    boxes_cxcywh: Tensor,
    mask_logits: Tensor,
    target_counts: Tensor,
    target_boxes_cxcywh: Tensor,
    target_masks: Tensor,
    costs: MatchCosts,
) -> Matches:
    """Pair each target with the query that fits it best, one to one within a phrase.

    The cost of all (query, target) pairs of a phrase is computed in one batch; only the small
    assignment problems are solved one by one.

    Args:
        logits: (P, Q) class logits.
        boxes_cxcywh: (P, Q, 4) in 0..1.
        mask_logits: (P, Q, M, M).
        target_counts: (P,) int64, summing to T, each at most Q.
        target_boxes_cxcywh: (T, 4) in 0..1.
        target_masks: (T, M, M) in 0..1.
        costs: weights.
    """
    device = logits.device
    phrase_of_target = torch.repeat_interleave(
        torch.arange(len(target_counts), device=device), target_counts
    )
    class_logits = logits[phrase_of_target]  # (T, Q)
    ones = torch.ones_like(class_logits)
    cost = costs.class_focal * (
        sigmoid_focal(class_logits, ones) - sigmoid_focal(class_logits, torch.zeros_like(ones))
    )
    boxes = boxes_cxcywh[phrase_of_target]  # (T, Q, 4)
    cost += costs.box_l1 * (boxes - target_boxes_cxcywh[:, None]).abs().sum(-1)
    cost -= costs.box_giou * generalised_iou(xyxy_of(boxes), xyxy_of(target_boxes_cxcywh)[:, None])
    if costs.mask_dice:
        probability = mask_logits[phrase_of_target].sigmoid().flatten(2)  # (T, Q, M*M)
        targets = target_masks.flatten(1)  # (T, M*M)
        overlap = 2 * torch.einsum("tqm,tm->tq", probability, targets)
        total = probability.sum(-1) + targets.sum(-1)[:, None]
        cost += costs.mask_dice * (1 - (overlap + 1) / (total + 1))
    cost_array = cost.float().cpu().numpy()
    queries: list[np.ndarray] = []
    start = 0
    for count in target_counts.tolist():
        rows, columns = linear_sum_assignment(cost_array[start : start + count])
        queries.append(columns[np.argsort(rows)])
        start += count
    found = np.concatenate(queries) if queries else np.zeros(0, dtype=np.int64)
    return Matches(
        phrases=phrase_of_target,
        queries=torch.as_tensor(found, dtype=torch.int64, device=device),
        targets=torch.arange(len(target_masks), device=device),
    )


ONE_TO_MANY_SCORE = 0.3
"""Share of the score in how well a query fits a target; the box's IoU has the rest."""
ONE_TO_MANY_LEAST = 0.4
ONE_TO_MANY_BEST = 4
"""SAM3-I's settings; the matching is that of DAC-DETR."""


@torch.no_grad()
def match_one_to_many(
    logits: Tensor, boxes_cxcywh: Tensor, target_counts: Tensor, target_boxes_cxcywh: Tensor
) -> Matches:
    """Pair each target with all queries that fit it well: of its best ones, those that are good.

    After `BinaryOneToManyMatcher` in `sam3/train/matcher.py` of SAM3-I.

    Args:
        logits: (P, Q) class logits.
        boxes_cxcywh: (P, Q, 4) in 0..1.
        target_counts: (P,) int64, summing to T.
        target_boxes_cxcywh: (T, 4) in 0..1.
    """
    phrase_of_target = torch.repeat_interleave(
        torch.arange(len(target_counts), device=logits.device), target_counts
    )
    score = logits[phrase_of_target].sigmoid()  # (T, Q)
    boxes = xyxy_of(boxes_cxcywh[phrase_of_target])
    iou = box_iou(boxes, xyxy_of(target_boxes_cxcywh)[:, None])
    fit = ONE_TO_MANY_SCORE * score + (1 - ONE_TO_MANY_SCORE) * iou
    share = max(0.0, 1 - ONE_TO_MANY_BEST / logits.shape[1])
    bar = fit.quantile(share, dim=1, keepdim=True) if len(fit) else fit
    targets, queries = torch.nonzero((fit > bar) & (fit > ONE_TO_MANY_LEAST), as_tuple=True)
    return Matches(phrases=phrase_of_target[targets], queries=queries, targets=targets)
