"""Official checkpoints to folders, and models to official checkpoints."""

import json
import re
import shutil
import tempfile
from pathlib import Path

from sam3i_agent.core.errors import InputError, ModelError, StorageError
from sam3i_agent.segmodel.checkpoints.heads import save_head
from sam3i_agent.segmodel.checkpoints.loading import load_model
from sam3i_agent.segmodel.checkpoints.official import (
    IGNORED,
    TRACKER_PREFIX,
    RenamedWeights,
    from_official,
)
from sam3i_agent.segmodel.checkpoints.official_files import read_checkpoint, write_official
from sam3i_agent.segmodel.network.configuration import InstructionSam3Config
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from sam3i_agent.segmodel.progress import hide_progress_unless_terminal


def convert_checkpoint(
    checkpoint: Path, out: Path, config_path: Path | None = None, *, adapters_only: bool = False
) -> None:
    """Write an official checkpoint as safetensors and configuration into the new folder `out`.

    Args:
        checkpoint: official SAM 3 or SAM3-I file, `.pt` or `.safetensors`.
        out: must not exist or be empty.
        config_path: configuration of a model of another size than the published one.
        adapters_only: write the instruction head alone.

    Raises:
        InputError: `out` holds something, or a file is missing or no configuration.
        ModelError: see `InstructionSam3.from_official`; or there is no head to write.
        StorageError: `out` cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{str(out)!r} exists and is not an empty folder", "give another one")
    config = None if config_path is None else _read_config(config_path)
    hide_progress_unless_terminal()
    model = InstructionSam3.from_official(checkpoint, config)
    if adapters_only and not model.config.has_instruction_head:
        raise ModelError(f"{checkpoint.name} has no adapters to write", "leave out --adapters-only")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        try:
            if adapters_only:
                save_head(model, staging)
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
    aside = None if kept_from is None else _renamed(kept_from).aside
    write_official(load_model(name), out, aside, detector_prefix=detector_prefix)


def without_a_place(checkpoint: Path) -> dict[str, int]:
    """Return why how many weights of an official checkpoint are not converted.

    Raises:
        InputError: there is no such file.
        ModelError: it is no official checkpoint.
    """
    found: dict[str, int] = {}
    for key in _renamed(checkpoint).aside:
        if (reason := _reason(key)) is not None:
            found[reason] = found.get(reason, 0) + 1
    return found


def _reason(key: str) -> str | None:
    if key.startswith(TRACKER_PREFIX):
        return "the video tracker, which is a model of its own"
    return next((reason for pattern, reason in IGNORED if re.fullmatch(pattern, key)), None)


def _renamed(checkpoint: Path) -> RenamedWeights:
    return from_official(read_checkpoint(checkpoint), checkpoint.name)


def _read_config(path: Path) -> InstructionSam3Config:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it is no JSON object")
        return InstructionSam3Config.from_dict(values)
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise InputError(f"{str(path)!r} is no model configuration: {error}") from error
