"""Results that were written, and the photos they are about."""

from pathlib import Path
from typing import TYPE_CHECKING

from sam3i_agent.core.errors import InputError, StorageError

if TYPE_CHECKING:
    from sam3i_agent.core.contracts import SegmentationResult
    from sam3i_agent.core.photo import Photo


def read_result(name: str) -> "SegmentationResult":
    """Read a result.json, that of a folder, or that of a recorded run.

    Raises:
        InputError: it cannot be read, or holds no result.
    """
    from pydantic import ValidationError

    from sam3i_agent.agent.recording.runs import RunStore
    from sam3i_agent.core.contracts import SegmentationResult
    from sam3i_agent.tools.results.export import RESULT_NAME

    path = Path(name)
    if path.is_dir():
        path /= RESULT_NAME
    elif not path.exists():
        path = RunStore().open(name).result_folder / RESULT_NAME
    try:
        return SegmentationResult.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise InputError(f"{str(path)!r} holds no result") from error


def photo_of(result: "SegmentationResult", image: Path | None) -> "tuple[Path, Photo]":
    """Return the photo of a result, and where it is.

    Args:
        result: to show or edit.
        image: the photo's file; None takes the one that the run's record names.

    Raises:
        InputError: it is not known, cannot be read, or is another photo.
    """
    from sam3i_agent.core.photo import read_photo

    path = image or _recorded(result)
    photo = read_photo(path)
    if photo.sha256 != result.image.sha256:
        raise InputError(f"{path.name!r} is not the photo of this result", "give --image")
    return path, photo


def _recorded(result: "SegmentationResult") -> Path:
    from sam3i_agent.agent.recording.runs import RunStore

    hint = "give --image PHOTO"
    if result.run_id is None:
        raise InputError("the result does not say where its photo is", hint)
    try:
        return Path(RunStore().open(result.run_id).info.image)
    except (InputError, StorageError) as error:
        raise InputError(f"its photo is not known: {error.message}", hint) from error
