"""Losses and matching against values worked out by hand."""

import math

import pytest
import torch

from sam3i_agent.training.losses.matching import MatchCosts, match
from sam3i_agent.training.losses.terms import dice, generalised_iou, sigmoid_focal, xyxy_of


def test_focal_by_hand():
    # p = 0.5: cross entropy ln 2, discount (1 - 0.5)^2, alpha 0.25 or 0.75.
    zero = torch.zeros(1)
    assert sigmoid_focal(zero, torch.ones(1)).item() == pytest.approx(0.25 * 0.25 * math.log(2))
    assert sigmoid_focal(zero, zero).item() == pytest.approx(0.75 * 0.25 * math.log(2))
    weighted = sigmoid_focal(zero, torch.ones(1), positive_weight=10)
    assert weighted.item() == pytest.approx(10 * 0.25 * 0.25 * math.log(2))


def test_dice_by_hand():
    masks = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    assert dice((masks - 0.5) * 100, masks).item() == pytest.approx(0, abs=1e-6)
    # half right: overlap 2*1+1, sizes 1+2+1
    half = torch.tensor([[[50.0, -50.0], [-50.0, -50.0]]])
    assert dice(half, masks).item() == pytest.approx(1 - 3 / 4)


def test_giou_by_hand():
    a = torch.tensor([0.0, 0.0, 1.0, 1.0])
    assert generalised_iou(a, a).item() == pytest.approx(1)
    # apart by their width: IoU 0, hull 3, union 2
    assert generalised_iou(a, torch.tensor([2.0, 0, 3, 1])).item() == pytest.approx(-1 / 3)
    assert xyxy_of(torch.tensor([0.5, 0.5, 0.2, 0.4])).tolist() == pytest.approx(
        [0.4, 0.3, 0.6, 0.7]
    )


def test_matching_pairs_each_target_with_its_query_within_its_phrase():
    boxes = torch.tensor([[0.2, 0.2, 0.2, 0.2], [0.8, 0.8, 0.2, 0.2], [0.5, 0.5, 0.1, 0.1]])
    targets = boxes[[1, 0, 2]]
    pairs = match(
        torch.zeros(3, 3),
        boxes.expand(3, 3, 4),
        torch.zeros(3, 3, 4, 4),
        torch.tensor([2, 0, 1]),  # two targets, none, one
        targets,
        torch.zeros(3, 4, 4),
        MatchCosts(),
    )
    assert pairs.phrases.tolist() == [0, 0, 2]
    assert pairs.queries.tolist() == [1, 0, 2]
    assert pairs.targets.tolist() == [0, 1, 2]


def test_matching_nothing():
    empty = match(
        torch.zeros(1, 3),
        torch.rand(1, 3, 4),
        torch.zeros(1, 3, 4, 4),
        torch.tensor([0]),
        torch.zeros(0, 4),
        torch.zeros(0, 4, 4),
        MatchCosts(),
    )
    assert empty.queries.tolist() == []
