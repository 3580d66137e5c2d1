"""Official SAM 3 and SAM3-I weights under our names, and ours under the official ones.

Every official key is accounted for: renamed by `official_names`, or kept aside by one of `IGNORED`
for the reason given there. What is left over is an error that names it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sam3i_agent.core.errors import ModelError
from sam3i_agent.segmodel.checkpoints.official_names import (
    INSIDE,
    MODULES,
    NECK_LAYER,
    NUMBERED_MLPS,
    VIT_LAYER,
    pattern_of,
    translate,
)

DETECTOR_PREFIX = "detector."
"""Base SAM 3 files hold the image model under it, beside the video tracker's weights."""
TRACKER_PREFIX = "tracker."

TRACKER_REASON = "the video tracker, which goes along with a whole base SAM 3 alone"
IGNORED: tuple[tuple[str, str], ...] = (
    (r"backbone\.text\..*", "a second text encoder that the trainer saves and nothing uses"),
    (r"backbone\.vision_backbone\.sam2_convs\..*", TRACKER_REASON),
    (r".*\.attn\.freqs_cis", "rotary positions, computed from the configuration"),
    (r"geometry_encoder\.points_.*", "point prompts, which the image model does not take"),
    (r"(simple_query|complex_query|concept)_proj\..*", "projectors of the training losses"),
)
"""(key pattern, reason) of weights that inference does not need."""

_POSITIONS = "backbone.vision_backbone.trunk.pos_embed"
"""Its first position is the class token's, which no SAM 3 has."""
_TEXT_PROJECTION = "backbone.language_backbone.encoder.text_projection"
"""Transposed here."""
_EXACT: Mapping[str, str] = {
    _POSITIONS: "vision_encoder.backbone.embeddings.position_embeddings",
    _TEXT_PROJECTION: "text_encoder.text_projection.weight",
    "backbone.language_backbone.encoder.positional_embedding": (
        "text_encoder.text_model.embeddings.position_embedding.weight"
    ),
}
_EXACT_BACK = {ours: official for official, ours in _EXACT.items()}


@dataclass(frozen=True)
class RenamedWeights:
    """An official state dict under our names."""

    weights: dict[str, Tensor]
    """What `InstructionSam3` has."""
    aside: dict[str, Tensor]
    """What it has no place for, under the official names: see `IGNORED`; the class token's
    position, which stands for the whole table; and a base file's tracker."""


def from_official(state: Mapping[str, Tensor], source: str) -> RenamedWeights:
    """Return official weights under our names, and aside what has none.

    Args:
        state: an official state dict, with or without the `detector.` prefix.
        source: the file's name, for messages.

    Raises:
        ModelError: it is no SAM 3, or a key is neither in `official_names` nor in `IGNORED`.
    """
    official, tracker = _without_prefix(state, source)
    aside = {key: tensor for key, tensor in official.items() if _is_ignored(key)} | tracker
    if _POSITIONS in official:
        aside[_POSITIONS] = official[_POSITIONS][:, :1]
    return RenamedWeights(rename_weights(official, source), aside)


def to_official(
    weights: Mapping[str, Tensor],
    aside: Mapping[str, Tensor] | None = None,
    *,
    detector_prefix: bool = False,
) -> dict[str, Tensor]:
    """Return our weights under the official names, fused as there.

    Args:
        weights: the state dict of an `InstructionSam3`.
        aside: what `from_official` kept; without it the class token's position is zero, which
            nothing reads, and what `IGNORED` lists is left out.
        detector_prefix: as base SAM 3 files have it; those of SAM3-I do not.

    Raises:
        ModelError: a key is not of this model; the message names it.
    """
    official = dict(aside or {})
    class_position = official.pop(_POSITIONS, None)
    strangers: list[str] = []
    for key, tensor in _fuse(weights).items():
        name = _EXACT_BACK.get(key) or _rename_back(key, weights)
        if name is None:
            strangers.append(key)
            continue
        if name == _POSITIONS:
            first = torch.zeros_like(tensor[:, :1]) if class_position is None else class_position
            tensor = torch.cat([first.to(tensor), tensor], dim=1)
        elif name == _TEXT_PROJECTION:
            tensor = tensor.T
        official[name] = tensor
    if strangers:
        raise ModelError(
            f"{len(strangers)} weights have no official name: {some(strangers)}",
            "write the weights of a SAM 3 or SAM3-I",
        )
    if not detector_prefix:
        return official
    return {
        key if key.startswith(TRACKER_PREFIX) else DETECTOR_PREFIX + key: tensor
        for key, tensor in official.items()
    }


def rename_weights(official: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Return the weights under the names of `InstructionSam3`, fused projections split.

    Args:
        official: official state dict, without the `detector.` prefix.
        source: the file's name, for messages.

    Raises:
        ModelError: a key is neither in `official_names` nor in `IGNORED`; the message names it.
    """
    weights: dict[str, Tensor] = {}
    strangers: list[str] = []
    for key, tensor in official.items():
        if _is_ignored(key):
            continue
        named = _rename(key, tensor)
        if named is None:
            strangers.append(key)
        else:
            weights.update(named)
    if strangers:
        raise ModelError(
            f"{source} has {len(strangers)} weights this model has no place for: {some(strangers)}"
        )
    return weights


def some(keys: list[str], count: int = 3) -> str:
    """Return the first of many keys, for a message."""
    return ", ".join(keys[:count]) + (", …" if len(keys) > count else "")


def _without_prefix(
    state: Mapping[str, Tensor], source: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the image model's weights without their prefix, and a tracker's."""
    if any(key.startswith("backbone.vision_backbone.") for key in state):
        return dict(state), {}
    inside = {
        key.removeprefix(DETECTOR_PREFIX): tensor
        for key, tensor in state.items()
        if key.startswith(DETECTOR_PREFIX)
    }
    if inside:
        tracker = {
            key: tensor for key, tensor in state.items() if not key.startswith(DETECTOR_PREFIX)
        }
        strangers = [key for key in tracker if not key.startswith(TRACKER_PREFIX)]
        if strangers:
            raise ModelError(f"{source} has {strangers[0]!r} beside its detector")
        return inside, tracker
    if any(key.startswith("vision_encoder.") for key in state):
        raise ModelError(
            f"{source} holds weights under the names of transformers, not the official ones",
            "give the folder it is in, with its config.json",
        )
    kind = "a SAM 2" if any(key.startswith("image_encoder.") for key in state) else "another"
    raise ModelError(
        f"{source} is {kind} checkpoint, not SAM 3 or SAM3-I: it has no "
        f"'backbone.vision_backbone' weights but, for example, {next(iter(state))!r}"
    )


def _is_ignored(key: str) -> bool:
    return any(re.fullmatch(pattern, key) for pattern, _ in IGNORED)


def _rename(key: str, tensor: Tensor) -> dict[str, Tensor] | None:
    if key in _EXACT:
        if key == _POSITIONS:
            tensor = tensor[:, 1:]
        elif key == _TEXT_PROJECTION:
            tensor = tensor.T
        return {_EXACT[key]: tensor}
    found = translate(key, MODULES)
    if found is None:
        return None
    rule, name, rest = found
    if rule[1] in INSIDE:
        inner = translate(rest, INSIDE[rule[1]])
        if inner is None:
            return None
        rest = f"{inner[1]}.{inner[2]}"
    name = f"{name}.{rest}"
    if name.startswith(NUMBERED_MLPS):
        name = re.sub(r"\.layers\.(\d+)\.", lambda m: f".layer{int(m[1]) + 1}.", name)
    return _split_fused(name, tensor)


def _rename_back(key: str, known: Mapping[str, Tensor]) -> str | None:
    """Return the official name of a key of fused weights."""
    name = key
    if key.startswith(NUMBERED_MLPS):
        name = re.sub(r"\.layer(\d+)\.", lambda m: f".layers.{int(m[1]) - 1}.", key)
    found = translate(name, MODULES, back=True)
    if found is None:
        return None
    rule, module, rest = found
    if rule[1] in INSIDE:
        rules = INSIDE[rule[1]]
        if rule[1] == NECK_LAYER:
            # A layer that doubles twice numbers its convolutions, one that doubles once does not.
            layer = key.split(".scale_layers.")[0]
            twice = f"{layer}.scale_layers.2.weight" in known
            unused = "dconv_2x2" if twice else "dconv_2x2_0"
            rules = tuple(one for one in rules if one[0] != unused)
        inner = translate(rest, rules, back=True)
        if inner is None:
            return None
        rest = f"{inner[1]}.{inner[2]}"
    return f"{module}.{rest}"


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


def _fuse(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo `_split_fused` for all weights."""
    fused: dict[str, Tensor] = {}
    for key, tensor in weights.items():
        part = re.fullmatch(r"(.*)\.([qkv])_proj\.(weight|bias)", key)
        in_vit = pattern_of(VIT_LAYER).match(key) is not None
        if part is None:
            name = key if in_vit else re.sub(r"\.o_proj\.(weight|bias)$", r".out_proj.\1", key)
            fused[name] = tensor
        elif part[2] == "q":
            names = [f"{part[1]}.{one}_proj.{part[3]}" for one in "qkv"]
            missing = [name for name in names if name not in weights]
            if missing:
                raise ModelError(f"{key!r} has no {missing[0]!r} beside it")
            name = f"{part[1]}.qkv.{part[3]}" if in_vit else f"{part[1]}.in_proj_{part[3]}"
            fused[name] = torch.cat([weights[name] for name in names])
    return fused
