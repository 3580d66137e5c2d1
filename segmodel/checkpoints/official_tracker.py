"""The tracker of an official SAM 3 file, which takes clicks and remembers clips, both ways.

Official names are those of Meta's `Sam3TrackerPredictor`; ours are those of transformers'
`Sam3VideoModel`, whose image model is the other half.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from sam3i_agent.core.errors import ModelError
from sam3i_agent.segmodel.checkpoints.official import TRACKER_PREFIX
from sam3i_agent.segmodel.checkpoints.official_names import (
    INSIDE,
    NECK_LAYER,
    Rule,
    translate,
)

OFFICIAL_NECK = "backbone.vision_backbone.sam2_convs.{n}"
"""Beside the image model's neck, over the same ViT."""
_OURS = "tracker_model."
OUR_PREFIXES = (_OURS, "tracker_neck.")
"""Of a tracker's weights beside the image model."""
_OUR_NECK = "tracker_neck.fpn_layers.{n}"
_POINTS = "sam_prompt_encoder.point_embeddings.{}.weight"
_OUR_POINTS = "prompt_encoder.point_embed.weight"
"""Rows of one table here: not on it, on it, two corners of a box."""
_POSITIONS = "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
_OUR_POSITIONS = (
    "prompt_encoder.shared_embedding.positional_embedding",
    "shared_image_embedding.positional_embedding",
)
"""One matrix under two names."""


def _head(official: str, ours: str) -> tuple[Rule, ...]:
    """Return the rules of a head of three layers."""
    return (
        (f"{official}.layers.0", f"{ours}.proj_in"),
        (f"{official}.layers.1", f"{ours}.layers.0"),
        (f"{official}.layers.2", f"{ours}.proj_out"),
    )


def _attention(official: str, ours: str) -> tuple[Rule, ...]:
    return ((f"{official}.out_proj", f"{ours}.o_proj"), (official, ours))


_MEMORY, _OUR_MEMORY = "maskmem_backbone", "memory_encoder"
_ATTENTION, _OUR_ATTENTION = "transformer.encoder.layers.{n}", "memory_attention.layers.{n}"
_MASKS, _OUR_MASKS = "sam_mask_decoder", "mask_decoder"
_BLOCK, _OUR_BLOCK = f"{_MASKS}.transformer.layers.{{n}}", f"{_OUR_MASKS}.transformer.layers.{{n}}"
_DOWNSAMPLER = 4
"""Convolutions with a norm and an activation each, before the last one."""

RULES: tuple[Rule, ...] = (
    ("maskmem_tpos_enc", "memory_temporal_positional_encoding"),
    ("no_mem_embed", "no_memory_embedding"),
    ("no_mem_pos_enc", "no_memory_positional_encoding"),
    ("no_obj_ptr", "no_object_pointer"),
    ("no_obj_embed_spatial", "occlusion_spatial_embedding_parameter"),
    ("mask_downsample", "mask_downsample"),
    ("obj_ptr_tpos_proj", "temporal_positional_encoding_projection_layer"),
    *_head("obj_ptr_proj", "object_pointer_proj"),
    # the memory's attention
    ("transformer.encoder.norm", "memory_attention.layer_norm"),
    (f"{_ATTENTION}.norm{{n}}", f"{_OUR_ATTENTION}.layer_norm{{n}}"),
    (f"{_ATTENTION}.linear{{n}}", f"{_OUR_ATTENTION}.linear{{n}}"),
    *_attention(f"{_ATTENTION}.self_attn", f"{_OUR_ATTENTION}.self_attn"),
    *_attention(f"{_ATTENTION}.cross_attn_image", f"{_OUR_ATTENTION}.cross_attn_image"),
    # the memory's encoder
    (f"{_MEMORY}.pix_feat_proj", f"{_OUR_MEMORY}.feature_projection"),
    (f"{_MEMORY}.out_proj", f"{_OUR_MEMORY}.projection"),
    *(
        (
            f"{_MEMORY}.mask_downsampler.encoder.{3 * layer + place}",
            f"{_OUR_MEMORY}.mask_downsampler.layers.{layer}.{name}",
        )
        for layer in range(_DOWNSAMPLER)
        for place, name in enumerate(("conv", "layer_norm"))
    ),
    (
        f"{_MEMORY}.mask_downsampler.encoder.{3 * _DOWNSAMPLER}",
        f"{_OUR_MEMORY}.mask_downsampler.final_conv",
    ),
    *(
        (f"{_MEMORY}.fuser.layers.{{n}}.{name}", f"{_OUR_MEMORY}.memory_fuser.layers.{{n}}.{ours}")
        for name, ours in (
            ("dwconv", "depthwise_conv"),
            ("norm", "layer_norm"),
            ("pwconv{n}", "pointwise_conv{n}"),
            ("gamma", "scale"),
        )
    ),
    # the encoder of clicks, boxes and masks
    ("sam_prompt_encoder.not_a_point_embed", "prompt_encoder.not_a_point_embed"),
    ("sam_prompt_encoder.no_mask_embed", "prompt_encoder.no_mask_embed"),
    *(
        (f"sam_prompt_encoder.mask_downscaling.{place}", f"prompt_encoder.mask_embed.{name}")
        for place, name in (
            (0, "conv1"),
            (1, "layer_norm1"),
            (3, "conv2"),
            (4, "layer_norm2"),
            (6, "conv3"),
        )
    ),
    # the decoder of masks
    *(
        (f"{_MASKS}.{name}", f"{_OUR_MASKS}.{name}")
        for name in ("iou_token", "mask_tokens", "obj_score_token", "conv_s{n}")
    ),
    *(
        (f"{_MASKS}.output_upscaling.{place}", f"{_OUR_MASKS}.{name}")
        for place, name in ((0, "upscale_conv1"), (1, "upscale_layer_norm"), (3, "upscale_conv2"))
    ),
    *_head(
        f"{_MASKS}.output_hypernetworks_mlps.{{n}}", f"{_OUR_MASKS}.output_hypernetworks_mlps.{{n}}"
    ),
    *_head(f"{_MASKS}.iou_prediction_head", f"{_OUR_MASKS}.iou_prediction_head"),
    *_head(f"{_MASKS}.pred_obj_score_head", f"{_OUR_MASKS}.pred_obj_score_head"),
    (f"{_BLOCK}.norm{{n}}", f"{_OUR_BLOCK}.layer_norm{{n}}"),
    (f"{_BLOCK}.mlp.lin1", f"{_OUR_BLOCK}.mlp.proj_in"),
    (f"{_BLOCK}.mlp.lin2", f"{_OUR_BLOCK}.mlp.proj_out"),
    *(
        rule
        for name in ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token")
        for rule in _attention(f"{_BLOCK}.{name}", f"{_OUR_BLOCK}.{name}")
    ),
    *_attention(
        f"{_MASKS}.transformer.final_attn_token_to_image",
        f"{_OUR_MASKS}.transformer.final_attn_token_to_image",
    ),
    (f"{_MASKS}.transformer.norm_final_attn", f"{_OUR_MASKS}.transformer.layer_norm_final_attn"),
)
"""Official and our names of modules and parameters, without the prefixes."""


def tracker_from_official(aside: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Return the tracker of an official file under our names; empty where the file has none.

    Args:
        aside: what `official.from_official` kept of the file.
        source: the file's name, for messages.

    Raises:
        ModelError: a weight of it has no name here; the message names it.
    """
    found: dict[str, Tensor] = {}
    points: dict[int, Tensor] = {}
    strangers: list[str] = []
    for key, tensor in aside.items():
        name = key.removeprefix(TRACKER_PREFIX)
        if (ours := _neck(key)) is not None:
            found[ours] = tensor
        elif name == key:
            continue  # of the image model
        elif name == _POSITIONS:
            found |= {_OURS + each: tensor for each in _OUR_POSITIONS}
        elif point := re.fullmatch(_POINTS.format(r"(\d+)"), name):
            points[int(point[1])] = tensor
        elif (ours := _translated(name, RULES)) is not None:
            found[_OURS + ours] = tensor
        else:
            strangers.append(key)
    if strangers:
        raise ModelError(
            f"the tracker of {source} has {len(strangers)} weights without a name here, such as "
            f"{strangers[0]!r}"
        )
    if points:
        found[_OURS + _OUR_POINTS] = torch.cat([points[place] for place in sorted(points)])
    return found


def tracker_to_official(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a tracker under the official names, those of the neck without `detector.`.

    Args:
        weights: of `Sam3VideoModel`; those of its image model are passed over.

    Raises:
        ModelError: a key is not of this model; the message names it.
    """
    found: dict[str, Tensor] = {}
    for key, tensor in weights.items():
        name = key.removeprefix(_OURS)
        if (official := _neck(key, weights)) is not None:
            found[official] = tensor
        elif name == key or name == _OUR_POSITIONS[1]:
            continue
        elif name == _OUR_POSITIONS[0]:
            found[TRACKER_PREFIX + _POSITIONS] = tensor
        elif name == _OUR_POINTS:
            rows = enumerate(tensor.split(1))
            found |= {TRACKER_PREFIX + _POINTS.format(place): row for place, row in rows}
        elif (official := _translated(name, RULES, back=True)) is not None:
            found[TRACKER_PREFIX + official] = tensor
        else:
            raise ModelError(f"the weight {key!r} has no official name")
    return found


def _neck(key: str, ours: Mapping[str, Tensor] | None = None) -> str | None:
    """Return the other name of a weight of the tracker's neck; None where it is none of these.

    Args:
        key: official, or with `ours` one of these.
        ours: all weights under our names.
    """
    back = ours is not None
    found = translate(key, ((OFFICIAL_NECK, _OUR_NECK),), back=back)
    if found is None:
        return None
    _, layer, rest = found
    rules = INSIDE[NECK_LAYER]
    if ours is not None:
        # A layer that doubles twice numbers its convolutions, one that doubles once does not.
        twice = f"{key.split('.scale_layers.')[0]}.scale_layers.2.weight" in ours
        rules = tuple(one for one in rules if one[0] != ("dconv_2x2" if twice else "dconv_2x2_0"))
    inner = translate(rest, rules, back=back)
    return None if inner is None else f"{layer}.{inner[1]}.{inner[2]}"


def _translated(name: str, rules: tuple[Rule, ...], *, back: bool = False) -> str | None:
    """Return the other name of a weight; rules name modules, and parameters as they are."""
    found = translate(f"{name}.", rules, back=back)
    return None if found is None else f"{found[1]}.{found[2]}".rstrip(".")
