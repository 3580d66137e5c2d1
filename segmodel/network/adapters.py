"""SAM3-I's adapters, and the stock layers that carry them.

The three adapters of a layer are named by what they serve: `simple` (official `adapter1`),
`complex_in` (`adapter12`) and `complex_out` (`adapter2`); a complex instruction passes
`complex_in`, then `complex_out`. A fresh adapter changes nothing: the output projections named by
`zero_at_start` are zero, and only those, so it still learns (the official initialisation zeroes
all of it, which it cannot leave).

Shapes: N rows, T tokens, C channels of the layer, A the bottleneck's width.
"""
# transformers' annotations hide what its modules and configurations hold.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportOptionalMemberAccess=false

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad
from transformers.models.clip.modeling_clip import CLIPEncoderLayer
from transformers.models.sam3.modeling_sam3 import (
    Sam3DetrDecoderLayer,
    Sam3DetrEncoderLayer,
    Sam3MaskEmbedder,
)
from transformers.models.sam3_lite_text.modeling_sam3_lite_text import Sam3LiteTextTextEncoderLayer

from sam3i_agent.segmodel.network.configuration import InstructionSam3Config
from sam3i_agent.segmodel.network.switch import LevelSwitch

_TOKENS_FOR_CPU = 2048
"""That go through an MLP at a time: what it makes of them stays below the 32 MiB from which glibc
asks the system for memory, and gives it back, each time."""


class TextAdapter(nn.Module):
    """Full-width self-attention and a bottleneck, each with its own skip connection.

    The attention has no mask: it is not causal, and padding takes part, as in the official code.
    """

    def __init__(self, width: int, bottleneck: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.down_proj = nn.Linear(width, bottleneck)
        self.up_proj = nn.Linear(bottleneck, width)

    def reset_parameters(self) -> None:
        """Draw new weights, Xavier for the projections."""
        nn.init.xavier_uniform_(self.attention.in_proj_weight)
        nn.init.zeros_(self.attention.in_proj_bias)
        _reset(self.norm1, self.attention.out_proj, self.norm2, self.down_proj, self.up_proj)

    def forward(self, tokens: Tensor) -> Tensor:
        """Replace (N, T, C) tokens."""
        normed = self.norm1(tokens)
        attended, _ = self.attention(normed, normed, normed, need_weights=False)
        tokens = tokens + attended
        return tokens + self.up_proj(gelu(self.down_proj(self.norm2(tokens))))

    def output_projections(self) -> tuple[nn.Linear, ...]:
        """Return the layers whose zero makes the adapter do nothing."""
        return self.attention.out_proj, self.up_proj


class BottleneckAdapter(nn.Module):
    """Down, LayerNorm on the narrow side, GELU, up; no skip connection of its own."""

    def __init__(self, width: int, bottleneck: int) -> None:
        super().__init__()
        self.down_proj = nn.Linear(width, bottleneck)
        self.norm = nn.LayerNorm(bottleneck)
        self.up_proj = nn.Linear(bottleneck, width)

    def reset_parameters(self) -> None:
        """Draw new weights, Xavier for the projections."""
        _reset(self.down_proj, self.norm, self.up_proj)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the change of (N, T, C) tokens."""
        return self.up_proj(gelu(self.norm(self.down_proj(tokens))))

    def output_projections(self) -> tuple[nn.Linear, ...]:
        """Return the layers whose zero makes the adapter do nothing."""
        return (self.up_proj,)


def _reset(*layers: nn.Linear | nn.LayerNorm) -> None:
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        else:
            layer.reset_parameters()


def _one_per_path(build: Callable[[], nn.Module]) -> nn.ModuleDict:
    return nn.ModuleDict({name: build() for name in ("simple", "complex_in", "complex_out")})


def _output_projections(adapters: nn.ModuleDict, *names: str) -> list[nn.Linear]:
    return [layer for name in names for layer in adapters[name].output_projections()]


def _bottleneck_width(config: InstructionSam3Config) -> int:
    if config.adapter_dim is None:
        raise ValueError("adapter_dim is None: the model has no instruction head")
    return config.adapter_dim


class InstructionTextLayer(nn.Module):
    """A text block whose adapter replaces the residual stream before the MLP's output joins it.

    Mixed into a stock block with `layer_norm1`, `self_attn`, `layer_norm2` and `mlp`.
    """

    def __init__(self, config: InstructionSam3Config, switch: LevelSwitch) -> None:
        super().__init__(config.text_config)
        width, narrow = config.text_config.hidden_size, _bottleneck_width(config)
        self.adapters = _one_per_path(lambda: TextAdapter(width, narrow, config.adapter_heads))
        self._switch = switch

    def zero_at_start(self) -> list[nn.Linear]:
        """Return the projections that make a fresh layer the stock one."""
        return _output_projections(self.adapters, "simple", "complex_in", "complex_out")

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None, **kwargs: Any
    ) -> Tensor:
        """Run the block on (N, T, C)."""
        normed = self.layer_norm1(hidden_states)
        attended, _ = self.self_attn(hidden_states=normed, attention_mask=attention_mask, **kwargs)
        hidden_states = hidden_states + attended
        change = self.mlp(self.layer_norm2(hidden_states))
        adapters = self.adapters
        hidden_states = self._switch.route(
            hidden_states,
            simple=adapters["simple"],
            complex_=lambda rows: adapters["complex_out"](adapters["complex_in"](rows)),
        )
        return hidden_states + change


class InstructionClipLayer(InstructionTextLayer, CLIPEncoderLayer):
    """A block of SAM 3's text encoder."""


class InstructionLiteTextLayer(InstructionTextLayer, Sam3LiteTextTextEncoderLayer):
    """An attention block of SAM3-LiteText's text encoder; its convolutions have no adapters."""


class InstructionDetrEncoderLayer(Sam3DetrEncoderLayer):
    """A DETR encoder layer; the adapter joins the residual stream beside the MLP.

    `complex_out` has a skip connection here, the others have none (official encoder).
    """

    def __init__(self, config: InstructionSam3Config, switch: LevelSwitch) -> None:
        super().__init__(config.detr_encoder_config)
        width, narrow = config.detr_encoder_config.hidden_size, _bottleneck_width(config)
        self.adapters = _one_per_path(lambda: BottleneckAdapter(width, narrow))
        self._scale = config.adapter_scale
        self._switch = switch

    def zero_at_start(self) -> list[nn.Linear]:
        """Return the projections that make a fresh layer the stock one."""
        return _output_projections(self.adapters, "simple", "complex_in", "complex_out")

    def _simple(self, rows: Tensor) -> Tensor:
        return rows + self._scale * self.adapters["simple"](rows)

    def _complex(self, rows: Tensor) -> Tensor:
        inner = self.adapters["complex_in"](rows)
        return rows + self._scale * (self.adapters["complex_out"](inner) + inner)

    def adapted(self, cells: Tensor) -> Tensor:
        """Return what the MLP's change of (N, T, C) vision tokens is added to."""
        return self._switch.route(cells, simple=self._simple, complex_=self._complex)

    def forward(
        self,
        vision_feats: Tensor,
        prompt_feats: Tensor,
        vision_pos_encoding: Tensor,
        prompt_cross_attn_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Run the layer on (N, T, C) vision tokens."""
        seen = attend_to_image(self, vision_feats, vision_pos_encoding, **kwargs)
        return attend_to_prompt(self, seen, prompt_feats, prompt_cross_attn_mask, **kwargs)


def attend_to_image(layer: nn.Module, cells: Tensor, positions: Tensor, **kwargs: Any) -> Tensor:
    """Run the first half of a DETR encoder layer on (N, T, C) vision tokens, without a prompt."""
    normed = layer.layer_norm1(cells)
    placed = normed + positions
    attended, _ = layer.self_attn(query=placed, key=placed, value=normed, **kwargs)
    return layer.dropout(attended) + cells


def attend_to_prompt(
    layer: nn.Module,
    cells: Tensor,
    prompt: Tensor,
    attention_mask: Tensor | None,
    **kwargs: Any,
) -> Tensor:
    """Run the second half of a DETR encoder layer on (N, T, C) vision tokens."""
    attended, _ = layer.cross_attn(
        query=layer.layer_norm2(cells),
        key=prompt,
        value=prompt,
        attention_mask=attention_mask,
        **kwargs,
    )
    cells = layer.dropout(attended) + cells
    change = layer.dropout(_in_parts(layer.mlp, layer.layer_norm3(cells)))
    if isinstance(layer, InstructionDetrEncoderLayer):
        return change + layer.adapted(cells)
    return change + cells


def _in_parts(mlp: nn.Module, tokens: Tensor) -> Tensor:
    """Return `mlp(tokens)`, of (N, T, C)."""
    if tokens.device.type != "cpu" or torch.is_grad_enabled() or tokens.shape[1] <= _TOKENS_FOR_CPU:
        return mlp(tokens)
    return torch.cat([mlp(part) for part in tokens.split(_TOKENS_FOR_CPU, dim=1)], dim=1)


class InstructionDetrDecoderLayer(Sam3DetrDecoderLayer):
    """A DETR decoder layer (post-norm); adapter and MLP join before the last norm.

    The presence token is one of the tokens. No adapter has a skip connection of its own.
    """

    def __init__(self, config: InstructionSam3Config, switch: LevelSwitch) -> None:
        super().__init__(config.detr_decoder_config)
        width, narrow = config.detr_decoder_config.hidden_size, _bottleneck_width(config)
        self.adapters = _one_per_path(lambda: BottleneckAdapter(width, narrow))
        self._scale = config.adapter_scale
        self._switch = switch

    def zero_at_start(self) -> list[nn.Linear]:
        """Return the projections that make a fresh layer the stock one.

        `complex_in` is not among them: without a skip connection around it, a zero there would
        keep all gradient from both complex adapters.
        """
        return _output_projections(self.adapters, "simple", "complex_out")

    def _simple(self, rows: Tensor) -> Tensor:
        return rows + self._scale * self.adapters["simple"](rows)

    def _complex(self, rows: Tensor) -> Tensor:
        inner = self.adapters["complex_in"](rows)
        return rows + self._scale * self.adapters["complex_out"](inner)

    def forward(
        self,
        hidden_states: Tensor,
        query_pos: Tensor,
        text_features: Tensor,
        vision_features: Tensor,
        vision_pos_encoding: Tensor,
        text_cross_attn_mask: Tensor | None = None,
        vision_cross_attn_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Run the layer on (N, 1 + Q, C): the presence token, then the queries."""
        query_pos = pad(query_pos, (0, 0, 1, 0))  # the presence token has no position
        placed = hidden_states + query_pos
        attended, _ = self.self_attn(
            query=placed, key=placed, value=hidden_states, attention_mask=None, **kwargs
        )
        hidden_states = self.self_attn_layer_norm(hidden_states + self.self_attn_dropout(attended))
        attended, _ = self.text_cross_attn(
            query=hidden_states + query_pos,
            key=text_features,
            value=text_features,
            attention_mask=text_cross_attn_mask,
            **kwargs,
        )
        hidden_states = self.text_cross_attn_layer_norm(
            hidden_states + self.text_cross_attn_dropout(attended)
        )
        attended, _ = self.vision_cross_attn(
            query=hidden_states + query_pos,
            key=vision_features + vision_pos_encoding,
            value=vision_features,
            attention_mask=vision_cross_attn_mask,
            **kwargs,
        )
        hidden_states = self.vision_cross_attn_layer_norm(
            hidden_states + self.vision_cross_attn_dropout(attended)
        )
        change = self.mlp_dropout(self.mlp(hidden_states))
        adapted = self._switch.route(hidden_states, simple=self._simple, complex_=self._complex)
        return self.mlp_layer_norm(adapted + change)


class InstructionMaskEmbedder(Sam3MaskEmbedder):
    """A mask embedder per level; its own layers serve the concept level."""

    def __init__(self, config: InstructionSam3Config, switch: LevelSwitch) -> None:
        super().__init__(config.mask_decoder_config)
        self.simple = Sam3MaskEmbedder(config.mask_decoder_config)
        self.complex = Sam3MaskEmbedder(config.mask_decoder_config)
        self._switch = switch

    def forward(self, queries: Tensor) -> Tensor:
        """Embed (N, Q, C) queries."""
        return self._switch.route(
            queries, concept=super().forward, simple=self.simple, complex_=self.complex
        )
