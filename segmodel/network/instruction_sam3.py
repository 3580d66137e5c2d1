"""SAM 3 with an instruction head: the model behind every route.

Legend: N rows (prompts), B images (N or 1), Q queries, M mask side, S image side.
"""
# transformers' annotations hide what its modules and configurations hold.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportOptionalMemberAccess=false, reportGeneralTypeIssues=false, reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false, reportReturnType=false

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from transformers import CLIPTextConfig, Sam3LiteTextTextModel, Sam3Model
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.sam3.modeling_sam3 import (
    Sam3DetrDecoder,
    Sam3DetrEncoder,
    Sam3DotProductScoring,
    Sam3GeometryEncoder,
    Sam3ImageSegmentationOutput,
    Sam3MaskDecoder,
    Sam3VisionEncoderOutput,
)
from transformers.models.sam3_lite_text.modeling_sam3_lite_text import Sam3LiteTextTextEncoderLayer

from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.segmodel.checkpoints.official_files import (
    check_weights,
    published_config,
    read_official,
)
from sam3i_agent.segmodel.network.adapters import (
    BottleneckAdapter,
    InstructionClipLayer,
    InstructionDetrDecoderLayer,
    InstructionDetrEncoderLayer,
    InstructionLiteTextLayer,
    InstructionMaskEmbedder,
    InstructionTextLayer,
    TextAdapter,
)
from sam3i_agent.segmodel.network.attending import IN_PARTS
from sam3i_agent.segmodel.network.configuration import OFFICIAL_ADAPTER_SCALE, InstructionSam3Config
from sam3i_agent.segmodel.network.geometry import encode_empty_geometry
from sam3i_agent.segmodel.network.products import hasten
from sam3i_agent.segmodel.network.switch import LevelSwitch
from sam3i_agent.segmodel.tokenization import PAD_ID


class InstructionSam3(Sam3Model):
    """`Sam3Model` that gives the official numbers and follows instructions.

    Without an instruction head (`config.adapter_dim is None`) it is SAM 3 itself; with one, the
    levels `simple` and `complex` run through SAM3-I's adapters. The base weights keep the names of
    `Sam3Model`. Differences from the stock forward pass, all needed for the official numbers: the
    empty geometry prompt's token is always there, the text encoder sees no padding mask, and
    presence logits are not clamped.
    """

    config_class = InstructionSam3Config
    config: InstructionSam3Config
    geometry_encoder: Sam3GeometryEncoder
    detr_encoder: Sam3DetrEncoder
    detr_decoder: Sam3DetrDecoder
    mask_decoder: Sam3MaskDecoder
    dot_product_scoring: Sam3DotProductScoring

    def __init__(self, config: InstructionSam3Config) -> None:
        super().__init__(_with_clip(config) if config.has_lite_text else config)
        if config.has_lite_text:
            self._take_lite_text(config)
        self.detr_decoder.clamp_presence_logit_max_val = float("inf")
        self._switch = LevelSwitch()
        if config.has_instruction_head:
            self._replace_layers(config)
            self.post_init()
            self.start_head()
        hasten(self)
        if self.config._attn_implementation == "sdpa":
            self.config._attn_implementation = IN_PARTS  # and those of all parts

    def _take_lite_text(self, config: InstructionSam3Config) -> None:
        """Replace the stand-in of `_with_clip` by the text encoder of the configuration."""
        config._attn_implementation = self.config._attn_implementation
        self.config = config
        self.text_encoder = Sam3LiteTextTextModel(config.text_config)
        self.vocab_size = config.text_config.vocab_size
        self.post_init()

    def _replace_layers(self, config: InstructionSam3Config) -> None:
        switch = self._switch
        text_layers: Any
        if config.has_lite_text:
            text_layers = self.text_encoder.layers
            for index, layer in enumerate(text_layers):
                if isinstance(layer, Sam3LiteTextTextEncoderLayer):
                    text_layers[index] = InstructionLiteTextLayer(config, switch)
        else:
            text_layers = self.text_encoder.text_model.encoder.layers
            for index in range(len(text_layers)):
                text_layers[index] = InstructionClipLayer(config, switch)
        for index in range(len(self.detr_encoder.layers)):
            self.detr_encoder.layers[index] = InstructionDetrEncoderLayer(config, switch)
        for index in range(len(self.detr_decoder.layers)):
            self.detr_decoder.layers[index] = InstructionDetrDecoderLayer(config, switch)
        self.mask_decoder.mask_embedder = InstructionMaskEmbedder(config, switch)

    @torch.no_grad()
    def start_head(self) -> None:
        """Give the instruction head its starting weights: it changes nothing and can learn.

        The initialisation hook of transformers cannot do this: nested models bring their own, and
        it never touches a weight twice.
        """
        for module in self.modules():
            if isinstance(module, TextAdapter | BottleneckAdapter):
                module.reset_parameters()
        for module in self.modules():
            if isinstance(
                module,
                InstructionTextLayer | InstructionDetrEncoderLayer | InstructionDetrDecoderLayer,
            ):
                for projection in module.zero_at_start():
                    projection.weight.zero_()
                    projection.bias.zero_()
            elif isinstance(module, InstructionMaskEmbedder):
                base = module.layers.state_dict()
                module.simple.layers.load_state_dict(base)
                module.complex.layers.load_state_dict(base)

    @classmethod
    def from_official(
        cls, checkpoint_path: str | Path, config: InstructionSam3Config | None = None
    ) -> Self:
        """Load an official SAM 3 or SAM3-I file, `.pt` or `.safetensors`.

        Args:
            checkpoint_path: the file, with the keys of the official code, bare or wrapped as
                `{"model": ...}`, with or without the `detector.` prefix.
            config: sizes of the model; the published ones when None.

        Returns:
            The model in fp32 on the CPU, in evaluation mode. It has an instruction head when the
            file has adapters.

        Raises:
            ModelError: the file is no such checkpoint, is damaged, holds arbitrary pickles, or its
                keys or sizes do not fit `config`; the message names what is left over or missing.
        """
        path = Path(checkpoint_path)
        weights = read_official(path)
        if config is None:
            config = published_config(weights)
        with torch.device("meta"):
            expected = cls(config).state_dict()
        check_weights(weights, expected, path.name)
        with init.no_init_weights():
            model = cls(config)
        model.load_state_dict(weights, strict=True, assign=True)
        return model.eval()

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Self:
        """Load a folder or hub id that `save_pretrained` or transformers wrote.

        Args:
            *args: as `PreTrainedModel.from_pretrained`: folder or hub id first.
            **kwargs: as there; `adapter_dim=64` puts a fresh instruction head on a base model.

        Raises:
            ModelError: nothing usable is there, or weights are missing; the message names them.
        """
        fresh_head = kwargs.get("adapter_dim") is not None
        wants_info = kwargs.pop("output_loading_info", False)
        try:
            model, info = super().from_pretrained(*args, output_loading_info=True, **kwargs)
        except (OSError, RuntimeError, ValueError) as error:
            name = args[0] if args else kwargs.get("pretrained_model_name_or_path")
            raise ModelError(f"cannot load a model from {str(name)!r}: {error}") from error
        missing = sorted(info["missing_keys"])
        head = {key for key in model.state_dict() if is_instruction_head_key(key)}
        if fresh_head and head == set(missing):
            model.start_head()
            missing = []
        if missing:
            raise ModelError(f"{len(missing)} weights are missing, the first is {missing[0]!r}")
        return (model, info) if wants_info else model

    def with_fresh_head(
        self, adapter_dim: int, adapter_heads: int, adapter_scale: float = OFFICIAL_ADAPTER_SCALE
    ) -> Self:
        """Return this model, sharing its weights, with a new head that changes nothing yet.

        Args:
            adapter_dim: width of the adapters' bottleneck.
            adapter_heads: attention heads of a text adapter.
            adapter_scale: factor on the adapters of the DETR encoder and decoder.

        Raises:
            ModelError: it has a head already.
        """
        if self.config.has_instruction_head:
            raise ModelError("the base model has an instruction head of its own")
        values = self.config.to_dict() | {
            "adapter_dim": adapter_dim,
            "adapter_heads": adapter_heads,
            "adapter_scale": adapter_scale,
        }
        model = type(self)._from_config(
            type(self.config).from_dict(values),
            attn_implementation=self.config._attn_implementation,
            dtype=self.dtype,
        )
        model.load_state_dict(self.state_dict(), strict=False, assign=True)
        model.start_head()
        return model.train(self.training)

    @torch.no_grad()
    def copy_simple_to_complex(self) -> None:
        """Start the complex level where the simple one is (SAM3-I, stage 2).

        `complex_in` and the complex mask embedder become copies of the simple ones; `complex_out`
        starts with zero output projections, so that it changes nothing and can learn.
        """
        for module in self.modules():
            if isinstance(
                module,
                InstructionTextLayer | InstructionDetrEncoderLayer | InstructionDetrDecoderLayer,
            ):
                adapters = module.adapters
                adapters["complex_in"].load_state_dict(adapters["simple"].state_dict())
                adapters["complex_out"].reset_parameters()
                for projection in adapters["complex_out"].output_projections():
                    projection.weight.zero_()
                    projection.bias.zero_()
            elif isinstance(module, InstructionMaskEmbedder):
                module.complex.load_state_dict(module.simple.state_dict())

    def forward(
        self,
        pixel_values: Tensor | None = None,
        vision_embeds: Sam3VisionEncoderOutput | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        text_embeds: BaseModelOutputWithPooling | None = None,
        input_boxes: Tensor | None = None,
        input_boxes_labels: Tensor | None = None,
        level: InstructionLevel | Sequence[InstructionLevel] = InstructionLevel.CONCEPT,
        **kwargs: Any,
    ) -> Sam3ImageSegmentationOutput:
        """Segment by N prompts, each on its own image or all on one.

        Args:
            pixel_values: (B, 3, S, S) in -1..1; or
            vision_embeds: what `get_vision_features` returned for B images. B is N or 1.
            input_ids: (N, 32) int64, padded with 0 (other padding changes simple and complex).
            attention_mask: (N, 32), 1 = keep, 0 = padding; None derives it from the padding id.
            text_embeds: what `encode_text` returned for the N prompts, instead of `input_ids`.
            input_boxes: (N, K, 4) exemplar boxes, centre-size in 0..1 (needs torchvision).
            input_boxes_labels: (N, K) int64: 1 positive, 0 negative, -10 padding.
            level: one for all rows or one per row.
            **kwargs: passed to the stock forward pass.

        Returns:
            `pred_logits` (N, Q), `pred_boxes` (N, Q, 4) xyxy in 0..1, `pred_masks` (N, Q, M, M)
            logits, `presence_logits` (N, 1), `semantic_seg` (N, 1, M, M) logits. An instance's
            score is sigmoid(pred_logits) * sigmoid(presence_logits).

        Raises:
            InputError: a level needs the instruction head that this model lacks, or batch sizes
                do not fit.
        """
        if (pixel_values is None) == (vision_embeds is None):
            raise InputError("give exactly one of pixel_values and vision_embeds")
        if (input_ids is None) == (text_embeds is None):
            raise InputError("give exactly one of input_ids and text_embeds")
        if attention_mask is None:
            if input_ids is None:
                raise InputError("text_embeds needs its attention_mask")
            attention_mask = (input_ids != PAD_ID).long()
        rows = len(attention_mask)
        levels = self._levels_of(level, rows)
        if vision_embeds is None:
            vision_embeds = self.get_vision_features(pixel_values, **kwargs)
        with self._switch.set(levels):
            if text_embeds is None:
                text_embeds = self.encode_text(input_ids, levels)
            vision, prompt = vision_embeds, text_embeds.pooler_output
            repeated = _repeat_images(vision, rows)
            if input_boxes is None or input_boxes.numel() == 0:
                used = len(vision.fpn_hidden_states) - 2  # the coarsest level is never used
                geometry = encode_empty_geometry(
                    self.geometry_encoder,
                    vision.fpn_hidden_states[used],
                    vision.fpn_position_encoding[used],
                )
                prompt = torch.cat([prompt, geometry.expand(rows, -1, -1)], dim=1)
                attention_mask = torch.nn.functional.pad(attention_mask, (0, 1), value=1)
                input_boxes = input_boxes_labels = None
            return super().forward(
                vision_embeds=repeated,
                text_embeds=BaseModelOutputWithPooling(pooler_output=prompt),
                attention_mask=attention_mask,
                input_boxes=input_boxes,
                input_boxes_labels=input_boxes_labels,
                **kwargs,
            )

    def encode_text(
        self,
        input_ids: Tensor,
        level: InstructionLevel | Sequence[InstructionLevel] = InstructionLevel.CONCEPT,
    ) -> BaseModelOutputWithPooling:
        """Return text features whose `pooler_output` is (N, 32, C), for `forward(text_embeds=)`.

        Args:
            input_ids: (N, 32) int64.
            level: one for all rows or one per row; `forward` must get the same.
        """
        with self.at_level(level, len(input_ids)):
            # Official: a causal mask alone; the adapters' attention sees padding.
            return self.get_text_features(input_ids, attention_mask=None, return_dict=True)

    def at_level(
        self, level: InstructionLevel | Sequence[InstructionLevel], rows: int
    ) -> AbstractContextManager[None]:
        """Return a context in which the model's parts run at `level`, one or one per row.

        For code that calls the parts itself, as training does; `forward` sets its own.
        """
        return self._switch.set(self._levels_of(level, rows))

    def _levels_of(
        self, level: InstructionLevel | Sequence[InstructionLevel], rows: int
    ) -> tuple[InstructionLevel, ...]:
        if isinstance(level, str):
            levels = (InstructionLevel(level),) * rows
        else:
            levels = tuple(InstructionLevel(one) for one in level)
        if len(levels) != rows:
            raise InputError(f"{len(levels)} levels were given for {rows} prompts")
        self.check_levels(levels)
        return levels

    def check_levels(self, levels: Sequence[InstructionLevel]) -> None:
        """Check that the model has the parts for these levels.

        Raises:
            InputError: a level needs the instruction head that it lacks.
        """
        if not self.config.has_instruction_head and set(levels) - {InstructionLevel.CONCEPT}:
            raise InputError(
                "this model has no instruction head: it takes the concept level only",
                "load a SAM3-I checkpoint, or use the agent route",
            )


def _with_clip(config: InstructionSam3Config) -> InstructionSam3Config:
    """Return a configuration with a CLIP of no layers: `Sam3Model` builds no other text encoder."""
    stand_in = copy.copy(config)
    text = config.text_config
    stand_in.text_config = CLIPTextConfig(
        hidden_size=text.hidden_size,
        num_hidden_layers=0,
        num_attention_heads=1,
        vocab_size=1,
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=None,
    )
    return stand_in


def is_instruction_head_key(key: str) -> bool:
    """Whether a state-dict key belongs to the instruction head and not to the base model."""
    return ".adapters." in key or key.startswith(
        ("mask_decoder.mask_embedder.simple.", "mask_decoder.mask_embedder.complex.")
    )


def _repeat_images(vision: Sam3VisionEncoderOutput, rows: int) -> Sam3VisionEncoderOutput:
    """Show one image to all prompts, without copying it."""
    images = len(vision.fpn_hidden_states[0])
    if images not in (1, rows):
        raise InputError(f"{images} images do not fit {rows} prompts", "give 1, or one per prompt")
    return Sam3VisionEncoderOutput(
        fpn_hidden_states=tuple(t.expand(rows, -1, -1, -1) for t in vision.fpn_hidden_states),
        fpn_position_encoding=tuple(
            t[:1].expand(rows, -1, -1, -1) for t in vision.fpn_position_encoding
        ),
    )
