"""The half of SAM 3 beside its concept model: the tracker, for clicks and for clips."""

from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import Sam3TrackerModel, Sam3VideoConfig, Sam3VideoModel
from transformers import initialization as init

from sam3i_agent.core.errors import ModelError
from sam3i_agent.segmodel.checkpoints.hub import damage_named, repository_folder
from sam3i_agent.segmodel.checkpoints.official import (
    DETECTOR_PREFIX,
    TRACKER_PREFIX,
    from_official,
)
from sam3i_agent.segmodel.checkpoints.official_files import read_checkpoint
from sam3i_agent.segmodel.checkpoints.official_tracker import (
    OFFICIAL_NECK,
    OUR_PREFIXES,
    tracker_from_official,
)
from sam3i_agent.segmodel.checkpoints.repository import path_of
from sam3i_agent.segmodel.progress import errors_alone

M = TypeVar("M", Sam3TrackerModel, Sam3VideoModel)

_TRACKER, _NECK = OUR_PREFIXES
_NECK_ALONE = "vision_encoder.neck."
"""Of it in `Sam3TrackerModel`, which has no prefix for its other weights."""
_IMAGE_MODEL = ("detector_model.", "vision_encoder.backbone.")
"""Of the halves that the concept model takes the place of."""
_USES: dict[type, str] = {Sam3TrackerModel: "clicks", Sam3VideoModel: "videos"}


def load_other_half(kind: type[M], name: str) -> M:
    """Return a model around the tracker, on the CPU, in the precision of its file.

    What it shares with the concept model is to be replaced before it is moved or converted.

    Args:
        kind: for clicks `Sam3TrackerModel`, for clips `Sam3VideoModel`.
        name: hub id or folder of a repository that holds both halves, such as `facebook/sam3`; or
            an official file with both.

    Raises:
        ModelError: there is none under this name, it cannot be loaded, or that of an official file
            is of another size than the published one.
    """
    path = path_of(name)
    return _around_official(kind, path) if path.is_file() else _of_repository(kind, name)


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


def _around_official(kind: type[M], path: Path) -> M:
    """Return a model of the published size around the tracker of an official file, in fp32.

    What it shares with the concept model has no weights.
    """
    neck = DETECTOR_PREFIX + OFFICIAL_NECK.partition("{")[0]
    official = read_checkpoint(path, (TRACKER_PREFIX, neck))
    aside = from_official(official, path.name).aside if official else {}
    weights = tracker_from_official(aside, path.name)
    if kind is Sam3TrackerModel:
        weights = {
            key.replace(_NECK, _NECK_ALONE).removeprefix(_TRACKER): tensor
            for key, tensor in weights.items()
        }
    config: Any = Sam3VideoConfig()
    with init.no_init_weights():
        model = kind(config)
    expected = {
        key: tensor
        for key, tensor in model.state_dict().items()
        if not key.startswith(_IMAGE_MODEL)
    }
    weights = {key: tensor.to(torch.float32) for key, tensor in weights.items() if key in expected}
    if wrong := [
        key
        for key, tensor in expected.items()
        if key not in weights or weights[key].shape != tensor.shape
    ]:
        raise ModelError(
            f"{path.name} has no tracker of the published size: {len(wrong)} weights are missing "
            f"or of another shape, such as {wrong[0]!r}",
            "convert it with --config: sam3i convert checkpoint",
        )
    model.load_state_dict(weights, strict=False, assign=True)
    return model
