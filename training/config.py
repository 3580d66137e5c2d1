"""What a training run does, read from one YAML file."""

from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sam3i_agent.segmodel.errors import InputError
from sam3i_agent.segmodel.levels import InstructionLevel
from sam3i_agent.training.matching import MatchCosts
from sam3i_agent.training.scenes import SceneLimits


class ModelSize(BaseModel):
    """The parts of a `Sam3Config` that make a small model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_size: int = 128
    """Side of the square input, in pixels."""
    patch_size: int = 8
    """In pixels."""
    window_size: int = 8
    """Attention window of the local ViT layers, in patches."""
    vision_width: int = 160
    vision_layers: int = 6
    global_layers: tuple[int, ...] = (1, 3, 5)
    vocabulary_size: int = 8192
    text_width: int = 96
    text_layers: int = 2
    width: int = 64
    """Channels of neck, DETR and mask head."""
    heads: int = 4
    """Of the vision and text encoders."""
    detr_heads: int = 2
    """Of neck, DETR and mask head; 32 channels each, as at full size."""
    feedforward: int = 256
    encoder_layers: int = 2
    decoder_layers: int = 3
    queries: int = 25


class LossWeights(BaseModel):
    """Weights of the summed losses; 0 switches one off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    class_focal: float = 2.0
    box_l1: float = 5.0
    box_giou: float = 2.0
    mask_bce: float = 2.0
    mask_dice: float = 4.0
    presence: float = 2.0
    semantic_bce: float = 1.0
    semantic_dice: float = 1.0
    dense: float = 1.0
    """The dense head on the neck's finest level: shape, colour, texture, object box per cell."""


class TrainConfig(BaseModel):
    """A run on generated scenes at the concept level."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    output: Path
    """Folder for checkpoints, log and the finished model; relative to the working directory."""
    level: Literal[InstructionLevel.CONCEPT, InstructionLevel.SIMPLE] = InstructionLevel.CONCEPT
    """`concept` trains a whole model; `simple` its simple adapters alone, all else frozen."""
    start_from: Path | None = None
    """Model folder that a head is trained on; not for `concept`, which starts from nothing."""
    adapter_dim: int = 32
    """Width of a new head's bottlenecks."""
    seed: int = 1
    """Names the series of training scenes, and starts the weights."""
    steps: int
    """Optimizer steps in all."""
    dense_steps: int = 0
    """The first so many steps train the image side alone on the dense head."""
    dense_images: int = 32
    """Pictures per step in that time."""
    images: int = 8
    """Pictures per step afterwards."""
    phrases_per_image: int = 8
    learning_rate: float = 7e-4
    """Peak; linear warm-up, cosine to a twentieth."""
    warmup_steps: int = 200
    weight_decay: float = 0.05
    gradient_clip: float = 1.0
    """Largest gradient norm."""
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the averaged weights that are shipped; 0 = the raw weights."""
    checkpoint_every: int = 500
    """Steps between checkpoints; a killed run loses at most these."""
    workers: int = 1
    """Background processes that draw scenes, 0 or 1."""
    bf16: bool = True
    """Run the model under bf16 autocast; losses and weights stay fp32."""
    device: str = "auto"
    """`auto` takes CUDA, then MPS, then the CPU."""
    scenes: SceneLimits = SceneLimits()
    model: ModelSize = ModelSize()
    losses: LossWeights = LossWeights()
    match_costs: MatchCosts = MatchCosts()

    @model_validator(mode="after")
    def _check_level(self) -> Self:
        head = self.level is not InstructionLevel.CONCEPT
        if head != (self.start_from is not None):
            raise ValueError("start_from goes with level simple, and only with it")
        if head and self.dense_steps:
            raise ValueError("dense_steps train the image side, which is frozen at level simple")
        return self


def read_config(path: Path) -> TrainConfig:
    """Read and check a YAML file.

    Raises:
        InputError: it cannot be read, or has unknown keys or values out of range; the message
            names them.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return TrainConfig.model_validate(content)
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{str(path)!r} is no YAML file: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{str(path)!r}: {where}: {first['msg']}") from error
