"""Losses and matching against values worked out by hand."""

import math
from dataclasses import replace

import pytest
import torch

from sam3i_agent.training.batches import TrainingBatch
from sam3i_agent.training.config import LossWeights
from sam3i_agent.training.forward import DeepPredictions
from sam3i_agent.training.losses.detection import detection_losses
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


@pytest.fixture
def two_targets_found_twice():
    """A phrase of two targets, each found by two of four queries; the other phrase has none."""
    targets = torch.tensor([[0.25, 0.25, 0.3, 0.3], [0.75, 0.75, 0.3, 0.3]])
    masks = torch.zeros(2, 4, 4)
    masks[0, :2, :2] = masks[1, 2:, 2:] = 1
    found = [0, 0, 1, 1]
    says_all = DeepPredictions(
        logits=torch.full((1, 2, 4), 4.0),
        boxes_cxcywh=targets[found].expand(1, 2, 4, 4),
        mask_logits=((masks[found] - 0.5) * 100).expand(1, 2, 4, 4, 4),
        presence_logits=torch.zeros(1, 2),
        semantic_logits=torch.zeros(2, 4, 4),
        text_features=torch.zeros(2, 1, 1),
    )
    none = torch.zeros(0)
    batch = TrainingBatch(
        pixel_values=none, object_labels=None, object_offsets=None, texts={}, concept_groups=none,
        image_of_sample=none, target_counts=torch.tensor([2, 0]), boxes_cxcywh=targets, masks=masks,
        example_boxes=none, example_labels=none,
    )  # fmt: skip
    return says_all, batch


def test_the_one_to_many_branch_lets_several_queries_find_one_target(two_targets_found_twice):
    says_all, batch = two_targets_found_twice
    weights = LossWeights(one_to_many=2.0)
    alone = detection_losses(says_all, batch, MatchCosts(), weights)
    # One to one, two of the four sure queries are false alarms; one to many, none is.
    branch = detection_losses(replace(says_all, one_to_many=says_all), batch, MatchCosts(), weights)
    assert alone["class_focal"] > 1
    assert float(branch["class_focal"] - alone["class_focal"]) < 0.01
    assert float(branch["box_l1"]) == pytest.approx(float(alone["box_l1"]), abs=1e-6)
    moved = replace(says_all, boxes_cxcywh=says_all.boxes_cxcywh + 0.01)
    off = detection_losses(replace(says_all, one_to_many=moved), batch, MatchCosts(), weights)
    # A hundredth on each of four numbers, averaged over the pairs, by a factor of 2.
    assert float(off["box_l1"] - alone["box_l1"]) == pytest.approx(0.08, abs=1e-5)


def test_a_branch_without_pairs_adds_nothing_but_false_alarms(two_targets_found_twice):
    says_all, batch = two_targets_found_twice
    far = replace(says_all, boxes_cxcywh=torch.full((1, 2, 4, 4), 0.01))
    losses = detection_losses(
        replace(says_all, one_to_many=far), batch, MatchCosts(), LossWeights(one_to_many=2.0)
    )
    assert all(torch.isfinite(value) for value in losses.values())
    assert float(losses["box_l1"]) == pytest.approx(0, abs=1e-6)
