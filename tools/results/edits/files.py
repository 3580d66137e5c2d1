"""An edited photo as a file that keeps the original's EXIF data, orientation and colour profile."""

import os
import secrets
from pathlib import Path

from PIL import ExifTags, Image

from sam3i_agent.core.errors import InputError, StorageError

_TURN_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""By EXIF orientation: how an upright picture comes to lie as the file's pixels do."""
_FORMATS = {".png": "PNG", ".webp": "WEBP", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF"}
_WITHOUT_ALPHA = frozenset({"JPEG"})
_QUALITY = 95


def default_suffix(original: Path, has_alpha: bool) -> str:
    """Return the ending of an edited file: the original's, where that can hold it."""
    suffix = original.suffix.lower()
    kind = _FORMATS.get(suffix)
    return ".png" if kind is None or (has_alpha and kind in _WITHOUT_ALPHA) else suffix


def write_edited(picture: Image.Image, original: Path, out: Path) -> None:
    """Write an edited photo.

    Its pixels lie as the original's do, under the same EXIF orientation; other EXIF data and the
    colour profile are kept too, a thumbnail is not, since it would show what has been hidden.

    Args:
        picture: upright.
        original: the photo's file, which is only read.
        out: to write; replaced where it is there.

    Raises:
        InputError: `out` is the original, or of a kind that cannot hold the picture.
        StorageError: it cannot be written.
    """
    kind = _FORMATS.get(out.suffix.lower())
    if kind is None:
        raise InputError(f"{out.name!r} has no known ending", f"one of {', '.join(_FORMATS)}")
    if picture.mode == "RGBA" and kind in _WITHOUT_ALPHA:
        raise InputError(f"{kind} has no transparency", "write .png or .webp")
    if out.exists() and out.samefile(original):
        raise InputError(f"{str(out)!r} is the original, which stays", "give another --out")
    with Image.open(original) as source:
        exif, profile = source.getexif(), source.info.get("icc_profile")
    turn = _TURN_BACK.get(exif.get(ExifTags.Base.Orientation, 1))
    lying = picture if turn is None else picture.transpose(turn)
    options = {"quality": _QUALITY} if kind != "PNG" else {}
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(4)}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        lying.save(temporary, format=kind, exif=exif.tobytes(), icc_profile=profile, **options)
        os.replace(temporary, out)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(f"{str(out)!r} cannot be written: {error.strerror}") from error
