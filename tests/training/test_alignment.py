"""The alignment losses against values worked out by hand."""

import math

import pytest
import torch

from sam3i_agent.training.losses.alignment import (
    MARGIN,
    TextProjector,
    bernoulli_js,
    concept_margin,
    disagreement_segmentation,
    info_nce,
    semantic_kl,
)

LOG2 = math.log(2)


def _logits_of(*shares):
    return torch.tensor([[list(shares)]]).log()


def test_semantic_kl_by_hand():
    a, b = _logits_of(0.5, 0.5), _logits_of(0.25, 0.75)
    there = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    back = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    assert semantic_kl(a, b).item() == pytest.approx((there + back) / 2)
    assert semantic_kl(a, a + 3).item() == pytest.approx(0, abs=1e-6)  # a softmax ignores shifts


def test_semantic_kl_pulls_each_map_towards_the_other():
    a, b = _logits_of(0.5, 0.5).requires_grad_(), _logits_of(0.25, 0.75).requires_grad_()
    semantic_kl(a, b).backward()
    # d KL(p_fixed || softmax(x)) / dx = softmax(x) - p_fixed, halved
    torch.testing.assert_close(a.grad, torch.tensor([[[0.125, -0.125]]]))
    torch.testing.assert_close(b.grad, torch.tensor([[[-0.125, 0.125]]]))


def test_js_is_zero_in_agreement_and_ln2_in_contradiction():
    assert bernoulli_js(torch.tensor(0.7), torch.tensor(0.7)).item() == pytest.approx(0, abs=1e-7)
    assert bernoulli_js(torch.tensor(50.0), torch.tensor(-50.0)).item() == pytest.approx(LOG2)


def test_disagreement_by_hand():
    # One pixel in two is contested: A is sure it is there, B that it is not.
    a, b = torch.tensor([[[20.0, 20.0]]]), torch.tensor([[[20.0, -20.0]]])
    union = torch.tensor([[[1.0, 1.0]]])
    # contested: JS ln 2, A's BCE 0, B's BCE 20; mean over 2 pixels and 2 branches
    assert disagreement_segmentation(a, b, union).item() == pytest.approx(LOG2 * 20 / 4, rel=1e-4)


def test_disagreement_gives_no_gradient_through_its_weight():
    a = torch.zeros(1, 1, 1, requires_grad=True)
    b, union = torch.full((1, 1, 1), 3.0), torch.ones(1, 1, 1)
    disagreement_segmentation(a, b, union).backward()
    weight = bernoulli_js(torch.zeros(()), torch.tensor(3.0)).item()
    assert a.grad is not None
    assert a.grad.item() == pytest.approx(weight * (0.5 - 1) / 2)


def test_info_nce_by_hand():
    # Two samples of different concepts, each branch pair identical, the pairs at a right angle.
    a = torch.eye(2)
    share = math.exp(10) / (math.exp(10) + 2)  # partner at cosine 1, two others at 0
    loss = info_nce(a, 5 * a, torch.tensor([0, 1]))
    assert loss.item() == pytest.approx(-math.log(share), rel=1e-2)


def test_info_nce_counts_the_same_concept_half():
    a = torch.eye(2)
    near, far = math.exp(10), 1.0
    total = near + 2 * far
    # positives: partner 1, the two features of the other sample 0.5 each; weights sum to 2
    wanted = -(math.log(near / total) + 2 * 0.5 * math.log(far / total)) / 2
    assert info_nce(a, a, torch.tensor([7, 7])).item() == pytest.approx(wanted)


def test_concept_margin_by_hand():
    concepts = torch.eye(2)
    groups = torch.tensor([0, 1])
    # Exactly on the own concept: cos 1 against 0, farther apart than the margin.
    assert concept_margin(concepts, concepts, concepts, groups).item() == 0
    # Halfway between both: falls short by the whole margin.
    middle = torch.ones(2, 2)
    assert concept_margin(middle, middle, concepts, groups).item() == pytest.approx(MARGIN)
    # The mean of the branches counts, not each.
    assert concept_margin(concepts, concepts.flip(0), concepts, groups).item() == pytest.approx(
        MARGIN
    )


def test_concept_margin_without_another_concept_is_nothing():
    ones = torch.ones(2, 3)
    assert concept_margin(ones, ones, ones, torch.tensor([4, 4])).item() == 0


def test_the_projector_pools_over_padding_too():
    projector = TextProjector(4)
    tokens = torch.randn(1, 32, 4)
    padded = torch.cat([tokens[:, :8], torch.zeros(1, 24, 4)], dim=1)
    torch.testing.assert_close(projector(padded), projector.layers(padded.sum(1) / 32))
