"""What a step minimises, as one module: the model, its auxiliary heads, and a batch to losses."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss, smooth_l1_loss

from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.data.scenes import Colour, Texture
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from sam3i_agent.training.batches import NO_OBJECT, TrainingBatch
from sam3i_agent.training.config import TrainConfig
from sam3i_agent.training.forward import DeepPredictions, empty_geometry_of, forward_deep
from sam3i_agent.training.losses.alignment import (
    TextProjector,
    concept_margin,
    disagreement_segmentation,
    info_nce,
    semantic_kl,
)
from sam3i_agent.training.losses.detection import detection_losses, union_masks
from sam3i_agent.training.losses.official import official_losses
from sam3i_agent.training.pictures import NOUNS
from sam3i_agent.training.stages import Stage


class DenseHead(nn.Module):
    """Reads noun, colour, texture and object box off each cell of the finest FPN level.

    It teaches the image side what words will talk about and is dropped from the shipped model.
    """

    LABEL_SIZES = (len(NOUNS) + 1, len(Colour) + 1, len(Texture) + 1)
    """Each with a last label for background."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Conv2d(width, 2 * width, 1)
        self.out = nn.Conv2d(2 * width, sum(self.LABEL_SIZES) + 4, 1)

    def loss(self, features: Tensor, object_labels: Tensor, object_offsets: Tensor) -> Tensor:
        """Cross entropy of the three labels plus smooth L1 of the box sides, as one scalar."""
        predicted = self.out(torch.relu(self.hidden(features))).float()
        *label_logits, sides = predicted.split([*self.LABEL_SIZES, 4], dim=1)
        total = predicted.new_zeros(())
        for logits, labels in zip(label_logits, object_labels.unbind(1), strict=True):
            background = logits.shape[1] - 1
            wanted = torch.where(labels == NO_OBJECT, background, labels.long())
            weight = torch.ones(logits.shape[1], device=logits.device)
            weight[background] = 0.25  # most cells are background
            total = total + cross_entropy(logits, wanted, weight)
        inside = (object_labels[:, :1] != NO_OBJECT).expand_as(sides)
        return total + 10 * smooth_l1_loss(sides[inside], object_offsets[inside], beta=0.05)


class Objective(nn.Module):
    """The losses of a stage. Its forward pass is what is wrapped for many processes.

    Args:
        model: the model; only what the stage trains has `requires_grad`.
        config: stage, weights and precision.
    """

    def __init__(self, model: InstructionSam3, config: TrainConfig) -> None:
        super().__init__()
        self.model = model
        width = _mask_width(model)
        self.dense_head = DenseHead(width) if config.stage.trains_base else None
        self.projector = TextProjector(width) if config.stage is Stage.ALIGN else None
        self.geometry_before = None
        if config.stage is Stage.EXEMPLARS:
            self.geometry_before = copy.deepcopy(model.geometry_encoder).requires_grad_(False)
        self._config = config

    def forward(self, batch: TrainingBatch, *, dense_only: bool = False) -> dict[str, Tensor]:
        """Return the unweighted losses by name, each a scalar.

        Args:
            batch: pictures and samples.
            dense_only: leave out the texts: the image side alone, on the dense head.
        """
        config = self._config
        with torch.autocast(batch.pixel_values.device.type, torch.bfloat16, enabled=config.bf16):
            with torch.set_grad_enabled(config.stage.trains_base):
                vision = self.model.get_vision_features(batch.pixel_values)
            losses: dict[str, Tensor] = {}
            labels, offsets = batch.object_labels, batch.object_offsets
            if self.dense_head is not None and labels is not None and offsets is not None:
                losses["dense"] = self.dense_head.loss(vision.fpn_hidden_states[0], labels, offsets)
            if dense_only:
                return losses
            branches = {
                level: forward_deep(
                    self.model,
                    vision,
                    batch.image_of_sample,
                    batch.texts[level],
                    level,
                    batch.examples,
                    one_to_many=bool(config.losses.one_to_many),
                )
                for level in config.stage.asked_levels
                if level in batch.texts
            }
        detection = [self._detection_losses(one, batch) for one in branches.values()]
        for name in detection[0]:
            losses[name] = torch.stack([one[name] for one in detection]).mean()
        if self.geometry_before is not None:
            losses["empty_prompt"] = mse_loss(
                empty_geometry_of(self.model.geometry_encoder, vision),
                empty_geometry_of(self.geometry_before, vision),
            )
        if self.projector is not None:
            losses |= self._alignment_losses(self.projector, branches, batch)
        return losses

    def _detection_losses(
        self, predictions: DeepPredictions, batch: TrainingBatch
    ) -> dict[str, Tensor]:
        config = self._config
        if config.recipe == "official":
            factor = config.losses.one_to_many
            return official_losses(predictions, batch, config.match_costs, factor)
        return detection_losses(predictions, batch, config.match_costs, config.losses)

    def _alignment_losses(
        self,
        projector: TextProjector,
        branches: dict[InstructionLevel, DeepPredictions],
        batch: TrainingBatch,
    ) -> dict[str, Tensor]:
        a, b = branches[InstructionLevel.SIMPLE], branches[InstructionLevel.COMPLEX]
        concept_ids = batch.texts[InstructionLevel.CONCEPT].input_ids
        concept_tokens = self.model.encode_text(concept_ids).pooler_output
        simple, complex_, concepts = (
            projector(tokens.float())  # pyright: ignore[reportOptionalMemberAccess]
            for tokens in (a.text_features, b.text_features, concept_tokens)
        )
        groups = batch.concept_groups
        return {
            "semantic_kl": semantic_kl(a.semantic_logits, b.semantic_logits),
            "disagreement": disagreement_segmentation(
                a.semantic_logits, b.semantic_logits, union_masks(batch)
            ),
            "info_nce": info_nce(simple, complex_, groups),
            "concept_margin": concept_margin(simple, complex_, concepts, groups),
        }


def _mask_width(model: InstructionSam3) -> int:
    detr: Any = model.config.detr_encoder_config  # transformers' annotations hide what it holds
    return detr.hidden_size
