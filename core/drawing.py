"""Set-of-mark pictures, for models and for people: each instance tinted, outlined and numbered.

Labels never cover each other: a label that finds its place taken moves outwards, with a line to its
instance. So 100 masks, masks inside masks and objects of a few pixels stay readable.
"""

import base64
import io
import math
from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_dilation, binary_erosion, distance_transform_edt

from sam3i_agent.core.rle import tight_box

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
_LABEL_AREAS = 3.0
"""An instance whose box has fewer areas of its label is labelled beside, not on top."""
_RING_STEPS = 12
_RINGS = 24
_JPEG_QUALITY = 90
_LARGEST_CELL = 384
_CELL_GAP = 8
"""Of a sheet of cut-outs, in pixels."""

Box = tuple[float, float, float, float]


def draw_marks(
    pixels: NDArray[np.uint8],
    masks: Sequence[NDArray[np.bool_]],
    *,
    max_side: int = MAX_SIDE,
    min_side: int = MIN_SIDE,
    numbers: Sequence[int] | None = None,
    doubted: Collection[int] = (),
) -> Image.Image:
    """Return the photo with its instances marked.

    Args:
        pixels: (H, W, 3) RGB.
        masks: N of (H, W); those of a large photo are best run-length encoded (`Masks`).
        max_side: longest side of the picture, in pixels, at most.
        min_side: and at least.
        numbers: on the labels, which choose the colours too; None counts from 1.
        doubted: those of the numbers whose label gets a question mark.
    """
    if numbers is None:
        numbers = range(1, len(masks) + 1)
    height, width = pixels.shape[:2]
    scale = min(max_side / max(width, height), max(1.0, min_side / max(width, height)))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    photo = Image.fromarray(pixels)
    canvas = np.array(photo if scale == 1 else photo.resize(size))
    scaled = [scale_mask(mask, size) if scale != 1 else mask for mask in masks]
    line = max(1, round(max(size) * _LINE_SHARE))
    labelled = list(zip(numbers, scaled, strict=True))
    for number, mask in sorted(labelled, key=lambda item: -int(item[1].sum())):
        _paint(canvas, mask, _COLOURS[(number - 1) % len(_COLOURS)], line)
    picture = Image.fromarray(canvas)
    labels = [f"{one}?" if one in doubted else str(one) for one in numbers]
    _draw_labels(picture, scaled, labels)
    return picture


def draw_sheet(
    pixels: NDArray[np.uint8],
    masks: Sequence[NDArray[np.bool_]],
    *,
    max_side: int = MAX_SIDE,
) -> Image.Image:
    """Return a sheet with an enlarged cut-out of each mask under its number, from 1, row by row.

    Args:
        pixels: (H, W, 3) RGB.
        masks: N of (H, W), none empty; N is 1 or more.
        max_side: longest side of the sheet in pixels; its cells are as large as that allows, and
            no larger than one cut-out alone.
    """
    columns = math.ceil(math.sqrt(len(masks)))
    rows = math.ceil(len(masks) / columns)
    cell = min(_LARGEST_CELL, max_side // columns - _CELL_GAP)
    letters = max(14, cell // 10)
    font, caption = ImageFont.load_default(size=letters), round(1.4 * letters)
    sheet = Image.new(
        "RGB", (columns * (cell + _CELL_GAP), rows * (cell + caption + _CELL_GAP)), "white"
    )
    draw = ImageDraw.Draw(sheet)
    for index, mask in enumerate(masks):
        x = index % columns * (cell + _CELL_GAP)
        y = index // columns * (cell + caption + _CELL_GAP)
        draw.rectangle((x, y, x + cell, y + caption), fill="black")
        draw.text((x + cell / 2, y + caption / 2), str(index + 1), "white", font, anchor="mm")
        piece = crop_around(pixels, mask, side=cell)
        sheet.paste(piece, (x + (cell - piece.width) // 2, y + caption))
    return sheet


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
    box = tight_box(mask)
    if box is None:
        raise ValueError("an empty mask has no surroundings to show")
    x0, y0, x1, y1 = box
    extra = math.ceil(margin * max(y1 - y0, x1 - x0)) + 1
    y0, x0 = max(0, y0 - extra), max(0, x0 - extra)
    y1, x1 = min(mask.shape[0], y1 + extra), min(mask.shape[1], x1 + extra)
    piece = Image.fromarray(pixels[y0:y1, x0:x1])
    scale = side / max(piece.size)
    size = (max(1, round(piece.width * scale)), max(1, round(piece.height * scale)))
    canvas = np.array(piece.resize(size))
    _outline(canvas, scale_mask(mask[y0:y1, x0:x1], size), _COLOURS[0], 2)
    return Image.fromarray(canvas)


def fit(pixels: NDArray[np.uint8], max_side: int = MAX_SIDE) -> Image.Image:
    """Return the photo, scaled down to `max_side` where it is larger."""
    photo = Image.fromarray(pixels)
    photo.thumbnail((max_side, max_side))
    return photo


def data_url(picture: Image.Image) -> str:
    """Encode a picture as JPEG, the way language models are sent one."""
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=_JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def scale_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Scale to (width, height); a mask of a few pixels never vanishes."""
    resized = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    if not resized.any() and mask.any():
        resized = resized.copy()
        for y, x in np.argwhere(mask):
            resized[y * size[1] // mask.shape[0], x * size[0] // mask.shape[1]] = True
    return resized


def _paint(
    canvas: NDArray[np.uint8], mask: NDArray[np.bool_], colour: tuple[int, int, int], line: int
) -> None:
    window = _window(mask, 0)
    part, near = canvas[window], mask[window]
    part[near] = (1 - _TINT) * part[near] + _TINT * np.array(colour)
    _outline(canvas, mask, colour, line)


def _outline(
    canvas: NDArray[np.uint8], mask: NDArray[np.bool_], colour: tuple[int, int, int], line: int
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
    box = tight_box(mask)
    if box is None:
        return slice(0, 0), slice(0, 0)
    x0, y0, x1, y1 = box
    return slice(max(0, y0 - margin), y1 + margin), slice(max(0, x0 - margin), x1 + margin)


def _draw_labels(
    picture: Image.Image, masks: list[NDArray[np.bool_]], labels: Sequence[str]
) -> None:
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(
        size=max(11, round(max(picture.size) / (40 if len(masks) < _MANY else 60)))
    )
    halves = [_half_size(draw, font, label) for label in labels]
    boxes = [tight_box(mask) for mask in masks]
    small = [
        box is not None and _is_small(box, half) for box, half in zip(boxes, halves, strict=True)
    ]
    # No label may hide a small instance, its own or another's.
    taken: list[Box] = [box for box, is_small in zip(boxes, small, strict=True) if box and is_small]
    for label, mask, half, is_small in zip(labels, masks, halves, small, strict=True):
        if not mask.any():
            continue
        anchor = _inner_point(mask)
        centre = _free_place(anchor, half, picture.size, taken, beside=is_small)
        box = (centre[0] - half[0], centre[1] - half[1], centre[0] + half[0], centre[1] + half[1])
        taken.append(box)
        if not (box[0] <= anchor[0] <= box[2] and box[1] <= anchor[1] <= box[3]):
            draw.line([anchor, centre], fill="white", width=3)
            draw.line([anchor, centre], fill="black", width=1)
        draw.rectangle(box, fill="black", outline="white")
        draw.text(centre, label, font=font, fill="white", anchor="mm")


def _half_size(
    draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, text: str
) -> tuple[float, float]:
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    return (right - left) / 2 + 3, (bottom - top) / 2 + 3


def _is_small(box: Box, half: tuple[float, float]) -> bool:
    """Whether a label in the middle would hide most of what it names."""
    return (box[2] - box[0]) * (box[3] - box[1]) < _LABEL_AREAS * 4 * half[0] * half[1]


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
    *,
    beside: bool,
) -> tuple[float, float]:
    """Return the centre nearest to `anchor` where a label covers nothing that is taken."""
    if not beside and _is_free(anchor, half, size, taken):
        return anchor
    for place in _places_around(anchor, half):
        x = min(max(place[0], half[0]), max(half[0], size[0] - 1 - half[0]))
        y = min(max(place[1], half[1]), max(half[1], size[1] - 1 - half[1]))
        if _is_free((x, y), half, size, taken):
            return x, y
    return anchor


def _is_free(
    centre: tuple[float, float], half: tuple[float, float], size: tuple[int, int], taken: list[Box]
) -> bool:
    x0, y0, x1, y1 = (
        centre[0] - half[0], centre[1] - half[1], centre[0] + half[0], centre[1] + half[1],
    )  # fmt: skip
    inside = x0 >= 0 and y0 >= 0 and x1 < size[0] and y1 < size[1]
    return inside and all(x1 < box[0] or x0 > box[2] or y1 < box[1] or y0 > box[3] for box in taken)


def _places_around(
    anchor: tuple[float, float], half: tuple[float, float]
) -> Iterator[tuple[float, float]]:
    for ring in range(1, _RINGS + 1):
        for step in range(_RING_STEPS):
            angle = 2 * math.pi * step / _RING_STEPS
            yield (
                anchor[0] + 1.5 * ring * half[0] * math.cos(angle),
                anchor[1] + 1.5 * ring * half[1] * math.sin(angle),
            )
