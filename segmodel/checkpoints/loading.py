"""Models by name: the shipped one, a folder, an official checkpoint file or a hub id."""

import logging
from pathlib import Path
from typing import Any, Literal

import torch

from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.segmodel.checkpoints.heads import (
    ADAPTER_CONFIG_NAME,
    SAME_FOLDER,
    attach_head,
    read_head_config,
)
from sam3i_agent.segmodel.checkpoints.repository import TINY, is_hub_id, path_of
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from sam3i_agent.segmodel.progress import hide_progress_unless_terminal
from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter
from sam3i_agent.segmodel.tiling import TilingSegmenter

logger = logging.getLogger(__name__)

AttentionImplementation = Literal["eager", "sdpa", "flash_attention_2"]
_LARGE_PARAMETERS = 100_000_000


def load_segmenter(
    name: str = TINY,
    *,
    device: str = "auto",
    dtype: torch.dtype | None = None,
    attn_implementation: AttentionImplementation | None = None,
    with_head: bool = True,
) -> Sam3Segmenter:
    """Load a model and make it ready.

    Args:
        name: `tiny`; a folder with config.json and safetensors; an official `.pt` or
            `.safetensors` file; or a hub id such as `facebook/sam3`, the only one that may use the
            network.
        device: `auto` takes CUDA, then MPS, then the CPU; else a torch device name.
        dtype: None takes bf16 on CUDA, and for a large model on a CPU with AMX, where it measured
            four times faster; fp32 elsewhere.
        attn_implementation: None leaves the choice to transformers (SDPA).
        with_head: False leaves out a head that is a file of its own.

    Raises:
        InputError: the name or device means nothing here.
        ModelError: there is a model, but it cannot be used.
    """
    hide_progress_unless_terminal()
    chosen = pick_device(device)
    model: Any = load_model(name, attn_implementation, with_head=with_head)
    large_on_cpu = chosen.type == "cpu" and model.num_parameters() >= _LARGE_PARAMETERS
    if dtype is None:
        has_amx = large_on_cpu and torch.cpu.get_capabilities().get("amx_bf16", False)
        dtype = torch.bfloat16 if has_amx or chosen.type == "cuda" else torch.float32
    model.to(chosen, dtype)
    if large_on_cpu:
        # Measured with `sam3i bench encoder`: convolutions take a tenth less.
        model.to(memory_format=torch.channels_last)
    segmenter = Sam3Segmenter(model.eval().requires_grad_(False), name)
    logger.info("loaded %s", segmenter.description)
    return segmenter


def open_segmenter(model: ModelChoice) -> TilingSegmenter:
    """Load a model by a choice, to see photos as it says; see `load_segmenter` for errors."""
    return TilingSegmenter(load_segmenter(model.name, device=model.device), model.tiling)


def pick_device(name: str) -> torch.device:
    """Return the device `name`; `auto` takes CUDA, then MPS, then the CPU.

    Raises:
        InputError: torch knows no such device, or this machine has none.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {name!r} cannot be used here", "try --device cpu") from error
    return device


def load_model(
    name: str = TINY,
    attn_implementation: AttentionImplementation | None = None,
    *,
    with_head: bool = True,
) -> InstructionSam3:
    """Load a model as it was saved, on the CPU; see `load_segmenter` for names and errors."""
    path = path_of(name)
    if not (path / ADAPTER_CONFIG_NAME).is_file():
        return _load_plain(name, path, attn_implementation)
    about = read_head_config(path)
    if about.base_model == SAME_FOLDER:
        base = _load_plain(name, path, attn_implementation)
    else:
        base = load_model(about.base_model, attn_implementation, with_head=False)
    return attach_head(base, path) if with_head else base


def base_model_of(name: str) -> str:
    """Return the name of the model that the head `name` is on top of; of a base model, its own."""
    path = path_of(name)
    if not (path / ADAPTER_CONFIG_NAME).is_file():
        return name if name == TINY or not path.exists() else str(path.resolve())
    base = read_head_config(path).base_model
    if base == SAME_FOLDER:
        return name if name == TINY else str(path.resolve())
    return base


def _load_plain(
    name: str, path: Path, attn_implementation: AttentionImplementation | None
) -> InstructionSam3:
    """Load a model of one file or folder, without a separate head."""
    options = {} if attn_implementation is None else {"attn_implementation": attn_implementation}
    if path.is_file():
        model = InstructionSam3.from_official(path)
        if attn_implementation is not None:
            model.set_attn_implementation(attn_implementation)
        return model
    if path.is_dir():
        return InstructionSam3.from_pretrained(path, local_files_only=True, **options)
    if is_hub_id(name):
        try:
            return InstructionSam3.from_pretrained(name, **options)
        except ModelError as error:
            raise ModelError(
                f"the hub id {name!r} could not be loaded: {_first_line(error.__cause__ or error)}",
                "check the spelling and the network; for a gated model accept its terms on the "
                "hub and run: hf auth login",
            ) from error
    raise InputError(
        f"there is no model {name!r}",
        f"use {TINY}, a folder, an official .pt or .safetensors file, or a hub id such as "
        "facebook/sam3",
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
