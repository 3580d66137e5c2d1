"""The model's forward pass as training needs it: every decoder layer's predictions.

Legend: B images, P phrases, L decoder layers, Q queries, C channels, M mask side.
"""
# transformers' annotations hide what its modules and configurations hold.
# pyright: reportCallIssue=false

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput, inverse_sigmoid

from sam3i_agent.segmodel.geometry import encode_empty_geometry
from sam3i_agent.segmodel.instruction_sam3 import InstructionSam3
from sam3i_agent.segmodel.levels import InstructionLevel
from sam3i_agent.segmodel.tokenization import CONTEXT_LENGTH


class Phrases(Protocol):
    """The part of a batch that the model reads as text."""

    image_of_phrase: Tensor
    """(P,) int64."""
    input_ids: Tensor
    """(P, 32) int64."""
    attention_mask: Tensor
    """(P, 32) int64, 1 = keep."""


@dataclass(frozen=True)
class DeepPredictions:
    """What each decoder layer says, the last one last."""

    logits: Tensor
    """(L, P, Q)."""
    boxes_cxcywh: Tensor
    """(L, P, Q, 4) in 0..1."""
    mask_logits: Tensor
    """(L, P, Q, M, M)."""
    presence_logits: Tensor
    """(L, P)."""
    semantic_logits: Tensor
    """(P, M, M)."""


def forward_deep(
    model: InstructionSam3,
    vision: Sam3VisionEncoderOutput,
    phrases: Phrases,
    level: InstructionLevel = InstructionLevel.CONCEPT,
) -> DeepPredictions:
    """Answer P phrases about B encoded images.

    Args:
        model: the model; only its submodules are called.
        vision: `model.get_vision_features` of the B images.
        phrases: what is asked, and of which row of `vision`.
        level: of all the phrases.
    """
    with model.at_level(level, len(phrases.input_ids)):
        return _forward(model, vision, phrases, trim=level is InstructionLevel.CONCEPT)


def _forward(
    model: InstructionSam3, vision: Sam3VisionEncoderOutput, phrases: Phrases, *, trim: bool
) -> DeepPredictions:
    image_of_phrase = phrases.image_of_phrase
    # The position encoding depends on the map's size alone: every row is the same.
    levels = [level[image_of_phrase] for level in vision.fpn_hidden_states[:-1]]
    coarse_position = vision.fpn_position_encoding[len(levels) - 1][:1]
    geometry = encode_empty_geometry(
        model.geometry_encoder,
        vision.fpn_hidden_states[len(levels) - 1],
        coarse_position.expand(len(vision.fpn_hidden_states[0]), -1, -1, -1),
    )
    # Padding is masked everywhere at the concept level, so columns that are padding in all rows go;
    # the adapters' attention sees padding.
    used = int(phrases.attention_mask.sum(1).max()) if trim else CONTEXT_LENGTH
    input_ids, attention_mask = phrases.input_ids[:, :used], phrases.attention_mask[:, :used]
    text = model.get_text_features(input_ids, None, return_dict=True).pooler_output
    prompt = torch.cat([text, geometry[image_of_phrase]], dim=1)
    prompt_mask = torch.cat([attention_mask, torch.ones_like(attention_mask[:, :1])], dim=1).bool()

    encoded = model.detr_encoder(
        vision_features=[levels[-1]],
        text_features=prompt,
        vision_pos_embeds=[coarse_position.expand_as(levels[-1])],
        text_mask=prompt_mask,
    )
    decoded = model.detr_decoder(
        vision_features=encoded.last_hidden_state,
        text_features=prompt,
        vision_pos_encoding=encoded.pos_embeds_flattened,
        text_mask=prompt_mask,
        spatial_shapes=encoded.spatial_shapes,
    )
    queries = decoded.intermediate_hidden_states  # (L, P, Q, C)
    offsets = model.detr_decoder.box_head(queries)
    boxes = (inverse_sigmoid(decoded.reference_boxes) + offsets).sigmoid()
    logits = model.dot_product_scoring(queries, prompt, prompt_mask).squeeze(-1)

    # The mask decoder takes one set of queries per prompt: all layers' queries go in side by side.
    layers, rows, count, channels = queries.shape
    side_by_side = queries.transpose(0, 1).reshape(rows, layers * count, channels)
    masks = model.mask_decoder(
        decoder_queries=side_by_side,
        backbone_features=levels,
        encoder_hidden_states=encoded.last_hidden_state,
        prompt_features=prompt,
        prompt_mask=prompt_mask,
    )
    mask_logits = masks.pred_masks.unflatten(1, (layers, count)).transpose(0, 1)
    return DeepPredictions(
        logits=logits.float(),
        boxes_cxcywh=boxes.float(),
        mask_logits=mask_logits.float(),
        presence_logits=decoded.presence_logits.squeeze(-1).float(),
        semantic_logits=masks.semantic_seg[:, 0].float(),
    )
