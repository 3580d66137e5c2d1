"""From phrases about encoded photos to scores and boxes: the fusion layers and the decoder.

The computation of `Sam3Model.forward` up to the masks, without what an answer does not need.

Legend: N rows (prompts), L cells, T prompt tokens, Q queries, C channels, h and w sides in cells.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers.masking_utils import create_bidirectional_mask
from transformers.models.sam3.modeling_sam3 import (
    Sam3DecoderMLP,
    Sam3DetrDecoder,
    box_cxcywh_to_xyxy,
    inverse_sigmoid,
)

from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.segmodel.network.adapters import attend_to_prompt
from sam3i_agent.segmodel.network.photo_features import PhotoFeatures
from sam3i_agent.segmodel.network.products import linear

if TYPE_CHECKING:
    from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3

_LOG_SCALE = 8
"""Of distances to a box's sides, whose logarithm the position bias is made of."""
_PAIRS_FOR_CPU = 512
"""Distances that a CPU embeds at a time."""
_BOX_PADDING = -10
"""The label of a box that is none."""


@dataclass(frozen=True)
class PromptTokens:
    """What N rows are asked for."""

    features: Tensor
    """(N, T, C): the text's tokens, then those of boxes."""
    mask: Tensor
    """(N, T) bool, true for what is no padding."""


@dataclass(frozen=True)
class Findings:
    """What N rows have found, without masks."""

    logits: Tensor
    """(N, Q)."""
    presence_logits: Tensor
    """(N, 1)."""
    boxes: Tensor
    """(N, Q, 4), xyxy in 0..1."""
    queries: Tensor
    """(N, Q, C)."""
    cells: Tensor
    """(N, L, C), the photo as each row's fusion layers left it."""


def prompt_tokens(
    model: "InstructionSam3",
    photos: Sequence[PhotoFeatures],
    texts: Tensor,
    mask: Tensor,
    boxes: Tensor | None = None,
    box_labels: Tensor | None = None,
) -> PromptTokens:
    """Join texts and boxes.

    Args:
        model: the network.
        photos: of each of the N rows.
        texts: (N, 32, C), by `encode_text`.
        mask: (N, 32), 1 for what is no padding.
        boxes: (N, K, 4) example boxes, centre-size in 0..1; None where there are none.
        box_labels: (N, K): 1, 0, or -10 for padding.
    """
    if boxes is None or box_labels is None:
        tokens = torch.cat([one.geometry(model) for one in photos])
        present = pad(mask, (0, 1), value=1)
        return PromptTokens(torch.cat([texts, tokens], 1), present.bool())
    geometry = model.geometry_encoder(
        box_embeddings=boxes,
        box_mask=box_labels != _BOX_PADDING,
        box_labels=torch.where(box_labels == _BOX_PADDING, 0, box_labels),
        img_feats=(torch.cat([one.maps[-1] for one in photos]),),
        img_pos_embeds=(photos[0].position_map.expand(len(photos), -1, -1, -1),),
    )
    return PromptTokens(
        torch.cat([texts, geometry.last_hidden_state], 1),
        torch.cat([mask.bool(), geometry.attention_mask], 1),
    )


def find(
    model: "InstructionSam3", levels: Sequence[InstructionLevel], seen: Tensor, positions: Tensor,
    side_hw: tuple[int, int], prompt: PromptTokens,
) -> Findings:  # fmt: skip
    """Find what the rows ask for.

    Args:
        model: the network.
        levels: of the N rows.
        seen: (N, L, C), by `PhotoFeatures.seen`.
        positions: (1, L, C).
        side_hw: the sides h and w.
        prompt: what is asked for.
    """
    with model.at_level(levels, len(seen)):
        return _find(model, seen, positions, side_hw, prompt)


def _find(
    model: "InstructionSam3", seen: Tensor, positions: Tensor, side_hw: tuple[int, int],
    prompt: PromptTokens,
) -> Findings:  # fmt: skip
    encoder = model.detr_encoder
    attends = create_bidirectional_mask(
        config=encoder.config,
        inputs_embeds=seen,
        attention_mask=prompt.mask,
        encoder_hidden_states=prompt.features,
    )
    cells = attend_to_prompt(encoder.layers[0], seen, prompt.features, attends)
    for layer in encoder.layers[1:]:
        cells = layer(
            cells,
            prompt_feats=prompt.features,
            vision_pos_encoding=positions,
            prompt_cross_attn_mask=attends,
        )
    queries, presence_logits, boxes = _decode(model.detr_decoder, cells, positions, side_hw, prompt)
    scored = model.dot_product_scoring(
        decoder_hidden_states=queries[None], text_features=prompt.features, text_mask=prompt.mask
    )
    return Findings(
        logits=scored[0].squeeze(-1),
        presence_logits=presence_logits,
        boxes=box_cxcywh_to_xyxy(boxes),
        queries=queries,
        cells=cells,
    )


def _decode(
    decoder: Sam3DetrDecoder, cells: Tensor, positions: Tensor, side_hw: tuple[int, int],
    prompt: PromptTokens,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Return queries (N, Q, C), presence logits (N, 1) and boxes (N, Q, 4), centre-size."""
    rows = len(cells)
    boxes = decoder.reference_points.weight[None].expand(rows, -1, -1).sigmoid()
    hidden = torch.cat([decoder.presence_token.weight, decoder.query_embed.weight])
    hidden = hidden[None].expand(rows, -1, -1)
    attends = create_bidirectional_mask(
        config=decoder.config,
        inputs_embeds=hidden,
        attention_mask=prompt.mask,
        encoder_hidden_states=prompt.features,
    )
    bias: Tensor | None = None
    queries = hidden[:, 1:]
    for layer in decoder.layers:
        bias = position_bias(decoder, boxes, side_hw, bias)
        hidden = layer(
            hidden,
            query_pos=decoder.ref_point_head(decoder.position_encoding.encode_boxes(boxes)),
            text_features=prompt.features,
            vision_features=cells,
            vision_pos_encoding=positions,
            text_cross_attn_mask=attends,
            vision_cross_attn_mask=bias,
        )
        queries = decoder.output_layer_norm(hidden[:, 1:])
        boxes = (decoder.box_head(queries) + inverse_sigmoid(boxes)).sigmoid()
    presence = decoder.presence_head(decoder.presence_layer_norm(hidden[:, :1])).squeeze(-1)
    limit = decoder.clamp_presence_logit_max_val
    return queries, presence.clamp(-limit, limit), boxes


def position_bias(
    decoder: Sam3DetrDecoder, boxes: Tensor, side_hw: tuple[int, int], room: Tensor | None = None
) -> Tensor:
    """Return what is added to the queries' attention to cells, by where the cells are.

    It is a part for rows and one for columns: each is laid out as the sum is, which is then written
    once. The presence token, which comes before the queries, has none.

    Args:
        decoder: whose it is.
        boxes: (N, Q, 4), centre-size in 0..1.
        side_hw: the sides h and w.
        room: one of before, which is no longer needed; its memory is taken.

    Returns:
        (N, heads, 1 + Q, L).
    """
    height, width = side_hw
    corners = box_cxcywh_to_xyxy(boxes)
    down = _part(decoder.box_rpb_embed_y, corners[..., 1::2], height)[..., None]
    across = _part(decoder.box_rpb_embed_x, corners[..., 0::2], width)[..., None, :]
    if room is None or torch.compiler.is_compiling():
        return (down + across).flatten(-2)
    torch.add(down, across, out=room.unflatten(-1, side_hw))
    return room


def _part(embed: Sam3DecoderMLP, sides: Tensor, count: int) -> Tensor:
    """Return the part of one axis, (N, heads, 1 + Q, count); `sides` are (N, Q, 2)."""
    places = torch.arange(count, device=sides.device, dtype=sides.dtype) / count
    away = (places[:, None] - sides[..., None, :]) * _LOG_SCALE  # (N, Q, count, 2)
    scaled = away.sign() * torch.log2(away.abs() + 1.0) / math.log2(_LOG_SCALE)
    return pad(_embed(embed, scaled).permute(0, 3, 1, 2), (0, 0, 1, 0)).contiguous()


def _embed(embed: Sam3DecoderMLP, pairs: Tensor) -> Tensor:
    """Return `embed(pairs)`, of (..., 2).

    Its hidden values are 128 times as many: a CPU makes as many at a time as its caches hold.
    """
    if pairs.device.type != "cpu" or torch.is_grad_enabled():
        return embed(pairs)
    first, second = embed.layer1, embed.layer2
    # The bias is a third input's weight: added on its own it is first copied for every pair.
    weight = torch.cat([first.weight, first.bias[:, None]], 1).T
    given = pad(pairs, (0, 1), value=1.0).flatten(0, -2)
    parts = [
        linear((part @ weight).relu_(), second.weight, second.bias)
        for part in given.split(_PAIRS_FOR_CPU)
    ]
    return torch.cat(parts).unflatten(0, pairs.shape[:-1])
