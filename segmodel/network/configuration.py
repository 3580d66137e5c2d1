"""Configuration of a SAM 3 with an instruction head."""

from collections.abc import Sequence
from typing import Any, Self

from huggingface_hub.dataclasses import strict
from transformers import Sam3Config

OFFICIAL_VIT_EPS = 1e-5
"""LayerNorm epsilon of the official ViT; transformers defaults to 1e-6."""
_TEXT_MODEL_TYPE = "clip_text_model"
LITE_TEXT_MODEL_TYPE = "sam3_lite_text_text_model"
_LITE_TYPE = "sam3_lite_text"
_LITE_PARTS = ("geometry_encoder", "detr_encoder", "detr_decoder", "mask_decoder")
"""Of which SAM3-LiteText has copies under other names; they compute the same."""
_VIT_MODEL_TYPE = "sam3_vit_model"
OFFICIAL_ADAPTER_DIM = 64
OFFICIAL_ADAPTER_HEADS = 4
OFFICIAL_ADAPTER_SCALE = 1.0


@strict
class InstructionSam3Config(Sam3Config):
    """A `Sam3Config` plus the adapters.

    `adapter_dim` is the width of the adapters' bottleneck, None for a model without instruction
    head; `adapter_heads` the attention heads of a text adapter; `adapter_scale` the factor on the
    adapters of the DETR encoder and decoder (the official text adapters ignore it, so ours do).
    `takes_exemplars` says whether it was trained on example boxes.
    Unless told otherwise the ViT's LayerNorm epsilon is the official 1e-5.
    """

    model_type = "instruction_sam3"

    adapter_dim: int | None = None
    adapter_heads: int = OFFICIAL_ADAPTER_HEADS
    adapter_scale: float = OFFICIAL_ADAPTER_SCALE
    takes_exemplars: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in what a dictionary leaves out: kinds of encoders and the official ViT epsilon."""
        if isinstance(self.text_config, dict):
            self.text_config = {"model_type": _TEXT_MODEL_TYPE, **self.text_config}
        if self.vision_config is None:
            self.vision_config = {}
        if isinstance(self.vision_config, dict):
            backbone = self.vision_config.get("backbone_config")
            if backbone is None:
                backbone = {}
            if isinstance(backbone, dict):
                backbone = {
                    "model_type": _VIT_MODEL_TYPE,
                    "layer_norm_eps": OFFICIAL_VIT_EPS,
                    **backbone,
                }
            self.vision_config = {**self.vision_config, "backbone_config": backbone}
        super().__post_init__(**kwargs)

    @property
    def has_lite_text(self) -> bool:
        """Whether the text encoder is that of SAM3-LiteText."""
        return getattr(self.text_config, "model_type", None) == LITE_TEXT_MODEL_TYPE

    @property
    def has_instruction_head(self) -> bool:
        """Whether the simple and complex levels have weights of their own."""
        return self.adapter_dim is not None

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Self:
        """Build from a saved configuration, also that of `facebook/sam3` or SAM3-LiteText.

        The published repository holds the video model's configuration with the image model inside
        it, and leaves the ViT's epsilon at the default of transformers.
        """
        values = dict(config_dict)
        if "detector_config" in values:
            values = dict(values["detector_config"])
        if values.get("model_type") != cls.model_type:
            values.pop("architectures", None)
            vision = dict(values.get("vision_config") or {})
            backbone = dict(vision.get("backbone_config") or {})
            backbone["layer_norm_eps"] = OFFICIAL_VIT_EPS
            values["vision_config"] = {**vision, "backbone_config": backbone}
            if values.get("model_type") == _LITE_TYPE:
                values |= _plain_parts(values)
            values["model_type"] = cls.model_type
        return super().from_dict(values, **kwargs)


def feature_sizes(grid: int, scale_factors: Sequence[float]) -> list[list[int]]:
    """Return height and width of the neck's levels, in cells, without the coarsest one.

    Args:
        grid: patches a side.
        scale_factors: of the levels against the grid, finest first; the last is never used.
    """
    return [[int(grid * scale)] * 2 for scale in scale_factors[:-1]]


def _plain_parts(lite: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of SAM3-LiteText's configuration as those of SAM 3."""
    names = [f"{part}_config" for part in _LITE_PARTS]
    return {
        **{name: _without_type(lite.get(name)) for name in names},
        "text_config": {
            **_without_type(lite.get("text_config")),
            "model_type": LITE_TEXT_MODEL_TYPE,
        },
    }


def _without_type(values: dict[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (values or {}).items() if key != "model_type"}
