"""Files of official SAM 3 and SAM3-I checkpoints: reading, checking and writing them."""

import os
import pickle
import re
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from sam3i_agent.core.errors import InputError, ModelError, StorageError
from sam3i_agent.segmodel.checkpoints.official import from_official, some, to_official
from sam3i_agent.segmodel.network.configuration import OFFICIAL_ADAPTER_DIM, InstructionSam3Config

SAFETENSORS = ".safetensors"
PYTORCH = ".pt"
_WANTS_CODE = re.compile(r"Unsupported (global|class)|Trying to (call|instantiate)")
"""What torch says of a pickle with more than tensors in it, and not of a file that is no pickle."""


def read_official(path: Path) -> dict[str, Tensor]:
    """Read an official checkpoint and return its weights under our names, in fp32.

    Args:
        path: a `.safetensors` file, or one of PyTorch.

    Raises:
        ModelError: see `InstructionSam3.from_official`.
        InputError: there is no such file.
    """
    weights = from_official(read_checkpoint(path), path.name).weights
    return {key: tensor.to(torch.float32) for key, tensor in weights.items()}


def published_config(weights: Mapping[str, Tensor]) -> InstructionSam3Config:
    """Return the published sizes, with an instruction head where the weights have one.

    A file does not record `adapter_heads` and `adapter_scale`.
    """
    has_head = any(".adapters." in key for key in weights)
    return InstructionSam3Config(adapter_dim=OFFICIAL_ADAPTER_DIM if has_head else None)


def write_official(
    model: PreTrainedModel,
    path: Path,
    aside: Mapping[str, Tensor] | None = None,
    *,
    detector_prefix: bool = False,
) -> None:
    """Write a model as an official checkpoint, which the official code loads.

    Args:
        model: an `InstructionSam3`.
        path: ends in `.pt`, which holds `{"model": weights}`, or in `.safetensors`.
        aside: what `official.from_official` kept of the file that the model came from; without it,
            what `official.IGNORED` lists is left out: the official model computes it, or only its
            training has it.
        detector_prefix: as base SAM 3 files have it; those of SAM3-I do not.

    Raises:
        InputError: the file exists, or its ending is another one.
        ModelError: the model is no SAM 3.
        StorageError: the file cannot be written.
    """
    if path.suffix not in (PYTORCH, SAFETENSORS):
        raise InputError(f"{path.name!r} ends neither in {PYTORCH} nor in {SAFETENSORS}")
    if path.exists():
        raise InputError(f"{str(path)!r} exists", "give another name")
    ours = {key: tensor.detach().cpu() for key, tensor in model.state_dict().items()}
    official = to_official(ours, aside, detector_prefix=detector_prefix)
    # Copies: a file of PyTorch would hold the whole of what a part is a view of.
    official = {
        key: tensor.clone(memory_format=torch.contiguous_format) for key, tensor in official.items()
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.stem}-", dir=path.parent) as folder:
            whole = Path(folder) / path.name
            if path.suffix == SAFETENSORS:
                save_file(official, whole)
            else:
                torch.save({"model": official}, whole)
            os.replace(whole, path)
    except OSError as error:
        raise StorageError(f"{str(path)!r} cannot be written: {error.strerror}") from error


def read_checkpoint(path: Path, prefixes: tuple[str, ...] = ("",)) -> dict[str, Tensor]:
    """Return the state dict in `path`, without running any code in the file.

    Args:
        path: a `.safetensors` file, or one of PyTorch, which is memory-mapped.
        prefixes: of which a weight's name has to begin with one; others stay on the disk.

    Raises:
        ModelError: the file is damaged, wants arbitrary pickles, or holds no state dict.
        InputError: there is no such file.
    """
    if not path.is_file():
        raise InputError(f"there is no checkpoint file {str(path)!r}")
    if path.suffix == SAFETENSORS:
        try:
            with safe_open(path, framework="pt") as weights:
                keys = [key for key in weights.keys() if key.startswith(prefixes)]
                return {key: weights.get_tensor(key) for key in keys}
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"{path.name} is damaged or no file of safetensors",
                "compare its size with the published one and download it again",
            ) from error
    try:
        content = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except pickle.UnpicklingError as error:
        if _WANTS_CODE.search(str(error)):
            raise ModelError(
                f"{path.name} wants to run code on loading and is refused",
                "ask its author for a file with tensors only",
            ) from error
        raise _damaged(path) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _damaged(path) from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict) or not content:
        raise ModelError(f"{path.name} holds no state dict")
    strangers = [
        key
        for key, value in content.items()
        if not (isinstance(key, str) and isinstance(value, Tensor))
    ]
    if strangers:
        raise ModelError(f"{path.name} holds {strangers[0]!r}, which is no tensor with a name")
    return {key: value for key, value in content.items() if key.startswith(prefixes)}


def _damaged(path: Path) -> ModelError:
    return ModelError(
        f"{path.name} is damaged or no PyTorch checkpoint",
        "compare its size with the published one and download it again",
    )


def check_weights(
    weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str
) -> None:
    """Compare weights with those of a model, by names and shapes alone.

    Args:
        weights: under our names.
        expected: the state dict of a model; may be on the meta device.
        source: the file's name, for messages.

    Raises:
        ModelError: something is left over, missing, or of another shape; the message names it.
    """
    _raise_if(
        sorted(expected.keys() - weights.keys()),
        lambda keys: f"{source} lacks {len(keys)} weights: {some(keys)}",
        "the file is incomplete; or the configuration, without --config that of the published "
        "model, has more layers or an instruction head",
    )
    _raise_if(
        sorted(weights.keys() - expected.keys()),
        lambda keys: f"{source} has {len(keys)} weights that the model lacks: {some(keys)}",
        "the configuration has fewer layers, or no adapter_dim",
    )
    _raise_if(
        [key for key in expected if expected[key].shape != weights[key].shape],
        lambda keys: (
            f"{source}: {keys[0]} is {tuple(weights[keys[0]].shape)}, the configuration wants "
            f"{tuple(expected[keys[0]].shape)} ({len(keys)} weights differ)"
        ),
        "give the configuration of this checkpoint (--config)",
    )


def _raise_if(keys: list[str], message: Callable[[list[str]], str], hint: str) -> None:
    if keys:
        raise ModelError(message(keys), hint)
