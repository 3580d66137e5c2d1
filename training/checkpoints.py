"""What a run keeps on disk: checkpoints to resume from, and the finished model."""

import os
from pathlib import Path
from typing import Any

import torch

from sam3i_agent.segmodel.checkpoints.heads import save_head
from sam3i_agent.segmodel.checkpoints.repository import SAME_FOLDER
from sam3i_agent.segmodel.network.configuration import InstructionSam3Config
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3, is_instruction_head_key

CHECKPOINT_NAME = "checkpoint.pt"
MODEL_FOLDER = "model"


def save_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint whole or not at all."""
    temporary = path.with_suffix(".tmp")
    torch.save(content, temporary)
    os.replace(temporary, path)


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote."""
    return torch.load(path, weights_only=True, map_location=device)


def save_half(model: InstructionSam3, folder: Path) -> None:
    """Write `model` as fp16 safetensors and a config, which `from_pretrained` reads."""
    half = InstructionSam3(model.config)
    half.load_state_dict(model.state_dict())
    half.half().save_pretrained(folder)


def save_half_head(model: InstructionSam3, folder: Path, base_model: str) -> None:
    """Write the instruction head of `model` in fp16, to go on top of `base_model`."""
    folder.mkdir(parents=True, exist_ok=True)
    half = InstructionSam3(model.config)
    half.load_state_dict(model.state_dict())
    save_head(half.half(), folder, base_model)


def save_half_apart(model: InstructionSam3, folder: Path) -> None:
    """Write the base of `model` and its instruction head in fp16, as two files of one folder."""
    values = model.config.to_dict() | {"adapter_dim": None}
    base = InstructionSam3(InstructionSam3Config.from_dict(values))
    state = model.state_dict()
    base.load_state_dict(
        {key: value for key, value in state.items() if not is_instruction_head_key(key)}
    )
    base.half().save_pretrained(folder)
    save_half_head(model, folder, SAME_FOLDER)
