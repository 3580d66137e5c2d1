"""OWLv2 and SAM 2 by their names."""

from pathlib import Path
from typing import Any

from transformers import Owlv2ForObjectDetection, PreTrainedModel, Sam2Model, Sam2VideoModel

from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.segmodel.checkpoints.hub import damage_named, repository_folder
from sam3i_agent.segmodel.checkpoints.memory import check_memory, shortage_named
from sam3i_agent.segmodel.checkpoints.repository import model_type_of
from sam3i_agent.segmodel.network.products import hasten
from sam3i_agent.segmodel.progress import errors_alone

_VIDEO_TYPE = "sam2_video"
_TYPES = {"OWLv2": ("owlv2",), "SAM 2": ("sam2", _VIDEO_TYPE)}
"""What configurations say of models that serve."""


def load_pair(detector: str, masker: str) -> tuple[Owlv2ForObjectDetection, Sam2Model]:
    """Return both models as they were saved, on the CPU, in evaluation mode.

    Args:
        detector: folder or hub id of an OWLv2.
        masker: of a SAM 2, also of one for videos.

    Raises:
        InputError: a name means nothing here.
        ModelError: a model cannot be had, or is of another kind.
    """
    folders = [_folder(one) for one in (detector, masker)]  # before either takes memory
    check_memory(
        f"{detector},{masker}", [one for folder in folders for one in folder.glob("*.safetensors")]
    )
    return (
        _load(Owlv2ForObjectDetection, folders[0], detector, "OWLv2"),
        _load(Sam2Model, folders[1], masker, "SAM 2"),
    )


def load_video(masker: str, like: Sam2Model) -> Sam2VideoModel:
    """Return a SAM 2 with its memory for clips, in evaluation mode.

    Args:
        masker: folder or hub id of a SAM 2 for videos.
        like: whose device and precision it takes.

    Raises:
        ModelError: it cannot be had or has no memory.
    """
    video = _load(Sam2VideoModel, _folder(masker), masker, "SAM 2")
    return video.to(like.device, like.dtype)


def has_video_half(masker: str) -> bool:
    """Whether a SAM 2, by its configuration, has a memory for clips.

    Raises:
        ModelError: it cannot be had.
    """
    return model_type_of(_folder(masker), masker) == _VIDEO_TYPE


def _folder(name: str) -> Path:
    folder = repository_folder(name)
    if folder is None:
        raise InputError(f"there is no model {name!r}", "give a folder or a hub id")
    return folder


def _load(kind: type[PreTrainedModel], folder: Path, name: str, title: str) -> Any:
    found = model_type_of(folder, name)
    if found not in _TYPES[title]:
        raise ModelError(f"{name!r} is no {title}: its configuration says {found!r}")
    try:
        with errors_alone(), damage_named(name), shortage_named(name):
            loaded: Any = kind.from_pretrained(
                folder, output_loading_info=True, local_files_only=True
            )
        model, info = loaded
    except (OSError, RuntimeError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise ModelError(f"{name!r} cannot be loaded as an {title}: {error}") from error
    if info["missing_keys"]:
        raise ModelError(
            f"{name!r} is no {title}: {len(info['missing_keys'])} weights are missing, the first "
            f"is {sorted(info['missing_keys'])[0]!r}"
        )
    hasten(model)
    return model.eval().requires_grad_(False)
