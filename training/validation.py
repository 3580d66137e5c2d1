"""Held-out scenes through the training's own forward pass, in batches: quick, on the mask grid.

For watching a training and comparing runs. `sam3i evaluate scenes` and `sam3i evaluate scorecard`
measure what a user gets, at the photo's resolution.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.prompt import SCORE_THRESHOLD
from sam3i_agent.data.kinds import SceneStyle
from sam3i_agent.data.scenes import SceneLimits
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from sam3i_agent.segmodel.tokenization import InstructionTokenizer
from sam3i_agent.training.batches import BatchPlan, TrainingBatch, make_batch
from sam3i_agent.training.forward import DeepPredictions, forward_deep
from sam3i_agent.training.loop import plan_of
from sam3i_agent.training.pictures import SceneSource
from sam3i_agent.training.stages import Stage

VALIDATION_SEED = 940
"""A series that no training run draws from."""
_IMAGES = 10
_SAMPLES = 5


@dataclass(frozen=True)
class Validation:
    """Figures of one level, in percent."""

    samples: int
    giou: float
    """Mean IoU of the united masks, nothing-for-nothing counting as 100."""
    nothing_right: float
    """Share of absent targets that got nothing."""


@torch.no_grad()
def validate(
    model: InstructionSam3,
    level: InstructionLevel,
    scenes: int,
    style: SceneStyle = SceneStyle.SHAPES,
) -> Validation:
    """Measure `model` at `level` on held-out scenes.

    Args:
        model: in evaluation mode.
        level: one that it has.
        scenes: how many, rounded up to batches of ten.
        style: which kind of scenes.
    """
    source = SceneSource(
        VALIDATION_SEED,
        Stage(level),
        _SAMPLES,
        SceneLimits(),
        everyday_share=float(style is SceneStyle.EVERYDAY),
    )
    plan: BatchPlan = plan_of(model, source, _IMAGES)
    tokenizer = InstructionTokenizer(plan.vocabulary_size, plan.context_length)
    ious: list[float] = []
    absent: list[bool] = []
    for number in range(-(-scenes // _IMAGES)):
        batch = make_batch(plan, number, tokenizer).to(model.device)
        vision = model.get_vision_features(batch.pixel_values)
        answers = forward_deep(
            model, vision, batch.image_of_sample, batch.texts[level], level, batch.examples
        )
        for found, wanted in _united(answers, batch):
            union = int((found | wanted).sum())
            ious.append(float((found & wanted).sum()) / union if union else 1.0)
            if not wanted.any():
                absent.append(not found.any())
    return Validation(len(ious), 100 * float(np.mean(ious)), 100 * float(np.mean(absent)))


def _united(answers: DeepPredictions, batch: TrainingBatch) -> list[tuple[Tensor, Tensor]]:
    """Return found and wanted cells of each sample: (M, M) bool each."""
    scores = answers.logits[-1].sigmoid() * answers.presence_logits[-1].sigmoid()[:, None]
    masks = answers.mask_logits[-1] > 0
    truths = batch.masks.split(batch.target_counts.tolist())
    return [
        (some[score > SCORE_THRESHOLD].any(0), (truth > 0.5).any(0))
        for some, score, truth in zip(masks, scores, truths, strict=True)
    ]
