"""Official checkpoints to folders, and models to official checkpoints."""

import json
import logging
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedConfig, Sam3VideoConfig, Sam3VideoModel

from sam3i_agent.core.errors import InputError, ModelError, StorageError
from sam3i_agent.segmodel.checkpoints.heads import save_head
from sam3i_agent.segmodel.checkpoints.loading import load_model
from sam3i_agent.segmodel.checkpoints.official import (
    IGNORED,
    TRACKER_PREFIX,
    TRACKER_REASON,
    RenamedWeights,
    from_official,
)
from sam3i_agent.segmodel.checkpoints.official_files import (
    SAFETENSORS,
    check_weights,
    read_checkpoint,
    write_official,
)
from sam3i_agent.segmodel.checkpoints.official_tracker import (
    OUR_PREFIXES,
    tracker_from_official,
    tracker_to_official,
)
from sam3i_agent.segmodel.checkpoints.repository import path_of
from sam3i_agent.segmodel.network.configuration import InstructionSam3Config
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from sam3i_agent.segmodel.progress import hide_progress_unless_terminal

logger = logging.getLogger(__name__)

C = TypeVar("C", bound=PreTrainedConfig)
_TRACKER_CONFIG = "tracker_config"
_DETECTOR = "detector_model."
"""What transformers' video model calls the image model."""


def convert_checkpoint(
    checkpoint: Path, out: Path, config_path: Path | None = None, *, adapters_only: bool = False
) -> bool:
    """Write an official checkpoint as safetensors and configuration into the new folder `out`.

    A base SAM 3 goes with its tracker, laid out as `facebook/sam3` is, so that it takes clicks and
    remembers clips.

    Args:
        checkpoint: official SAM 3 or SAM3-I file, `.pt` or `.safetensors`.
        out: must not exist or be empty.
        config_path: configuration of a model of another size than the published one; that of a
            video model where the tracker is to go along.
        adapters_only: write the instruction head alone.

    Returns:
        Whether a tracker went along.

    Raises:
        InputError: `out` holds something, or a file is missing or no configuration.
        ModelError: see `InstructionSam3.from_official`; or there is no head to write.
        StorageError: `out` cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{str(out)!r} exists and is not an empty folder", "give another one")
    values = None if config_path is None else _read_values(config_path)
    hide_progress_unless_terminal()
    config = None if values is None else _config_of(values, InstructionSam3Config)
    model = InstructionSam3.from_official(checkpoint, config)
    if adapters_only and not model.config.has_instruction_head:
        raise ModelError(f"{checkpoint.name} has no adapters to write", "leave out --adapters-only")
    tracker = {} if model.config.has_instruction_head else _tracker_of(checkpoint, values)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        try:
            if adapters_only:
                save_head(model, staging)
            elif tracker:
                _save_with_tracker(model, tracker, values, staging, checkpoint.name)
            else:
                model.save_pretrained(staging)
            staging.chmod(0o755)
            if out.exists():
                out.rmdir()
            staging.rename(out)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise StorageError(f"{str(out)!r} cannot be written: {error.strerror}") from error
    return bool(tracker)


def _tracker_of(checkpoint: Path, values: dict[str, Any] | None) -> dict[str, Tensor]:
    """Return the tracker's weights in fp32; none where the file or the configuration has none."""
    if values is not None and _TRACKER_CONFIG not in values:
        return {}
    try:
        weights = tracker_from_official(_renamed(checkpoint).aside, checkpoint.name)
    except ModelError as error:
        logger.warning("%s; the image model is converted alone", error)
        return {}
    return {key: tensor.to(torch.float32) for key, tensor in weights.items()}


def _save_with_tracker(
    model: InstructionSam3,
    tracker: dict[str, Tensor],
    values: dict[str, Any] | None,
    folder: Path,
    source: str,
) -> None:
    """Write both halves as transformers' `Sam3VideoModel` has them."""
    config = Sam3VideoConfig() if values is None else _config_of(values, Sam3VideoConfig)
    config.architectures = [Sam3VideoModel.__name__]
    with torch.device("meta"):
        expected = Sam3VideoModel(config).state_dict()
    concepts = {_DETECTOR + key: tensor for key, tensor in model.state_dict().items()}
    check_weights(concepts | tracker, expected, source)
    config.save_pretrained(folder)
    # A file of safetensors takes no views, and no tensor twice: the tracker has one of two names.
    copies = {key: tensor.clone() for key, tensor in tracker.items()}
    weights = {key: tensor.contiguous() for key, tensor in (concepts | copies).items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def export_checkpoint(
    name: str, out: Path, kept_from: Path | None = None, *, detector_prefix: bool = False
) -> None:
    """Write a model as an official checkpoint.

    Args:
        name: of the model, as `--model` takes it.
        out: new file, `.pt` or `.safetensors`.
        kept_from: the official checkpoint that the model came from, whose weights that have no
            place here go along; with it, a model that was not changed becomes the same file again.
        detector_prefix: as base SAM 3 files have it; those of SAM3-I do not.

    Raises:
        InputError: there is no such model, or `out` exists or ends otherwise.
        ModelError: the model is no SAM 3, or `kept_from` is no official checkpoint.
        StorageError: `out` cannot be written.
    """
    aside = {} if kept_from is None else _renamed(kept_from).aside
    if detector_prefix:
        aside = aside | tracker_to_official(_read_tracker(path_of(name)))
    write_official(load_model(name), out, aside, detector_prefix=detector_prefix)


def _read_tracker(folder: Path) -> dict[str, Tensor]:
    """Return the tracker's weights of a folder of the video model; none where it has none."""
    found: dict[str, Tensor] = {}
    for path in sorted(folder.glob(f"*{SAFETENSORS}")) if folder.is_dir() else ():
        with safe_open(path, framework="pt") as weights:
            keys = [key for key in weights.keys() if key.startswith(OUR_PREFIXES)]
            found |= {key: weights.get_tensor(key) for key in keys}
    return found


def without_a_place(checkpoint: Path, *, with_tracker: bool) -> dict[str, int]:
    """Return why how many weights of an official checkpoint are not converted.

    Args:
        checkpoint: the file.
        with_tracker: whether its tracker was.

    Raises:
        InputError: there is no such file.
        ModelError: it is no official checkpoint.
    """
    found: dict[str, int] = {}
    for key in _renamed(checkpoint).aside:
        reason = _reason(key)
        if reason is not None and not (with_tracker and reason == TRACKER_REASON):
            found[reason] = found.get(reason, 0) + 1
    return found


def _reason(key: str) -> str | None:
    if key.startswith(TRACKER_PREFIX):
        return TRACKER_REASON
    return next((reason for pattern, reason in IGNORED if re.fullmatch(pattern, key)), None)


def _renamed(checkpoint: Path) -> RenamedWeights:
    return from_official(read_checkpoint(checkpoint), checkpoint.name)


def _read_values(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{str(path)!r} is no model configuration: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{str(path)!r} is no model configuration: it is no JSON object")
    return values


def _config_of(values: dict[str, Any], kind: type[C]) -> C:
    try:
        return kind.from_dict(values)
    except (ValueError, TypeError) as error:
        raise InputError(f"the configuration cannot be used: {error}") from error
