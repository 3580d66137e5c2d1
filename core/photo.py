"""A photo in memory, upright, and reading one from a file: RGB pixels, or one clear error.

The picture's size is checked before it is decoded: Pillow only warns at 144 megapixels, and a file
of 10 KB can hold 81.
"""

import hashlib
import io
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from sam3i_agent.core.errors import InputError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""Pillow's names of the formats that are read."""
MAX_PIXELS = 100_000_000
"""Larger pictures are refused before decoding."""
MAX_FILE_BYTES = 256 * 1024 * 1024
MIN_SIDE = 2
"""A picture of fewer pixels on a side shows nothing."""
_FIRST_TURNED = 5
"""EXIF orientations from this on swap width and height."""
_SIXTEEN_BIT_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})


@dataclass(frozen=True)
class Photo:
    """Pixels in the orientation a person sees, and the identity of the file they came from."""

    pixels: NDArray[np.uint8]
    """(H, W, 3), RGB."""
    sha256: str
    """Of the file's bytes, hexadecimal."""
    notes: tuple[str, ...] = ()
    """What was done to read it (turned, converted), in words."""
    name: str = ""
    """Of the file, without folders; empty where it has none."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


def read_photo(path: Path) -> Photo:
    """Read an image file.

    Odd but readable files are converted, and `notes` says so: turned by their EXIF orientation,
    CMYK, 16 bits per channel, palettes; transparent parts are laid on white. Of an animation the
    first frame is read.

    Raises:
        InputError: the file is missing, empty, damaged, no image, too small or too large.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path.name!r} is a folder, not an image file")
        if not path.is_file():
            raise InputError(f"there is no image file {str(path)!r}", "check the path")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"{path.name!r} is larger than {MAX_FILE_BYTES >> 20} MiB")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name!r} cannot be read: {error.strerror}") from error
    return replace(decode_photo(data, path.name), name=path.name)


def decode_photo(data: bytes, name: str) -> Photo:
    """Decode the bytes of an image file; see `read_photo`. `name` is used in messages."""
    if not data:
        raise InputError(f"{name!r} is empty")
    try:
        with warnings.catch_warnings():
            # Size and damage are judged here; Pillow's warnings would only repeat that.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(image.size, name)
                image.load()
                pixels, notes = _upright_rgb(image)
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(
            f"{name!r} is not an image this tool reads", f"use one of {', '.join(FORMATS)}"
        ) from error
    except Image.DecompressionBombError as error:
        raise _too_large(name, "a decompression bomb") from error
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError) as error:
        raise InputError(f"{name!r} is damaged: {error}", "save or download it again") from error
    return Photo(pixels=pixels, sha256=hashlib.sha256(data).hexdigest(), notes=notes)


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width < MIN_SIDE or height < MIN_SIDE:
        raise InputError(f"{name!r} is {width}x{height} pixels, too small to show anything")
    if width * height > MAX_PIXELS:
        raise _too_large(name, f"{width}x{height} pixels")


def _too_large(name: str, what: str) -> InputError:
    return InputError(
        f"{name!r} is {what}, at most {MAX_PIXELS // 1_000_000} megapixels are read",
        "scale it down first",
    )


def _upright_rgb(image: Image.Image) -> tuple[np.ndarray, tuple[str, ...]]:
    notes: list[str] = []
    upright = ImageOps.exif_transpose(image)
    if upright.size != image.size or upright.getexif() != image.getexif():
        notes.append("the photo was turned upright by its EXIF orientation")
    if upright.mode in _SIXTEEN_BIT_MODES:
        notes.append("16 bits per pixel were reduced to 8")
        wide = np.asarray(upright).astype(np.float64)
        grey = np.clip(wide / 257, 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2), tuple(notes)
    if upright.mode == "F":
        raise ValueError("floating-point pixels have no agreed range")
    if upright.mode == "CMYK":
        notes.append("CMYK was converted to RGB without a colour profile")
    if upright.has_transparency_data:
        notes.append("transparent parts were laid on white")
        layer = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.array(upright.convert("RGB")), tuple(notes)


def read_size_hw(path: Path) -> tuple[int, int]:
    """Return the height and width that `read_photo` gives, without reading the pixels.

    Raises:
        InputError: it is no image file.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= _FIRST_TURNED
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"the photo {path.name!r} cannot be read: {error}") from error
    return (width, height) if turned else (height, width)
