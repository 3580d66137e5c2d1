"""Writing a result: all of it or nothing."""

import os
import shutil
import tempfile
from pathlib import Path

from PIL import Image

from sam3i_agent.core.contracts import SegmentationResult
from sam3i_agent.core.drawing import draw_marks
from sam3i_agent.core.errors import StorageError
from sam3i_agent.core.photo import Photo

RESULT_NAME = "result.json"
OVERLAY_NAME = "overlay.png"
MASKS_FOLDER = "masks"


def write_result(result: SegmentationResult, photo: Photo, folder: Path) -> None:
    """Write `result.json`, `overlay.png` and `masks/1.png`, … into `folder`.

    Everything is written under a temporary name beside the folder first, so a failure leaves
    nothing half-done; an earlier result's files there are replaced.

    Raises:
        StorageError: the folder cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        masks = result.masks()
        (staging / MASKS_FOLDER).mkdir()
        for number, mask in enumerate(masks, start=1):
            Image.fromarray(mask).save(staging / MASKS_FOLDER / f"{number}.png")
        draw_marks(photo.pixels, masks).save(staging / OVERLAY_NAME)
        (staging / RESULT_NAME).write_text(result.model_dump_json(indent=2) + "\n", "utf-8")
        folder.mkdir(exist_ok=True)
        shutil.rmtree(folder / MASKS_FOLDER, ignore_errors=True)
        for name in (MASKS_FOLDER, OVERLAY_NAME, RESULT_NAME):  # the result last: it means done
            os.replace(staging / name, folder / name)
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_writable(folder: Path) -> None:
    """Fail early, before the costly part, where `folder` cannot be written.

    Raises:
        StorageError: it is a file, or it or its nearest existing parent is not writable.
    """
    if folder.exists() and not folder.is_dir():
        raise StorageError(f"{str(folder)!r} is a file, not a folder", "give another --out")
    nearest = folder.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise StorageError(f"the folder {str(folder)!r} cannot be written", "give another --out")


def _unwritable(folder: Path, error: OSError) -> StorageError:
    return StorageError(
        f"the folder {str(folder)!r} cannot be written: {error.strerror}", "give another --out"
    )
