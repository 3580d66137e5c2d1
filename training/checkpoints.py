"""What a run keeps on disk: checkpoints to resume from, its log, and the finished model."""

import json
import os
from pathlib import Path
from typing import Any

import torch

from sam3i_agent.segmodel.checkpoints.heads import save_head
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3

CHECKPOINT_NAME = "checkpoint.pt"
MODEL_FOLDER = "model"
LOG_NAME = "log.jsonl"


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


def append_log(path: Path, step: int, values: dict[str, float]) -> None:
    """Add one line of JSON."""
    with path.open("a", encoding="utf-8") as log:
        log.write(json.dumps({"step": step, **{k: round(v, 5) for k, v in values.items()}}) + "\n")


def trim_log(path: Path, step: int) -> None:
    """Drop what a killed run logged after its last checkpoint: those steps come again."""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        path.write_text("".join(kept), encoding="utf-8")
