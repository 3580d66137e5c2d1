"""Models by name: the shipped one, a folder, an official file, a hub id, or two of them."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.segmodel.checkpoints.heads import attach_head
from sam3i_agent.segmodel.checkpoints.hub import damage_named, fetch
from sam3i_agent.segmodel.checkpoints.memory import check_memory, shortage_named
from sam3i_agent.segmodel.checkpoints.repository import (
    OPEN_VOCABULARY,
    SAME_FOLDER,
    TINY,
    holds_head,
    hub_name,
    model_type_of,
    path_of,
    read_head_config,
    two_models,
)
from sam3i_agent.segmodel.hardware import take_allowed_threads
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from sam3i_agent.segmodel.progress import errors_alone, hide_progress_unless_terminal
from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter
from sam3i_agent.segmodel.segmenter import LoadedSegmenter
from sam3i_agent.segmodel.tiling import TilingSegmenter

logger = logging.getLogger(__name__)

AttentionImplementation = Literal["eager", "sdpa", "flash_attention_2"]
_KINDS = ("sam3", "instruction_sam3")
"""How the kinds of SAM 3 begin that configurations name."""
_LARGE_PARAMETERS = 100_000_000


def load_segmenter(
    name: str = TINY,
    *,
    device: str = "auto",
    dtype: torch.dtype | None = None,
    attn_implementation: AttentionImplementation | None = None,
    with_head: bool = True,
) -> Sam3Segmenter:
    """Load a SAM 3 and make it ready; `load_by_choice` loads other kinds too.

    Args:
        name: `tiny`; a folder with config.json and safetensors; an official `.pt` or
            `.safetensors` file; or a hub id such as `facebook/sam3` or `facebook/sam3@revision`,
            the only one that may use the network.
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
    take_allowed_threads()
    model: Any = load_model(name, attn_implementation, with_head=with_head)
    parameters = model.num_parameters()
    model.to(chosen, pick_dtype(chosen, parameters) if dtype is None else dtype)
    if chosen.type == "cpu" and parameters >= _LARGE_PARAMETERS:
        # Measured with `sam3i bench encoder`: convolutions take a tenth less.
        model.to(memory_format=torch.channels_last)
    segmenter = Sam3Segmenter(model.eval().requires_grad_(False), name)
    logger.info("loaded %s", segmenter.description)
    return segmenter


def open_segmenter(model: ModelChoice) -> TilingSegmenter:
    """Load a model by a choice, to see photos as it says; see `load_segmenter` for errors."""
    return TilingSegmenter(load_by_choice(model), model.tiling)


def load_by_choice(model: ModelChoice) -> LoadedSegmenter:
    """Load a model of any kind, to see photos as they are; see `load_segmenter` for errors."""
    return _LOADERS.get(model.name.partition(":")[0], _load_sam3)(model)


def _load_sam3(model: ModelChoice) -> LoadedSegmenter:
    return load_segmenter(model.name, device=model.device)


def _load_open_vocabulary(model: ModelChoice) -> LoadedSegmenter:
    hide_progress_unless_terminal()
    from sam3i_agent.segmodel.open_vocabulary.loading import has_video_half, load_pair, load_video
    from sam3i_agent.segmodel.open_vocabulary.segmenter import OpenVocabularySegmenter

    device = pick_device(model.device)
    take_allowed_threads()
    detector: Any  # a decorator hides the type of `to`
    masker: Any
    names = two_models(model.name)
    detector, masker = load_pair(*names)
    dtype = pick_dtype(device, detector.num_parameters() + masker.num_parameters())
    detector.to(device, dtype)
    masker.to(device, dtype)
    video = partial(load_video, names[1], masker) if has_video_half(names[1]) else None
    segmenter = OpenVocabularySegmenter(detector, masker, model.name, video)
    logger.info("loaded %s", segmenter.description)
    return segmenter


_LOADERS: Mapping[str, Callable[[ModelChoice], LoadedSegmenter]] = {
    OPEN_VOCABULARY: _load_open_vocabulary
}
"""Kinds of models by what their names begin with; what is not among them is a SAM 3."""


def pick_dtype(device: torch.device, parameters: int) -> torch.dtype:
    """Return bf16 on CUDA, and for a large model on a CPU with AMX; fp32 elsewhere."""
    large_on_cpu = device.type == "cpu" and parameters >= _LARGE_PARAMETERS
    has_amx = large_on_cpu and torch.cpu.get_capabilities().get("amx_bf16", False)
    return torch.bfloat16 if has_amx or device.type == "cuda" else torch.float32


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
    if not holds_head(path):
        return _load_plain(name, path, attn_implementation)
    about = read_head_config(path)
    if about.base_model == SAME_FOLDER:
        base = _load_plain(name, path, attn_implementation)
    else:
        base = load_model(about.base_model, attn_implementation, with_head=False)
    return attach_head(base, path) if with_head else base


def _check_kind(folder: Path, name: str) -> None:
    found = model_type_of(folder, name)
    if found and not found.startswith(_KINDS):
        raise ModelError(
            f"{name!r} is no SAM 3: its configuration says {found!r}",
            f"an OWLv2 and a SAM 2 go together as {OPEN_VOCABULARY}:ID,ID; sam3i models list shows "
            "what is known by name",
        )


def _load_plain(
    name: str, path: Path, attn_implementation: AttentionImplementation | None
) -> InstructionSam3:
    """Load a model of one file or folder, without a separate head."""
    options = {} if attn_implementation is None else {"attn_implementation": attn_implementation}
    if path.is_file():
        check_memory(name, [path])
        model = InstructionSam3.from_official(path)
        if attn_implementation is not None:
            model.set_attn_implementation(attn_implementation)
        return model
    hub = hub_name(name)
    if path.is_dir() or hub is not None:
        folder = path if hub is None else fetch(hub)
        _check_kind(folder, name)
        check_memory(name, folder.glob("*.safetensors"))
        with errors_alone(), damage_named(name), shortage_named(name):
            return InstructionSam3.from_pretrained(folder, local_files_only=True, **options)
    if name.partition(":")[0] in _LOADERS:
        raise InputError(f"{name!r} is no SAM 3, which this needs", "use another --model")
    raise InputError(
        f"there is no model {name!r}",
        f"use {TINY}, a folder, an official .pt or .safetensors file, a hub id such as "
        f"facebook/sam3, or {OPEN_VOCABULARY}; sam3i models list shows more",
    )
