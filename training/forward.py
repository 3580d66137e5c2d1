"""The model's forward pass as training needs it: every decoder layer's predictions.

Legend: B images, P texts, L decoder layers, Q queries, C channels, M mask side.
"""
# transformers' annotations hide what its modules and configurations hold.
# pyright: reportCallIssue=false

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.sam3.modeling_sam3 import (
    Sam3DETREncoderOutput,
    Sam3GeometryEncoder,
    Sam3VisionEncoderOutput,
    inverse_sigmoid,
)

from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.segmodel.exemplars import PADDING
from sam3i_agent.segmodel.network.geometry import encode_empty_geometry
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from sam3i_agent.segmodel.tokenization import TokenBatch


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
    text_features: Tensor
    """(P, T, C): T is 32 at the simple and complex levels."""
    one_to_many: "DeepPredictions | None" = None
    """What the same queries say where they do not see each other: the branch that SAM 3 trains
    beside, in which several may find one target. Its presence, semantics and text are the same."""


def forward_deep(
    model: InstructionSam3,
    vision: Sam3VisionEncoderOutput,
    image_of_text: Tensor,
    texts: TokenBatch,
    level: InstructionLevel = InstructionLevel.CONCEPT,
    examples: tuple[Tensor, Tensor] | None = None,
    *,
    one_to_many: bool = False,
) -> DeepPredictions:
    """Answer P texts about B encoded images.

    Args:
        model: the model; only its submodules are called.
        vision: `model.get_vision_features` of the B images.
        image_of_text: (P,) int64, the row of `vision` that each text is about.
        texts: P tokenized texts.
        level: of all the texts.
        examples: (P, K, 4) boxes cxcywh in 0..1 and (P, K) labels, -10 for padding; each text has
            one at least.
        one_to_many: run the decoder once more for the one-to-many branch.
    """
    # Padding is masked everywhere at the concept level, so columns that are padding in all rows go;
    # the adapters' attention sees padding, and SAM3-LiteText's text encoder does.
    trim = level is InstructionLevel.CONCEPT and not model.config.has_lite_text
    used = int(texts.attention_mask.sum(1).max()) if trim else texts.input_ids.shape[1]
    with model.at_level(level, len(image_of_text)):
        return _forward(
            model,
            vision,
            image_of_text,
            texts.input_ids[:, :used],
            texts.attention_mask[:, :used],
            examples,
            one_to_many=one_to_many,
        )


def empty_geometry_of(encoder: Sam3GeometryEncoder, vision: Sam3VisionEncoderOutput) -> Tensor:
    """Return the (B, 1, C) tokens of prompts without boxes about B encoded images."""
    # The position encoding depends on the map's size alone: every row is the same.
    used = len(vision.fpn_hidden_states) - 2  # the coarsest level is never used
    features = vision.fpn_hidden_states[used].float()  # under autocast they may be bf16
    positions = vision.fpn_position_encoding[used][:1].float()
    return encode_empty_geometry(encoder, features, positions.expand_as(features))


def _forward(
    model: InstructionSam3,
    vision: Sam3VisionEncoderOutput,
    image_of_text: Tensor,
    input_ids: Tensor,
    attention_mask: Tensor,
    examples: tuple[Tensor, Tensor] | None,
    *,
    one_to_many: bool,
) -> DeepPredictions:
    # The position encoding depends on the map's size alone: every row is the same.
    levels = [level[image_of_text] for level in vision.fpn_hidden_states[:-1]]
    coarse_position = vision.fpn_position_encoding[len(levels) - 1][:1]
    text = model.get_text_features(input_ids, None, return_dict=True).pooler_output
    if examples is None:
        geometry = empty_geometry_of(model.geometry_encoder, vision)[image_of_text]
        geometry_mask = torch.ones_like(attention_mask[:, :1])
    else:
        boxes, labels = examples
        # torchvision's roi_align mixes up types under autocast.
        with torch.autocast(boxes.device.type, enabled=False):
            encoded_boxes = model.geometry_encoder(
                box_embeddings=boxes,
                box_mask=labels != PADDING,
                box_labels=labels.clamp(min=0),
                img_feats=(levels[-1].float(),),
                img_pos_embeds=(coarse_position.expand_as(levels[-1]).float(),),
            )
        geometry, geometry_mask = encoded_boxes.last_hidden_state, encoded_boxes.attention_mask
    prompt = torch.cat([text, geometry], dim=1)
    prompt_mask = torch.cat([attention_mask, geometry_mask], dim=1).bool()

    encoded = model.detr_encoder(
        vision_features=[levels[-1]],
        text_features=prompt,
        vision_pos_embeds=[coarse_position.expand_as(levels[-1])],
        text_mask=prompt_mask,
    )
    asked = _Asked(levels, encoded, prompt, prompt_mask, text)
    predictions = _decode(model, asked)
    if not one_to_many:
        return predictions
    with _without_self_attention(model):
        return replace(predictions, one_to_many=_decode(model, asked))


@dataclass(frozen=True)
class _Asked:
    """What the decoder works on."""

    levels: list[Tensor]
    encoded: Sam3DETREncoderOutput
    prompt: Tensor
    prompt_mask: Tensor
    text: Tensor


def _decode(model: InstructionSam3, asked: _Asked) -> DeepPredictions:
    encoded, prompt, prompt_mask = asked.encoded, asked.prompt, asked.prompt_mask
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
        backbone_features=asked.levels,
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
        text_features=asked.text.float(),
    )


@contextmanager
def _without_self_attention(model: InstructionSam3) -> Iterator[None]:
    """Let the decoder's queries pass their self-attention by, as DAC-DETR's second branch does."""

    def nothing(module: nn.Module, inputs: Any, output: tuple[Tensor, Any]) -> tuple[Tensor, Any]:
        return torch.zeros_like(output[0]), *output[1:]

    layers: Any = model.detr_decoder.layers
    handles = [one.self_attn.register_forward_hook(nothing) for one in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
