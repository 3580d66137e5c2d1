"""Pictures of results, as JPEG of a bounded size: hosts refuse or put aside large answers."""

import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam3i_agent.core.contracts import SegmentationResult
from sam3i_agent.core.drawing import draw_marks, fit
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.rle import tight_box
from sam3i_agent.tools.results.store import StoredResult

OVERLAY_SIDE = 1024
"""Longest side of an overlay in pixels: enough for a model to look at."""
PHOTO_SIDE = 2048
"""Longest side of the plain photo, for views that draw over it."""
MAX_VIEW_SIDE = 2048
MIN_VIEW_SIDE = 64
PICTURE_MIME = "image/jpeg"
_QUALITIES = (90, 80, 65, 50)
_SHRINK = 0.75
"""Of the sides, where no quality is small enough."""
_MARGIN = 0.25
"""Around an enlarged instance, as a share of its longer side."""
_LEAST_WINDOW = 16
"""Pixels of an enlarged part at least."""


def overlay_jpeg(stored: StoredResult, max_bytes: int) -> bytes:
    """Draw the photo with all instances numbered, within `max_bytes` of base64."""
    marked = draw_marks(stored.photo.pixels, stored.result.masks(), max_side=OVERLAY_SIDE)
    return encode_jpeg(marked, max_bytes)


def photo_jpeg(stored: StoredResult, max_bytes: int) -> bytes:
    """Return the photo without marks, upright, within `max_bytes` of base64."""
    return encode_jpeg(fit(stored.photo.pixels, PHOTO_SIDE), max_bytes)


def view_jpeg(
    stored: StoredResult,
    max_bytes: int,
    instances: Sequence[int] = (),
    *,
    zoom: bool = False,
    marks: bool = True,
    side: int = OVERLAY_SIDE,
) -> bytes:
    """Draw some instances of a result.

    Args:
        stored: the result.
        max_bytes: of the picture in base64.
        instances: their numbers, from 1; none means all.
        zoom: enlarge the part of the photo that holds them.
        marks: tint, outline and number them.
        side: longest side of the picture in pixels.

    Raises:
        InputError: there is no such instance, or the side is out of range.
    """
    numbers = check_numbers(stored.result, instances)
    if not MIN_VIEW_SIDE <= side <= MAX_VIEW_SIDE:
        raise InputError(f"side is {MIN_VIEW_SIDE} to {MAX_VIEW_SIDE} pixels, not {side}")
    pixels, masks = stored.photo.pixels, stored.result.masks()[[one - 1 for one in numbers]]
    window = _window(masks) if zoom else None
    parts: Sequence[NDArray[np.bool_]] = masks
    if window is not None:
        pixels = np.ascontiguousarray(pixels[window])
        parts = [mask[window] for mask in masks]
    if not marks:
        parts, numbers = [], []
    drawn = draw_marks(pixels, parts, numbers=numbers, max_side=side, min_side=side if zoom else 0)
    return encode_jpeg(drawn, max_bytes)


def check_numbers(result: SegmentationResult, instances: Sequence[int]) -> list[int]:
    """Return the numbers that a caller means, all where it names none.

    Raises:
        InputError: there is no such instance.
    """
    count = len(result.instances)
    for number in instances:
        if not 1 <= number <= count:
            known = f"the result has 1 to {count}" if count else "the result has none"
            raise InputError(f"there is no instance {number}; {known}")
    return list(dict.fromkeys(instances)) or list(range(1, count + 1))


def on_white(picture: Image.Image) -> Image.Image:
    """Return a picture without transparency."""
    if picture.mode != "RGBA":
        return picture
    ground = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(ground, picture).convert("RGB")


def encode_jpeg(picture: Image.Image, max_bytes: int) -> bytes:
    """Encode a picture so that it takes at most `max_bytes` in base64: coarser, then smaller."""
    picture = picture.copy()
    picture.thumbnail((PHOTO_SIDE, PHOTO_SIDE))
    while True:
        for quality in _QUALITIES:
            buffer = io.BytesIO()
            picture.save(buffer, format="JPEG", quality=quality)
            if base64_bytes(buffer.tell()) <= max_bytes or max(picture.size) <= MIN_VIEW_SIDE:
                return buffer.getvalue()
        size = (math.ceil(picture.width * _SHRINK), math.ceil(picture.height * _SHRINK))
        picture = picture.resize(size)


def base64_bytes(count: int) -> int:
    """Return how many bytes `count` bytes are in base64."""
    return 4 * math.ceil(count / 3)


def overlay_png(stored: StoredResult) -> bytes:
    """Draw the photo with all instances numbered, without loss."""
    marked = draw_marks(stored.photo.pixels, stored.result.masks(), max_side=OVERLAY_SIDE)
    return png_bytes(marked)


def mask_png(result: SegmentationResult, number: int) -> bytes:
    """Draw the mask of instance `number` (from 1) as a 1-bit PNG of the photo's size."""
    return png_bytes(Image.fromarray(np.ascontiguousarray(result.masks()[number - 1])))


def png_bytes(picture: Image.Image) -> bytes:
    """Encode a picture as PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def _window(masks: Masks) -> tuple[slice, slice] | None:
    """Return rows and columns that hold all masks and a margin; None where there is nothing."""
    box = tight_box(masks.union())
    if box is None:
        return None
    x0, y0, x1, y1 = box
    height, width = masks.size_hw
    extra = max(math.ceil(_MARGIN * max(x1 - x0, y1 - y0)), _LEAST_WINDOW)
    return (
        slice(max(0, y0 - extra), min(height, y1 + extra)),
        slice(max(0, x0 - extra), min(width, x1 + extra)),
    )
