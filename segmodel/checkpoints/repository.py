"""What a model's name stands for, read off names and configurations; light to import."""

import json
import re
from importlib.resources import files
from pathlib import Path

from sam3i_agent.core.errors import ModelError

TINY = "tiny"
"""The model that ships with the package."""
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_CONFIG_NAME = "config.json"
_VIDEO_TYPE = "sam3_video"
_VIDEO_ARCHITECTURE = "Sam3VideoModel"


def path_of(name: str) -> Path:
    """Return where a model of this name is, if it is on this machine under a path."""
    if name == TINY:
        return Path(str(files("sam3i_agent.segmodel").joinpath(TINY)))
    return Path(name).expanduser()


def is_hub_id(name: str) -> bool:
    """Whether a name is that of a repository on the hub, not of a file or folder here."""
    return bool(_HUB_ID.fullmatch(name)) and not Path(name).parent.is_dir()


def has_video_half(name: str) -> bool:
    """Whether a name stands for a repository of the video model, by its configuration.

    Such a repository holds the concept model and the tracker, which takes clicks and remembers
    what it saw through a clip.

    Raises:
        ModelError: it is a hub id whose configuration is neither in the cache nor to be had.
    """
    path = path_of(name)
    if path.exists():
        config = path / _CONFIG_NAME
        return config.is_file() and _is_video_model(config, name)
    return is_hub_id(name) and _is_video_model(_hub_config(name), name)


def _is_video_model(config: Path, name: str) -> bool:
    try:
        values = json.loads(config.read_text("utf-8"))
        architectures = values.get("architectures") or ()
        return values.get("model_type") == _VIDEO_TYPE or _VIDEO_ARCHITECTURE in architectures
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ModelError(f"the configuration of the model {name!r} is damaged: {error}") from error


def _hub_config(name: str) -> Path:
    """Return the configuration of a repository on the hub, from the cache where it is there."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    cached = try_to_load_from_cache(name, _CONFIG_NAME)
    if isinstance(cached, str):
        return Path(cached)
    try:
        return Path(hf_hub_download(name, _CONFIG_NAME))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"whether the model {name!r} has a half for videos and clicks cannot be known: its "
            f"{_CONFIG_NAME} is not in the cache of this machine, and the hub did not give it",
            "check the spelling and the network, or load the model once where there is one",
        ) from error
