"""What a training run does, read from one YAML file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sam3i_agent.core.errors import InputError
from sam3i_agent.data.kinds import InstructionKind
from sam3i_agent.data.scenes import SceneLimits
from sam3i_agent.training.losses.matching import MatchCosts
from sam3i_agent.training.model_size import ModelSize
from sam3i_agent.training.stages import Stage


class LossWeights(BaseModel):
    """Weights of the summed losses; 0 switches one off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    class_focal: float = 2.0
    class_positive_weight: float = 10.0
    """Of the matched queries within the class loss, as in the SAM 3 recipe."""
    class_iou: float = 0.0
    """In place of `class_focal` in the official recipe: a matched query is to score as high as its
    box is good."""
    box_l1: float = 5.0
    box_giou: float = 2.0
    mask_bce: float = 2.0
    mask_focal: float = 0.0
    mask_dice: float = 4.0
    presence: float = 2.0
    """Cross entropy: a calibrated presence."""
    presence_focal: float = 0.0
    """Focal with positives weighted by 10, as in the SAM 3 recipe."""
    semantic_bce: float = 1.0
    semantic_focal: float = 0.0
    semantic_dice: float = 1.0
    dense: float = 1.0
    """The dense head on the neck's finest level: shape, colour, texture, object box per cell."""
    one_to_many: float = 0.0
    """Factor on the losses of the one-to-many branch, 2 in the official recipe; 0 leaves the branch
    out."""
    semantic_kl: float = 0.001
    """This and the following belong to the stage `align` (official weights)."""
    disagreement: float = 1.0
    info_nce: float = 1.0
    concept_margin: float = 1.0
    empty_prompt: float = 50.0
    """Of the stage `exemplars`: squared distance of the token that a prompt without boxes gets from
    the one it had before."""


class DataPart(BaseModel):
    """One dataset of several that are mixed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    """Of any format of `data.formats.registry`."""
    images: Path | None = None
    """Where the photos are, if not beside it."""
    weight: float | None = Field(default=None, gt=0)
    """Its share of the pictures against the others'; None takes how many it has."""


class TrainConfig(BaseModel):
    """A run of one stage, on generated scenes or on a dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    output: Path
    """Folder for checkpoints, log and the finished model; relative to the working directory."""
    stage: Stage = Stage.CONCEPT
    start_from: str | None = None
    """Model to go on from, as `--model` takes it; only `concept` may start from nothing. A model
    without an instruction head gets a fresh one for the other stages."""
    image_size: Annotated[int, Field(ge=1)] | None = None
    """Side of the model's input from here on, in pixels; None leaves that of `start_from`."""
    window_size: Annotated[int, Field(ge=1)] | None = None
    """Attention window of the local ViT layers that goes with it, in patches."""
    complex_from_simple: bool = False
    """Start the complex adapters as copies of the simple ones, as stage 2 does."""
    data: Path | tuple[DataPart, ...] | None = None
    """Dataset to train on, of any format of `data.formats.registry`, or several that are mixed;
    None draws scenes."""
    recipe: Literal["ours", "official"] = "ours"
    """Whose detection losses: `training.losses.detection` or `training.losses.official`."""
    adapter_dim: int = 32
    """Width of a new head's bottlenecks; 64 at full size."""
    adapter_heads: int = 4
    """Attention heads of a new head's text adapters."""
    seed: int = 1
    """Names the series of training scenes, shuffles a dataset, and starts the weights."""
    steps: int = Field(ge=1)
    """Optimizer steps in all."""
    dense_steps: int = Field(default=0, ge=0)
    """The first so many steps train the image side alone on the dense head."""
    dense_images: int = Field(default=32, ge=1)
    """Pictures per step in that time."""
    images: int = Field(default=8, ge=1)
    """Pictures per batch afterwards."""
    samples_per_image: int = Field(default=8, ge=1)
    accumulate: int = Field(default=1, ge=1)
    """Batches whose gradients are added up before a step."""
    learning_rate: float = Field(default=7e-4, gt=0)
    """Peak, after a linear warm-up."""
    schedule: Literal["cosine", "inverse_square_root"] = "cosine"
    """After the warm-up: to a twentieth along a cosine; or with the root of the steps, and down to
    0 over the last `cooldown_steps`, as published."""
    schedule_timescale: int = Field(default=3, ge=1)
    """Steps after which the inverse square root has begun to fall."""
    cooldown_steps: int = Field(default=3, ge=0)
    text_rate_factor: float = Field(default=1.0, gt=0)
    """Rate of the text encoder relative to the rest; 1/16 in the official settings."""
    head_rate_factor: float = Field(default=1.0, gt=0)
    """Rate of the instruction head relative to the rest, where both are trained."""
    warmup_steps: int = Field(default=200, ge=1)
    weight_decay: float = 0.05
    adam_beta2: float = Field(default=0.98, gt=0, lt=1)
    gradient_clip: float = 1.0
    """Largest gradient norm."""
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the averaged weights that are shipped; 0 = the raw weights."""
    checkpoint_every: int = Field(default=500, ge=1)
    """Steps between checkpoints; a killed run loses at most these."""
    workers: int = Field(default=1, ge=0)
    """Background processes that prepare batches."""
    bf16: bool = True
    """Run the model under bf16 autocast; losses and weights stay fp32."""
    device: Literal["auto", "cpu"] = "auto"
    """`auto` takes CUDA, then MPS, then the CPU."""
    scenes: SceneLimits = SceneLimits()
    """Of plain shapes; everyday scenes have their own."""
    everyday_share: float = Field(default=0.0, ge=0, le=1)
    """Of the generated scenes, how many are of everyday things, with reworded texts."""
    favoured: dict[InstructionKind, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """How many times as many turns as others the texts of a kind get, where scenes are drawn."""
    turns: tuple[Stage, ...] = ()
    """Of stage `joint`: whose texts the batches ask for, one after another, over and over."""
    model: ModelSize = ModelSize()
    losses: LossWeights = LossWeights()
    match_costs: MatchCosts = MatchCosts()

    def deciding_settings(self) -> dict[str, Any]:
        """Return what decides the weights that come out, as JSON values.

        The rest (where they are written, how often, on what device) may change in mid-run.
        """
        return self.model_dump(
            mode="json", exclude={"output", "checkpoint_every", "workers", "device"}
        )

    @model_validator(mode="after")
    def _check_stage(self) -> Self:
        if self.stage.trains_head and self.start_from is None:
            raise ValueError(f"stage {self.stage} needs start_from: the model that gets the head")
        if self.stage is Stage.EXEMPLARS and (self.start_from is None or self.data is not None):
            raise ValueError("stage exemplars needs start_from, and generated scenes")
        if (self.stage is Stage.JOINT) != bool(self.turns):
            raise ValueError("stage joint needs turns, and no other stage takes them")
        if {Stage.ALIGN, Stage.JOINT} & set(self.turns):
            raise ValueError("turns are of concept, exemplars, simple and complex")
        if self.stage is Stage.JOINT and self.data is not None:
            raise ValueError("stage joint needs generated scenes")
        if self.dense_steps and (not self.stage.trains_base or self.data is not None):
            raise ValueError("dense_steps go with stages concept and joint on generated scenes")
        if self.image_size and (self.start_from is None or not self.stage.trains_base):
            raise ValueError("image_size goes with start_from and stages that train the base")
        if self.window_size and not self.image_size:
            raise ValueError("window_size goes with image_size")
        if self.complex_from_simple and self.stage is not Stage.COMPLEX:
            raise ValueError("complex_from_simple goes with stage complex")
        return self


def read_config(path: Path, changes: Sequence[str] = ()) -> TrainConfig:
    """Read and check a YAML file.

    Args:
        path: the file.
        changes: `key=value` each, with dots between nested keys (`losses.info_nce=0`); values are
            YAML.

    Raises:
        InputError: it cannot be read, or has unknown keys or values out of range; the message
            names them.
    """
    try:
        return TrainConfig.model_validate(read_settings(path, changes))
    except ValidationError as error:
        raise first_problem(path, error) from error


def read_settings(path: Path, changes: Sequence[str] = ()) -> dict[str, Any]:
    """Read a YAML file's mapping and change it, unchecked.

    Args:
        path: the file.
        changes: as `read_config` takes them.

    Raises:
        InputError: it cannot be read, or is no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{str(path)!r} is no YAML file: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{str(path)!r}: the file holds no settings")
    for change in changes:
        _apply(content, change)
    return content


def first_problem(path: Path, error: ValidationError) -> InputError:
    """Return what is wrong with a file's settings, as one error."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    return InputError(f"{str(path)!r}: {where}: {first['msg']}")


def _apply(content: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    if not equals or not key:
        raise InputError(f"--set takes KEY=VALUE, not {change!r}")
    *parents, last = key.split(".")
    for parent in parents:
        content = content.setdefault(parent, {})
    content[last] = yaml.safe_load(value)
