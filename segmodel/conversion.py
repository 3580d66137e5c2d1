"""Official checkpoints to folders, and instruction heads on their own.

A head folder holds `adapters.safetensors` and `adapter_config.json`, which names the base model it
goes on top of: a hub id or a folder, which may be edited.
"""

import json
import shutil
import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from sam3i_agent.segmodel.configuration import InstructionSam3Config
from sam3i_agent.segmodel.errors import InputError, ModelError, StorageError
from sam3i_agent.segmodel.instruction_sam3 import InstructionSam3, is_instruction_head_key
from sam3i_agent.segmodel.progress import hide_progress_unless_terminal

ADAPTERS_NAME = "adapters.safetensors"
ADAPTER_CONFIG_NAME = "adapter_config.json"
OFFICIAL_BASE = "facebook/sam3"


class AdapterConfig(BaseModel):
    """What a head folder says about its head."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_model: str = OFFICIAL_BASE
    adapter_dim: int
    adapter_heads: int
    adapter_scale: float


def convert_checkpoint(
    checkpoint: Path, out: Path, config_path: Path | None = None, *, adapters_only: bool = False
) -> None:
    """Write an official checkpoint as safetensors and configuration into the new folder `out`.

    Args:
        checkpoint: official SAM 3 or SAM3-I `.pt` file.
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


def save_head(model: InstructionSam3, folder: Path, base_model: str = OFFICIAL_BASE) -> None:
    """Write the instruction head of `model` into an existing folder."""
    config = model.config
    if config.adapter_dim is None:
        raise ModelError("the model has no instruction head")
    head = {
        key: tensor.contiguous()
        for key, tensor in model.state_dict().items()
        if is_instruction_head_key(key)
    }
    save_file(head, folder / ADAPTERS_NAME)
    about = AdapterConfig(
        base_model=base_model,
        adapter_dim=config.adapter_dim,
        adapter_heads=config.adapter_heads,
        adapter_scale=config.adapter_scale,
    )
    (folder / ADAPTER_CONFIG_NAME).write_text(about.model_dump_json(indent=2) + "\n", "utf-8")


def load_head(folder: Path, base_model: str | None = None) -> InstructionSam3:
    """Load a base model and put the head in `folder` on top of it.

    Args:
        folder: written by `save_head`.
        base_model: hub id or folder; None takes what the head's configuration names.

    Raises:
        ModelError: the head is damaged or does not fit the base model.
    """
    try:
        about = AdapterConfig.model_validate_json((folder / ADAPTER_CONFIG_NAME).read_bytes())
        head = load_file(folder / ADAPTERS_NAME)
    except (OSError, ValidationError, SafetensorError) as error:
        raise ModelError(f"{str(folder)!r} holds no usable instruction head: {error}") from error
    model = InstructionSam3.from_pretrained(
        base_model or about.base_model,
        adapter_dim=about.adapter_dim,
        adapter_heads=about.adapter_heads,
        adapter_scale=about.adapter_scale,
    )
    own = {
        key: tensor for key, tensor in model.state_dict().items() if is_instruction_head_key(key)
    }
    differing = sorted(
        own.keys() ^ head.keys()
        | {key for key in own.keys() & head.keys() if own[key].shape != head[key].shape}
    )
    if differing:
        raise ModelError(
            f"the head in {str(folder)!r} does not fit {base_model or about.base_model!r}: "
            f"{len(differing)} weights differ, the first is {differing[0]!r}"
        )
    model.load_state_dict(head, strict=False)
    return model.eval()


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
