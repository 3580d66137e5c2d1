"""Set-of-mark pictures, for models and for people: each instance tinted, outlined and numbered.

Labels never cover each other: a label that finds its place taken moves outwards, with a line to its
instance. So 100 masks, masks inside masks and objects of a few pixels stay readable.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_dilation, binary_erosion, distance_transform_edt

MAX_SIDE = 1568
"""Longest side of a picture in pixels; larger photos are scaled down."""
MIN_SIDE = 512
"""Longest side at least; smaller photos are scaled up, so that labels stay small against them."""
_TINT = 0.45
_COLOURS: tuple[tuple[int, int, int], ...] = (
    (230, 25, 75), (0, 130, 200), (60, 180, 75), (245, 130, 48), (145, 30, 180),
    (0, 160, 160), (240, 50, 230), (128, 128, 0), (170, 110, 40), (0, 0, 128),
)  # fmt: skip
_LINE_SHARE = 1 / 300
"""Width of outlines, as a share of the longest side."""
_MANY = 12
"""From so many marks on, labels are smaller."""
_RING_STEPS = 12
_RINGS = 24

Box = tuple[float, float, float, float]


def draw_marks(
    pixels: NDArray[np.uint8],
    masks: NDArray[np.bool_],
    *,
    max_side: int = MAX_SIDE,
    min_side: int = MIN_SIDE,
) -> Image.Image:
    """Return the photo with its instances marked 1, 2, … in the order of `masks`.

    Args:
        pixels: (H, W, 3) RGB.
        masks: (N, H, W).
        max_side: longest side of the picture, in pixels, at most.
        min_side: and at least.
    """
    height, width = pixels.shape[:2]
    scale = min(max_side / max(width, height), max(1.0, min_side / max(width, height)))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    photo = Image.fromarray(pixels)
    canvas = np.asarray(photo if scale == 1 else photo.resize(size), dtype=np.float32).copy()
    scaled = [_resize_mask(mask, size) if scale != 1 else mask for mask in masks]
    line = max(1, round(max(size) * _LINE_SHARE))
    for number, mask in sorted(enumerate(scaled), key=lambda item: -int(item[1].sum())):
        _paint(canvas, mask, np.array(_COLOURS[number % len(_COLOURS)], dtype=np.float32), line)
    picture = Image.fromarray(canvas.astype(np.uint8))
    _draw_labels(picture, scaled)
    return picture


def crop_around(
    pixels: NDArray[np.uint8], mask: NDArray[np.bool_], *, margin: float = 0.5, side: int = 384
) -> Image.Image:
    """Return an enlarged cut-out of the photo around a mask, with its outline.

    Args:
        pixels: (H, W, 3) RGB.
        mask: (H, W), not empty.
        margin: added on each side, as a share of the mask's longer side.
        side: longest side of the cut-out in pixels.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    extra = math.ceil(margin * max(y1 - y0, x1 - x0)) + 1
    y0, x0 = max(0, y0 - extra), max(0, x0 - extra)
    y1, x1 = min(mask.shape[0], y1 + extra), min(mask.shape[1], x1 + extra)
    piece = Image.fromarray(pixels[y0:y1, x0:x1])
    scale = side / max(piece.size)
    size = (max(1, round(piece.width * scale)), max(1, round(piece.height * scale)))
    canvas = np.asarray(piece.resize(size), dtype=np.float32).copy()
    enlarged = _resize_mask(mask[y0:y1, x0:x1], size)
    _outline(canvas, enlarged, np.array(_COLOURS[0], dtype=np.float32), 2)
    return Image.fromarray(canvas.astype(np.uint8))


def fit(pixels: NDArray[np.uint8], max_side: int = MAX_SIDE) -> Image.Image:
    """Return the photo, scaled down to `max_side` where it is larger."""
    photo = Image.fromarray(pixels)
    photo.thumbnail((max_side, max_side))
    return photo


def _resize_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Scale to (width, height); a mask of a few pixels never vanishes."""
    resized = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    if not resized.any() and mask.any():
        resized = resized.copy()
        for y, x in np.argwhere(mask):
            resized[y * size[1] // mask.shape[0], x * size[0] // mask.shape[1]] = True
    return resized


def _paint(
    canvas: NDArray[np.float32], mask: NDArray[np.bool_], colour: NDArray[np.float32], line: int
) -> None:
    canvas[mask] = (1 - _TINT) * canvas[mask] + _TINT * colour
    _outline(canvas, mask, colour, line)


def _outline(
    canvas: NDArray[np.float32], mask: NDArray[np.bool_], colour: NDArray[np.float32], line: int
) -> None:
    window = _window(mask, line + 1)
    part, near = canvas[window], mask[window]
    core = np.asarray(binary_erosion(near, iterations=line), dtype=bool)
    part[near & ~core] = colour
    # A white rim outside keeps the outline visible on an object of its own colour.
    grown = np.asarray(binary_dilation(near, iterations=line), dtype=bool)
    part[grown & ~near] = 255


def _window(mask: NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    """Return rows and columns of the mask's box and `margin` pixels around it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return (
        slice(max(0, int(rows[0]) - margin), int(rows[-1]) + margin + 1),
        slice(max(0, int(columns[0]) - margin), int(columns[-1]) + margin + 1),
    )


def _draw_labels(picture: Image.Image, masks: list[NDArray[np.bool_]]) -> None:
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(
        size=max(11, round(max(picture.size) / (40 if len(masks) < _MANY else 60)))
    )
    taken: list[Box] = []
    for number, mask in enumerate(masks, start=1):
        if not mask.any():
            continue
        anchor = _inner_point(mask)
        left, top, right, bottom = draw.textbbox((0, 0), str(number), font=font)
        half = ((right - left) / 2 + 3, (bottom - top) / 2 + 3)
        centre = _free_place(anchor, half, picture.size, taken)
        box = (centre[0] - half[0], centre[1] - half[1], centre[0] + half[0], centre[1] + half[1])
        taken.append(box)
        if not (box[0] <= anchor[0] <= box[2] and box[1] <= anchor[1] <= box[3]):
            draw.line([anchor, centre], fill="white", width=3)
            draw.line([anchor, centre], fill="black", width=1)
        draw.rectangle(box, fill="black", outline="white")
        draw.text(centre, str(number), font=font, fill="white", anchor="mm")


def _inner_point(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the x, y of the pixel that lies deepest inside the mask."""
    window = _window(mask, 0)
    depth = np.asarray(distance_transform_edt(np.pad(mask[window], 1)))[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(x + window[1].start), float(y + window[0].start)


def _free_place(
    anchor: tuple[float, float],
    half: tuple[float, float],
    size: tuple[int, int],
    taken: list[Box],
) -> tuple[float, float]:
    """Return the centre nearest to `anchor` where a label fits without covering another."""
    for x, y in _places_around(anchor, half):
        x = min(max(x, half[0]), max(half[0], size[0] - 1 - half[0]))
        y = min(max(y, half[1]), max(half[1], size[1] - 1 - half[1]))
        if all(
            x + half[0] < x0 or x - half[0] > x1 or y + half[1] < y0 or y - half[1] > y1
            for x0, y0, x1, y1 in taken
        ):
            return x, y
    return anchor


def _places_around(
    anchor: tuple[float, float], half: tuple[float, float]
) -> Iterator[tuple[float, float]]:
    yield anchor
    for ring in range(1, _RINGS + 1):
        for step in range(_RING_STEPS):
            angle = 2 * math.pi * step / _RING_STEPS
            yield (
                anchor[0] + 1.5 * ring * half[0] * math.cos(angle),
                anchor[1] + 1.5 * ring * half[1] * math.sin(angle),
            )
