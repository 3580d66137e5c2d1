"""Instruction heads on their own: `adapters.safetensors` and `instruction_head.json` in a folder.

The configuration names the base model the head goes on top of and may be edited: a hub id, a
folder, a model's short name, or `.` for a base model in the same folder.
"""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from sam3i_agent.core.errors import ModelError
from sam3i_agent.segmodel.checkpoints.repository import (
    ADAPTERS_NAME,
    HEAD_CONFIG_NAME,
    OFFICIAL_BASE,
    AdapterConfig,
    read_head_config,
)
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3, is_instruction_head_key


def save_head(model: InstructionSam3, folder: Path, base_model: str = OFFICIAL_BASE) -> None:
    """Write the instruction head of `model`, in its dtype, into an existing folder.

    Raises:
        ModelError: it has none.
    """
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
    (folder / HEAD_CONFIG_NAME).write_text(about.model_dump_json(indent=2) + "\n", "utf-8")


def attach_head(base: InstructionSam3, folder: Path) -> InstructionSam3:
    """Return the model of `base` with the head in `folder`; they share the base weights.

    Args:
        base: a model without instruction head.
        folder: written by `save_head`.

    Raises:
        ModelError: the head is damaged or does not fit the base model.
    """
    about = read_head_config(folder)
    try:
        head = load_file(folder / ADAPTERS_NAME)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{str(folder)!r} holds no usable instruction head: {error}") from error
    model = base.with_fresh_head(about.adapter_dim, about.adapter_heads, about.adapter_scale)
    own = {
        key: tensor for key, tensor in model.state_dict().items() if is_instruction_head_key(key)
    }
    differing = sorted(
        own.keys() ^ head.keys()
        | {key for key in own.keys() & head.keys() if own[key].shape != head[key].shape}
    )
    if differing:
        raise ModelError(
            f"the head in {str(folder)!r} does not fit its base model {about.base_model!r}: "
            f"{len(differing)} weights differ, the first is {differing[0]!r}"
        )
    model.load_state_dict(head, strict=False)
    return model.eval()
