"""The half of SAM 3 beside its concept model: the tracker, for clicks and for clips."""

from typing import Any, TypeVar

from transformers import Sam3TrackerModel, Sam3VideoModel

from sam3i_agent.core.errors import ModelError
from sam3i_agent.segmodel.checkpoints.hub import damage_named, repository_folder
from sam3i_agent.segmodel.checkpoints.official_tracker import model_around_tracker
from sam3i_agent.segmodel.checkpoints.repository import path_of
from sam3i_agent.segmodel.progress import errors_alone

M = TypeVar("M", Sam3TrackerModel, Sam3VideoModel)

_USES: dict[type, str] = {Sam3TrackerModel: "clicks", Sam3VideoModel: "videos"}


def load_other_half(kind: type[M], name: str) -> M:
    """Return a model around the tracker, on the CPU, in the precision of its file.

    What it shares with the concept model is to be replaced before it is moved or converted.

    Args:
        kind: for clicks `Sam3TrackerModel`, for clips `Sam3VideoModel`.
        name: hub id or folder of a repository that holds both halves, such as `facebook/sam3`; or
            an official file with both.

    Raises:
        ModelError: there is none under this name, or it cannot be loaded.
    """
    path = path_of(name)
    return model_around_tracker(kind, path) if path.is_file() else _of_repository(kind, name)


def _of_repository(kind: type[M], name: str) -> M:
    use = _USES[kind]
    folder = repository_folder(name)
    if folder is None:
        raise ModelError(f"the model {name!r} has no half for {use}")
    try:
        with errors_alone(), damage_named(name):
            loaded: Any = kind.from_pretrained(
                folder, output_loading_info=True, local_files_only=True
            )
        model, info = loaded
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        raise ModelError(f"the half for {use} of {name!r} cannot be loaded: {error}") from error
    if missing := info["missing_keys"]:
        raise ModelError(
            f"the model {name!r} has no half for {use}: it lacks {len(missing)} weights, the first "
            f"is {sorted(missing)[0]!r}"
        )
    return model
