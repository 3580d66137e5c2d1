"""What a model's name stands for, read off names and configurations; light to import."""

import json
import os
import re
import threading
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from sam3i_agent.core.errors import InputError, ModelError

TINY = "tiny"
"""The model that ships with the package."""
OPEN_VOCABULARY = "owlv2+sam2"
"""Two models as one: words to boxes, boxes to masks."""
DETECTOR = "google/owlv2-base-patch16-ensemble"
MASKER = "facebook/sam2.1-hiera-tiny"
ADAPTERS_NAME = "adapters.safetensors"
HEAD_CONFIG_NAME = "instruction_head.json"
_FORMER_CONFIG_NAME = "adapter_config.json"
"""What the file was called once: where PEFT is there, transformers takes that for its own."""
OFFICIAL_BASE = "facebook/sam3"
SAME_FOLDER = "."
_HUB_ID = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
_FILE_ENDINGS = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")
"""Of names that mean a file, in a folder that may be misspelt, and no repository."""
_CONFIG_NAME = "config.json"
_WEIGHTS_SUFFIX = ".safetensors"
_VIDEO_TYPE = "sam3_video"
_VIDEO_ARCHITECTURE = "Sam3VideoModel"
_TRACKER_KEY = b"tracker.sam_mask_decoder."
"""With which weights of the tracker begin in official files."""
_NAMES_BYTES = 8 * 1024**2
"""At the head of an official file that is no zip archive, where the names of its weights are."""


def path_of(name: str) -> Path:
    """Return where a model of this name is, if it is on this machine under a path."""
    if name == TINY:
        return Path(str(files("sam3i_agent.segmodel").joinpath(TINY)))
    return Path(name).expanduser()


@dataclass(frozen=True)
class HubName:
    """A repository on the hub, and which state of it."""

    repository: str
    """Owner and name."""
    revision: str | None = None
    """Branch, tag or commit; None takes the latest."""

    def __str__(self) -> str:
        """As the user writes it."""
        return self.repository if self.revision is None else f"{self.repository}@{self.revision}"


def hub_name(name: str) -> HubName | None:
    """Return what a name means on the hub, None where it means a file or folder here or nothing."""
    found = _HUB_ID.fullmatch(name)
    is_file = found is not None and found["repository"].endswith(_FILE_ENDINGS)
    if found is None or is_file or Path(name).parent.is_dir():
        return None
    return HubName(found["repository"], found["revision"])


def two_models(name: str) -> tuple[str, str]:
    """Return the names of the OWLv2 and the SAM 2 that `owlv2+sam2` or `owlv2+sam2:ID,ID` means.

    Raises:
        InputError: behind the colon are not two names.
    """
    given = name.removeprefix(OPEN_VOCABULARY).removeprefix(":")
    if not given:
        return DETECTOR, MASKER
    detector, _, masker = (part.strip() for part in given.partition(","))
    if not detector or not masker or "," in masker:
        raise InputError(
            f"{name!r} does not name two models",
            f"write {OPEN_VOCABULARY}:{DETECTOR},{MASKER}, or folders in their place",
        )
    return detector, masker


def read_ahead(name: str) -> None:
    """Let the system read a model's weights from the disk while torch is being imported.

    Does nothing where it cannot be asked to (outside Linux), or where the weights are not here.
    """
    path = path_of(name)
    files_of = [path] if path.is_file() else sorted(path.glob(f"*{_WEIGHTS_SUFFIX}"))
    if files_of and hasattr(os, "posix_fadvise"):
        # It returns when all is asked for, which on a slow disk is late.
        threading.Thread(target=_ask_for, args=(files_of,), daemon=True).start()


def _ask_for(paths: Sequence[Path]) -> None:
    for path in paths:
        try:
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
        except OSError:  # whoever loads it says what is wrong
            return


class AdapterConfig(BaseModel):
    """What a head folder says about its head."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_model: str = OFFICIAL_BASE
    adapter_dim: int
    adapter_heads: int
    adapter_scale: float


def holds_head(folder: Path) -> bool:
    """Whether a folder holds an instruction head.

    Raises:
        ModelError: it holds the weights of one, but nothing about it.
    """
    if (folder / HEAD_CONFIG_NAME).is_file():
        return True
    if (folder / ADAPTERS_NAME).is_file():
        raise ModelError(
            f"{str(folder)!r} holds a head's {ADAPTERS_NAME}, but no {HEAD_CONFIG_NAME} about it",
            f"an {_FORMER_CONFIG_NAME} that is there is that file: rename it",
        )
    return False


def read_head_config(folder: Path) -> AdapterConfig:
    """Read what a head folder says about its head.

    Raises:
        ModelError: it says nothing usable.
    """
    try:
        return AdapterConfig.model_validate_json((folder / HEAD_CONFIG_NAME).read_bytes())
    except (OSError, ValidationError) as error:
        raise ModelError(f"{str(folder)!r} holds no usable instruction head: {error}") from error


def base_model_of(name: str) -> str:
    """Return the name of the model that the head `name` is on top of; of a base model, its own.

    Raises:
        ModelError: a head is there without anything usable about it.
    """
    path = path_of(name)
    if not holds_head(path):
        return name if name == TINY or not path.exists() else str(path.resolve())
    base = read_head_config(path).base_model
    if base == SAME_FOLDER:
        return name if name == TINY else str(path.resolve())
    return base


def has_video_half(name: str) -> bool:
    """Whether a name stands for both halves of SAM 3, by a configuration or an official file.

    The other half than the concept model is the tracker, which takes clicks and remembers what it
    saw through a clip.

    Raises:
        ModelError: it is a hub id whose configuration is neither in the cache nor to be had.
    """
    path = path_of(name)
    if path.is_file():
        about = path.stat()
        return _holds_tracker(path, about.st_size, about.st_mtime_ns)
    if path.exists():
        config = path / _CONFIG_NAME
        return config.is_file() and _is_video_model(config, name)
    hub = hub_name(name)
    return hub is not None and _is_video_model(_hub_config(hub), name)


@lru_cache
def _holds_tracker(file: Path, nbytes: int, mtime_ns: int) -> bool:
    """Whether an official file has a tracker, by the names of its weights alone.

    Whoever loads a damaged one says what is wrong.
    """
    try:
        if not zipfile.is_zipfile(file):
            with file.open("rb") as content:
                return _TRACKER_KEY in content.read(_NAMES_BYTES)
        with zipfile.ZipFile(file) as archive:
            names = [one for one in archive.namelist() if one.endswith("data.pkl")]
            return any(_TRACKER_KEY in archive.read(one) for one in names)
    except (OSError, zipfile.BadZipFile):
        return False


def without_clicks(name: str) -> ModelError:
    """Return what is to be said of clicks for a model that takes none."""
    return ModelError(
        f"the model {name!r} takes no clicks",
        f"use --model {OPEN_VOCABULARY}, which nobody has to ask for, or {OFFICIAL_BASE}; or say "
        "in words or by an example box what to look for",
    )


def model_type_of(folder: Path, name: str) -> str:
    """Return the kind of model that a folder's configuration names, empty where it names none.

    Raises:
        ModelError: it has no configuration, or a damaged one.
    """
    if not (folder / _CONFIG_NAME).is_file():
        raise ModelError(f"{name!r} holds no model: it has no {_CONFIG_NAME}", "check the path")
    with _damage_named(name):
        return str(json.loads((folder / _CONFIG_NAME).read_text("utf-8")).get("model_type", ""))


def _is_video_model(config: Path, name: str) -> bool:
    with _damage_named(name):
        values = json.loads(config.read_text("utf-8"))
        architectures = values.get("architectures") or ()
        return values.get("model_type") == _VIDEO_TYPE or _VIDEO_ARCHITECTURE in architectures


@contextmanager
def _damage_named(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ModelError(f"the configuration of the model {name!r} is damaged: {error}") from error


def _hub_config(name: HubName) -> Path:
    """Return the configuration of a repository on the hub, from the cache where it is there."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    cached = try_to_load_from_cache(name.repository, _CONFIG_NAME, revision=name.revision)
    if isinstance(cached, str):
        return Path(cached)
    try:
        return Path(hf_hub_download(name.repository, _CONFIG_NAME, revision=name.revision))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"whether the model {str(name)!r} has a half for videos and clicks cannot be known: "
            f"its {_CONFIG_NAME} is not in the cache of this machine, and the hub did not give it",
            "check the spelling and the network, or load the model once where there is one",
        ) from error
