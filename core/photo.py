"""A photo in memory, upright, and reading one from a file: RGB pixels, or one clear error.

The picture's size is checked before it is decoded: Pillow only warns at 144 megapixels, and a file
of 10 KB can hold 81.
"""

import hashlib
import io
import warnings
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from sam3i_agent.core.errors import InputError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")
"""Pillow's names of the formats that are read in any case; see `readable_formats`."""
MAX_PIXELS = 100_000_000
"""Larger pictures are refused before decoding."""
MAX_FILE_BYTES = 256 * 1024 * 1024
MIN_SIDE = 2
"""A picture of fewer pixels on a side shows nothing."""
_UPRIGHT = 1
_FIRST_TURNED = 5
"""EXIF orientations from this on swap width and height."""
_TURNED = range(_UPRIGHT + 1, 9)
_MANY_IN_ONE = frozenset({"GIF", "PNG", "WEBP", "TIFF", "AVIF"})
"""Formats in which a second frame or page is another picture, not a preview of the first."""
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"})
_BRAND = slice(4, 12)
"""Of a file of HEIC's family, what kind it is."""
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
    first frame is read. HEIC needs the extra `heic`.

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
    # Size and damage are judged here; Pillow's warnings would only repeat that. For the whole
    # process: `catch_warnings` puts back what another thread has set.
    warnings.filterwarnings("ignore", module=r"PIL\b|pillow_heif\b")
    try:
        with Image.open(io.BytesIO(data), formats=readable_formats()) as image:
            _check_size(image.size, name)
            first_of_several = image.format in _MANY_IN_ONE and getattr(image, "is_animated", False)
            image.load()
            pixels, notes = _upright_rgb(image)
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"{name!r} is not an image this tool reads", _way_out(data)) from error
    except Image.DecompressionBombError as error:
        raise _too_large(name, "a decompression bomb") from error
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError) as error:
        raise InputError(f"{name!r} is damaged: {error}", "save or download it again") from error
    if first_of_several:
        notes = (*notes, "of several frames or pages the first was read")
    return Photo(pixels=pixels, sha256=hashlib.sha256(data).hexdigest(), notes=notes)


@cache
def readable_formats() -> tuple[str, ...]:
    """Return Pillow's names of the formats that are read here, with HEIF where its extra is."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return FORMATS
    register_heif_opener()
    return (*FORMATS, "HEIF")


def _way_out(data: bytes) -> str:
    marker, brand = data[_BRAND][:4], data[_BRAND][4:]
    if marker == b"ftyp" and brand in _HEIC_BRANDS and "HEIF" not in readable_formats():
        return "HEIC needs an extra: pip install 'sam3i-agent[heic]'; or save it as JPEG"
    return f"use one of {', '.join(readable_formats())}"


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
    if image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT) in _TURNED:
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
        with Image.open(path, formats=readable_formats()) as image:
            width, height = image.size
            turned = image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT) >= _FIRST_TURNED
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"the photo {path.name!r} cannot be read: {error}") from error
    return (width, height) if turned else (height, width)
