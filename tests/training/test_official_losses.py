"""The published losses: values and pairs of the official code on fixed tensors, gradients, mixing.

The numbers come from running `loss_fns.py`, `matcher.py` and the weights of `base.yaml` of
github.com/debby-0527/SAM3-I on these tensors, on a CPU.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sam3i_agent.training import config as training_config
from sam3i_agent.training.batches import TrainingBatch
from sam3i_agent.training.config import read_config
from sam3i_agent.training.forward import DeepPredictions
from sam3i_agent.training.loop import dry_run, learning_rate_at, weighted_sum
from sam3i_agent.training.losses.matching import MatchCosts, Matches, match, match_one_to_many
from sam3i_agent.training.losses.official import class_loss, official_losses
from sam3i_agent.training.pictures import MixedSource

CONFIGS = Path(training_config.__file__).parent / "configs"
OFFICIAL = {
    "box_l1": 1.6873558619878706,
    "box_giou": 5.2470282436992175,
    "class_iou": 0.6540033104694855,
    "presence": 2.154914154830859,
    "mask_focal": 3.3888917072650546,
    "mask_dice": 4.424628030509735,
    "semantic_focal": 0.1318188598863514,
    "semantic_dice": 0.4493432416488552,
}
OFFICIAL_TOTAL = 813.25048828125
COSTS = MatchCosts(mask_dice=0)
LAYERS, PHRASES, QUERIES, SIDE = 2, 3, 8, 6


def _waves(*shape, start, scale=1.0):
    count = torch.Size(shape).numel()
    steps = torch.arange(count, dtype=torch.float32)
    return torch.sin(steps * 1.7 + start).reshape(shape) * scale


def _fixed():
    """Three phrases with two targets, none and one, and queries near them."""
    targets = torch.tensor([[0.3, 0.3, 0.2, 0.2], [0.7, 0.6, 0.3, 0.2], [0.5, 0.5, 0.4, 0.4]])
    near = targets[[0, 1, 1, 0, 2, 2, 2, 2]].expand(LAYERS, PHRASES, QUERIES, 4)

    def branch(start, **more):
        off = _waves(LAYERS, PHRASES, QUERIES, 4, start=start + 1, scale=0.04)
        masks = _waves(LAYERS, PHRASES, QUERIES, SIDE, SIDE, start=start + 2, scale=3)
        return DeepPredictions(
            logits=_waves(LAYERS, PHRASES, QUERIES, start=start, scale=2),
            boxes_cxcywh=(near + off).clamp(0.01, 0.99),
            mask_logits=masks,
            presence_logits=_waves(LAYERS, PHRASES, start=0.4, scale=2),
            semantic_logits=_waves(PHRASES, SIDE, SIDE, start=0.5, scale=2),
            text_features=torch.zeros(PHRASES, 1, 1),
            **more,
        )

    none = torch.zeros(0)
    batch = TrainingBatch(
        pixel_values=none, object_labels=None, object_offsets=None, texts={},
        concept_groups=none, image_of_sample=none, target_counts=torch.tensor([2, 0, 1]),
        boxes_cxcywh=targets, masks=(_waves(3, SIDE, SIDE, start=0.9) > 0).float(),
        example_boxes=none, example_labels=none,
    )  # fmt: skip
    return branch(0.1, one_to_many=branch(0.7)), batch


def test_values_and_their_weighted_sum_equal_the_official_code():
    predictions, batch = _fixed()
    losses = official_losses(predictions, batch, COSTS, one_to_many=2)
    assert {name: float(value) for name, value in losses.items()} == pytest.approx(
        OFFICIAL, rel=1e-5
    )
    weights = read_config(CONFIGS / "official_simple.yaml").losses
    assert float(weighted_sum(losses, weights)) == pytest.approx(OFFICIAL_TOTAL, rel=1e-5)


def test_matches_equal_the_official_code():
    predictions, batch = _fixed()
    for one in (predictions, predictions.one_to_many):
        boxes, counts = one.boxes_cxcywh[-1], batch.target_counts
        pairs = match(
            one.logits[-1], boxes, one.mask_logits[-1], counts, batch.boxes_cxcywh, batch.masks,
            COSTS,
        )  # fmt: skip
        assert pairs.phrases.tolist() == [0, 0, 2] and pairs.queries.tolist() == [3, 2, 5]
        several = match_one_to_many(one.logits[-1], boxes, counts, batch.boxes_cxcywh)
        found = sorted(zip(several.phrases.tolist(), several.queries.tolist(),
                           several.targets.tolist(), strict=True))  # fmt: skip
        assert found == [(0, 0, 0), (0, 1, 1), (0, 2, 1), (0, 3, 0),
                         (2, 4, 2), (2, 5, 2), (2, 6, 2), (2, 7, 2)]  # fmt: skip


def test_without_the_branch_or_any_target_losses_stay_finite():
    predictions, batch = _fixed()
    alone = official_losses(replace(predictions, one_to_many=None), batch, COSTS, one_to_many=2)
    both = official_losses(predictions, batch, COSTS, one_to_many=2)
    assert alone["class_iou"] < both["class_iou"] and alone["presence"] == both["presence"]
    empty = replace(
        batch, target_counts=torch.zeros(3, dtype=torch.int64),
        boxes_cxcywh=torch.zeros(0, 4), masks=torch.zeros(0, SIDE, SIDE),
    )  # fmt: skip
    losses = official_losses(predictions, empty, COSTS, one_to_many=2)
    assert all(float(value) == 0 for name, value in losses.items() if name != "presence")
    assert float(losses["presence"]) > 0


def test_the_class_losss_gradient_is_that_of_its_values():
    pairs = Matches(torch.tensor([0, 1]), torch.tensor([1, 0]), torch.tensor([0, 1]))
    fits, present = torch.tensor([0.8, 0.001]).double(), torch.tensor([True, True])
    logits = torch.tensor([[0.3, -1.0, 2.0], [0.1, 1.5, -0.4]]).double().requires_grad_()
    loss = class_loss(logits, fits, pairs, present)
    (gradient,) = torch.autograd.grad(loss, logits)
    # A target is no path for the gradient: by hand, d bce(x, t) = p - t with t held.
    p = logits.detach().sigmoid()
    wanted = (p[0, 1] ** 0.25 * 0.8**0.75).clamp(min=0.01)
    assert gradient[0, 1] == pytest.approx(float(10 * (p[0, 1] - wanted) / (2 * 200)))
    unmatched = logits[0, 2].detach().requires_grad_()
    by_hand = unmatched.sigmoid() ** 2 * torch.nn.functional.softplus(unmatched)
    (slope,) = torch.autograd.grad(by_hand, unmatched)
    assert gradient[0, 2] == pytest.approx(float(slope / (2 * 200)))
    absent = class_loss(logits, fits, pairs, torch.tensor([True, False]))
    (gradient,) = torch.autograd.grad(absent, logits)
    assert (gradient[1] == 0).all()


def test_every_other_losss_gradient_is_that_of_its_values():
    """By finite differences; the class loss holds its target still, so it is checked by hand."""
    predictions, batch = _fixed()
    batch = replace(batch, boxes_cxcywh=batch.boxes_cxcywh.double(), masks=batch.masks.double())
    names = ("boxes_cxcywh", "mask_logits", "presence_logits", "semantic_logits")
    inputs = [getattr(predictions, name).double().requires_grad_() for name in names]
    still = {"logits": predictions.logits.double()}

    def losses(*tensors):
        given = dict(zip(names, tensors, strict=True))
        branch = replace(predictions.one_to_many, **still, boxes_cxcywh=given["boxes_cxcywh"])
        moved = replace(predictions, **still, **given, one_to_many=branch)
        found = official_losses(moved, batch, COSTS, one_to_many=2)
        return tuple(value for name, value in found.items() if name != "class_iou")

    assert len(losses(*inputs)) == len(OFFICIAL) - 1
    assert torch.autograd.gradcheck(losses, inputs, fast_mode=True)


@pytest.mark.parametrize("stage", ["simple", "complex", "align"])
def test_the_official_configurations_are_read_and_differ_where_published(stage):
    config = read_config(CONFIGS / f"official_{stage}.yaml")
    assert config.recipe == "official" and config.losses.one_to_many == 2
    assert config.match_costs.mask_dice == 0 and config.gradient_clip == 0.1
    assert config.learning_rate == pytest.approx(8e-4 * (3.2 if stage == "align" else 12.8))
    assert len(config.data) == 10


def test_the_schedule_falls_with_the_root_of_the_steps_and_ends_at_nothing():
    config = read_config(CONFIGS / "official_simple.yaml", ["steps=100"])
    rates = [learning_rate_at(step, config) / config.learning_rate for step in range(100)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    assert rates[26] == pytest.approx(1 / 3)  # step 27 of timescale 3
    assert rates[99] == pytest.approx((3 / 100) ** 0.5 / 3)  # a third of the way down is left


class _Numbers:
    def __init__(self, name):
        self.name = name

    def picture(self, number, mask_size):
        return self.name, number


def test_a_mixture_keeps_its_shares_and_reads_each_part_on_from_where_it_was():
    mixed = MixedSource([_Numbers("a"), _Numbers("b"), _Numbers("c")], [3, 1, 1e-9], seed=1)
    seen = [mixed.picture(number, 1) for number in range(2002)]
    for name in "abc":
        numbers = [number for one, number in seen if one == name]
        assert numbers == list(range(len(numbers)))
    assert sum(name == "a" for name, _ in seen) == pytest.approx(1500, abs=5)
    assert any(name == "c" for name, _ in seen)
    again = MixedSource([_Numbers("a"), _Numbers("b"), _Numbers("c")], [3, 1, 1e-9], seed=1)
    assert [again.picture(number, 1) for number in (7, 1500)] == [seen[7], seen[1500]]


def test_a_step_with_the_official_losses_runs_with_the_branch_and_adds_to_it():
    changes = ["start_from=tiny", "data=null", "steps=2", "images=1", "samples_per_image=2",
               "bf16=false", "workers=0", "device=cpu"]  # fmt: skip
    path = CONFIGS / "official_simple.yaml"
    both = dry_run(read_config(path, changes)).losses
    alone = dry_run(read_config(path, [*changes, "losses.one_to_many=0"])).losses
    assert both.keys() == OFFICIAL.keys()
    for name in ("class_iou", "box_l1", "box_giou", "mask_focal", "mask_dice"):
        assert both[name] > alone[name]
    for name in ("presence", "semantic_focal", "semantic_dice"):
        assert both[name] == pytest.approx(alone[name])
