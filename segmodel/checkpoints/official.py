"""Official SAM 3 and SAM3-I checkpoints: reading them, and the names their weights have here.

Every key of a file is accounted for: renamed by the tables below, or ignored by one of
`IGNORED` for the reason given there. What is left over or missing is an error that names it, found
from names and shapes alone, before any weight is read.
"""

import logging
import pickle
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.segmodel.network.configuration import OFFICIAL_ADAPTER_DIM, InstructionSam3Config

logger = logging.getLogger(__name__)

DETECTOR_PREFIX = "detector."
"""Base SAM 3 files hold the image model under it, beside the video tracker's weights."""

IGNORED: tuple[tuple[str, str], ...] = (
    (r"backbone\.text\..*", "a second text encoder that the trainer saves and nothing uses"),
    (r".*\.attn\.freqs_cis", "rotary positions, computed from the configuration"),
    (r"geometry_encoder\.points_.*", "point prompts, which the image model does not take"),
    (r"(simple_query|complex_query|concept)_proj\..*", "projectors of the training losses"),
)
"""(key pattern, reason) of weights that inference does not need."""

_Rule = tuple[str, str]
_FEEDFORWARD: tuple[_Rule, ...] = ((r"linear1", "mlp.fc1"), (r"linear2", "mlp.fc2"))
_PATHS: tuple[_Rule, ...] = (
    (r"adapter1", "adapters.simple"),
    (r"adapter12", "adapters.complex_in"),
    (r"adapter2", "adapters.complex_out"),
)

_EXACT: Mapping[str, str] = {
    "backbone.vision_backbone.trunk.pos_embed": (
        "vision_encoder.backbone.embeddings.position_embeddings"
    ),
    "backbone.language_backbone.encoder.positional_embedding": (
        "text_encoder.text_model.embeddings.position_embedding.weight"
    ),
    "backbone.language_backbone.encoder.text_projection": "text_encoder.text_projection.weight",
}

_PREFIXES: tuple[_Rule, ...] = (
    (
        r"backbone\.vision_backbone\.trunk\.patch_embed\.proj",
        "vision_encoder.backbone.embeddings.patch_embeddings.projection",
    ),
    (r"backbone\.vision_backbone\.trunk\.ln_pre", "vision_encoder.backbone.layer_norm"),
    (r"backbone\.vision_backbone\.trunk\.blocks\.(\d+)", r"vision_encoder.backbone.layers.\1"),
    (r"backbone\.vision_backbone\.convs\.(\d+)", r"vision_encoder.neck.fpn_layers.\1"),
    (
        r"backbone\.language_backbone\.encoder\.token_embedding",
        "text_encoder.text_model.embeddings.token_embedding",
    ),
    (
        r"backbone\.language_backbone\.encoder\.ln_final",
        "text_encoder.text_model.final_layer_norm",
    ),
    (
        r"backbone\.language_backbone\.encoder\.transformer\.resblocks\.(\d+)",
        r"text_encoder.text_model.encoder.layers.\1",
    ),
    (r"backbone\.language_backbone\.resizer", "text_projection"),
    (r"geometry_encoder\.encode\.(\d+)", r"geometry_encoder.layers.\1"),
    (r"geometry_encoder\.encode_norm", "geometry_encoder.output_layer_norm"),
    (r"geometry_encoder\.norm", "geometry_encoder.prompt_layer_norm"),
    (r"geometry_encoder\.img_pre_norm", "geometry_encoder.vision_layer_norm"),
    (r"geometry_encoder\.(label_embed|cls_embed|final_proj|boxes_\w+)", r"geometry_encoder.\1"),
    (r"transformer\.encoder\.layers\.(\d+)", r"detr_encoder.layers.\1"),
    (r"transformer\.decoder\.layers\.(\d+)", r"detr_decoder.layers.\1"),
    (r"transformer\.decoder\.norm", "detr_decoder.output_layer_norm"),
    (r"transformer\.decoder\.presence_token_out_norm", "detr_decoder.presence_layer_norm"),
    (
        r"transformer\.decoder\.(query_embed|reference_points|presence_token)",
        r"detr_decoder.\1",
    ),
    (r"transformer\.decoder\.bbox_embed", "detr_decoder.box_head"),
    (r"transformer\.decoder\.presence_token_head", "detr_decoder.presence_head"),
    (r"transformer\.decoder\.ref_point_head", "detr_decoder.ref_point_head"),
    (r"transformer\.decoder\.boxRPB_embed_([xy])", r"detr_decoder.box_rpb_embed_\1"),
    (r"segmentation_head\.pixel_decoder", "mask_decoder.pixel_decoder"),
    (r"segmentation_head\.mask_predictor\.mask_embed", "mask_decoder.mask_embedder"),
    (
        r"segmentation_head\.mask_predictor_adapter1\.mask_embed",
        "mask_decoder.mask_embedder.simple",
    ),
    (
        r"segmentation_head\.mask_predictor_adapter2\.mask_embed",
        "mask_decoder.mask_embedder.complex",
    ),
    (r"segmentation_head\.cross_attend_prompt", "mask_decoder.prompt_cross_attn"),
    (r"segmentation_head\.cross_attn_norm", "mask_decoder.prompt_cross_attn_norm"),
    (r"segmentation_head\.semantic_seg_head", "mask_decoder.semantic_projection"),
    (r"segmentation_head\.instance_seg_head", "mask_decoder.instance_projection"),
    (r"dot_prod_scoring\.prompt_mlp\.out_norm", "dot_product_scoring.text_mlp_out_norm"),
    (r"dot_prod_scoring\.prompt_mlp", "dot_product_scoring.text_mlp"),
    (r"dot_prod_scoring\.prompt_proj", "dot_product_scoring.text_proj"),
    (r"dot_prod_scoring\.hs_proj", "dot_product_scoring.query_proj"),
)
"""Module names, official pattern to ours; the whole prefix up to a dot must match."""

_INSIDE: Mapping[str, tuple[_Rule, ...]] = {
    "vision_encoder.backbone.layers.": (
        (r"norm([12])", r"layer_norm\1"),
        (r"attn\.qkv", "attention.qkv"),
        (r"attn\.proj", "attention.o_proj"),
        (r"mlp\.fc([12])", r"mlp.fc\1"),
    ),
    "vision_encoder.neck.fpn_layers.": (
        (r"dconv_2x2_0", "scale_layers.0"),
        (r"dconv_2x2_1", "scale_layers.2"),
        (r"dconv_2x2", "scale_layers.0"),
        (r"conv_1x1", "proj1"),
        (r"conv_3x3", "proj2"),
    ),
    "text_encoder.text_model.encoder.layers.": (
        (r"attn", "self_attn"),
        (r"ln_([12])", r"layer_norm\1"),
        (r"mlp\.c_fc", "mlp.fc1"),
        (r"mlp\.c_proj", "mlp.fc2"),
        *((rf"{path}\.mha_adapter", f"{ours}.attention") for path, ours in _PATHS),
        *_PATHS,
    ),
    "geometry_encoder.layers.": (
        (r"self_attn", "self_attn"),
        (r"cross_attn_image", "cross_attn"),
        (r"norm([123])", r"layer_norm\1"),
        *_FEEDFORWARD,
    ),
    "detr_encoder.layers.": (
        (r"self_attn", "self_attn"),
        (r"cross_attn_image", "cross_attn"),
        (r"norm([123])", r"layer_norm\1"),
        *_FEEDFORWARD,
        *_PATHS,
    ),
    "detr_decoder.layers.": (
        (r"self_attn", "self_attn"),
        (r"norm2", "self_attn_layer_norm"),
        (r"ca_text", "text_cross_attn"),
        (r"catext_norm", "text_cross_attn_layer_norm"),
        (r"cross_attn", "vision_cross_attn"),
        (r"norm1", "vision_cross_attn_layer_norm"),
        (r"norm3", "mlp_layer_norm"),
        *_FEEDFORWARD,
        *_PATHS,
    ),
}
"""Names inside a numbered layer, by the layer's new name."""

_NUMBERED_MLPS = (
    "detr_decoder.box_head.",
    "detr_decoder.presence_head.",
    "detr_decoder.ref_point_head.",
    "detr_decoder.box_rpb_embed_",
    "dot_product_scoring.text_mlp.",
)
"""Modules whose official `layers.K` is `layer{K+1}` here."""


def load_official(
    path: Path, config: InstructionSam3Config | None = None
) -> tuple[InstructionSam3Config, dict[str, Tensor]]:
    """Read an official checkpoint and return its configuration and weights under our names.

    Args:
        path: a `.pt` file.
        config: sizes; None means the published sizes, with an instruction head when the file
            has adapters (a file does not record `adapter_heads` and `adapter_scale`).

    Raises:
        ModelError: see `InstructionSam3.from_official`.
        InputError: there is no such file.
    """
    official = _strip_prefix(read_checkpoint(path), path)
    if config is None:
        has_head = any(".adapter1." in key for key in official)
        config = InstructionSam3Config(adapter_dim=OFFICIAL_ADAPTER_DIM if has_head else None)
    weights = rename_weights(official, path.name)
    _check_against(config, weights, path.name)
    return config, {key: tensor.to(torch.float32) for key, tensor in weights.items()}


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the state dict in `path`, memory-mapped, without running any code in the file.

    Raises:
        ModelError: the file is damaged, wants arbitrary pickles, or holds no state dict.
        InputError: there is no such file.
    """
    if not path.is_file():
        raise InputError(f"there is no checkpoint file {str(path)!r}")
    try:
        content = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except pickle.UnpicklingError as error:
        if "weights_only" in str(error) or "Unsupported" in str(error):
            raise ModelError(
                f"{path.name} wants to run code on loading and is refused",
                "ask its author for a file with tensors only",
            ) from error
        raise ModelError(f"{path.name} is damaged or no PyTorch checkpoint") from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path.name} is damaged or no PyTorch checkpoint",
            "compare its size with the published one and download it again",
        ) from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict) or not content:
        raise ModelError(f"{path.name} holds no state dict")
    strangers = [key for key, value in content.items() if not isinstance(value, Tensor)]
    if strangers:
        raise ModelError(f"{path.name} holds {strangers[0]!r}, which is no tensor")
    return content


def _strip_prefix(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    inside = {
        key.removeprefix(DETECTOR_PREFIX): tensor
        for key, tensor in state.items()
        if key.startswith(DETECTOR_PREFIX)
    }
    if inside:
        strangers = [key for key in state if not key.startswith((DETECTOR_PREFIX, "tracker."))]
        if strangers:
            raise ModelError(f"{path.name} has {strangers[0]!r} beside its detector")
        return inside
    if not any(key.startswith("backbone.vision_backbone.") for key in state):
        kind = "a SAM 2" if any(key.startswith("image_encoder.") for key in state) else "another"
        raise ModelError(
            f"{path.name} is {kind} checkpoint, not SAM 3 or SAM3-I: it has no "
            f"'backbone.vision_backbone' weights but, for example, {next(iter(state))!r}"
        )
    return state


def rename_weights(official: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Return the weights under the names of `InstructionSam3`, fused projections split.

    Args:
        official: official state dict, without the `detector.` prefix.
        source: the file's name, for messages.

    Raises:
        ModelError: a key is neither in the table nor in `IGNORED`; the message names it.
    """
    weights: dict[str, Tensor] = {}
    strangers: list[str] = []
    for key, tensor in official.items():
        if any(re.fullmatch(pattern, key) for pattern, _ in IGNORED):
            continue
        named = _rename(key, tensor)
        if named is None:
            strangers.append(key)
        else:
            weights.update(named)
    if strangers:
        raise ModelError(
            f"{source} has {len(strangers)} weights this model has no place for: {_some(strangers)}"
        )
    return weights


def _rename(key: str, tensor: Tensor) -> dict[str, Tensor] | None:
    if key in _EXACT:
        if key.endswith("pos_embed"):
            tensor = tensor[:, 1:]  # the first position is the class token's
        elif key.endswith("text_projection"):
            tensor = tensor.T
        return {_EXACT[key]: tensor}
    for pattern, ours in _PREFIXES:
        found = re.match(pattern + r"(?=\.)", key)
        if not found:
            continue
        module, rest = found.expand(ours), key[found.end() + 1 :]
        for layers, rules in _INSIDE.items():
            if module.startswith(layers):
                inner = _rename_inside(rest, rules)
                if inner is None:
                    return None
                rest = inner
        name = f"{module}.{rest}"
        if name.startswith(_NUMBERED_MLPS):
            name = re.sub(r"\.layers\.(\d+)\.", lambda m: f".layer{int(m[1]) + 1}.", name)
        return _split_fused(name, tensor)
    return None


def _rename_inside(rest: str, rules: Iterable[_Rule]) -> str | None:
    for pattern, ours in rules:
        found = re.match(pattern + r"(?=\.)", rest)
        if found:
            return found.expand(ours) + rest[found.end() :]
    return None


def _split_fused(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """Split a fused query-key-value projection, whose rows lie in that order.

    Text adapters keep theirs: they are `nn.MultiheadAttention` here too.
    """
    fused = re.fullmatch(r"(.*)\.(?:in_proj_|qkv\.)(weight|bias)", name)
    if fused and ".adapters." not in name:
        return {
            f"{fused[1]}.{part}_proj.{fused[2]}": rows
            for part, rows in zip("qkv", tensor.chunk(3), strict=True)
        }
    # Official attention calls its last projection out_proj; only the text encoder keeps the name.
    if not name.startswith("text_encoder."):
        name = re.sub(r"\.out_proj\.(weight|bias)$", r".o_proj.\1", name)
    return {name: tensor}


def _check_against(
    config: InstructionSam3Config, weights: Mapping[str, Tensor], source: str
) -> None:
    from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3

    with torch.device("meta"):
        expected = InstructionSam3(config).state_dict()
    _raise_if(
        sorted(expected.keys() - weights.keys()),
        lambda keys: f"{source} lacks {len(keys)} weights: {_some(keys)}",
        "the file is incomplete; or the configuration, without --config that of the published "
        "model, has more layers or an instruction head",
    )
    _raise_if(
        sorted(weights.keys() - expected.keys()),
        lambda keys: f"{source} has {len(keys)} weights that the model lacks: {_some(keys)}",
        "the configuration has fewer layers, or no adapter_dim",
    )
    _raise_if(
        [key for key in expected if expected[key].shape != weights[key].shape],
        lambda keys: (
            f"{source}: {keys[0]} is {tuple(weights[keys[0]].shape)}, the configuration wants "
            f"{tuple(expected[keys[0]].shape)} ({len(keys)} weights differ)"
        ),
        "give the configuration of this checkpoint (--config)",
    )


def _raise_if(keys: list[str], message: Callable[[list[str]], str], hint: str) -> None:
    if keys:
        raise ModelError(message(keys), hint)


def _some(keys: list[str], count: int = 3) -> str:
    return ", ".join(keys[:count]) + (", …" if len(keys) > count else "")
