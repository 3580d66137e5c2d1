"""A picture of a result: each instance tinted, outlined and numbered."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_dilation, binary_erosion

MAX_SIDE = 1568
"""Longest side of an overlay in pixels; larger photos are scaled down."""
_TINT = 0.45
_COLOURS: tuple[tuple[int, int, int], ...] = (
    (230, 25, 75), (0, 130, 200), (60, 180, 75), (245, 130, 48), (145, 30, 180),
    (0, 160, 160), (240, 50, 230), (128, 128, 0), (170, 110, 40), (0, 0, 128),
)  # fmt: skip


def draw_overlay(
    pixels: NDArray[np.uint8], masks: NDArray[np.bool_], max_side: int = MAX_SIDE
) -> Image.Image:
    """Return the photo with its instances marked 1, 2, … in the order of `masks`.

    Args:
        pixels: (H, W, 3) RGB.
        masks: (N, H, W).
        max_side: longest side of the picture, in pixels.
    """
    canvas = pixels.astype(np.float32)
    line = max(1, round(max(pixels.shape[:2]) / 300))
    for number, mask in enumerate(masks):
        colour = np.array(_COLOURS[number % len(_COLOURS)], dtype=np.float32)
        canvas[mask] = (1 - _TINT) * canvas[mask] + _TINT * colour
        core = np.asarray(binary_erosion(mask, iterations=line), dtype=bool)
        edge = mask & ~core
        canvas[edge] = colour
        # A white rim outside keeps the outline visible on an object of its own colour.
        grown = np.asarray(binary_dilation(mask, iterations=line), dtype=bool)
        canvas[grown & ~mask] = 255
    picture = Image.fromarray(canvas.astype(np.uint8))
    scale = min(1.0, max_side / max(picture.size))
    if scale < 1:
        picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=max(11, round(max(picture.size) / 40)))
    for number, mask in enumerate(masks):
        if mask.any():
            x, y = _inner_point(mask)
            _draw_label(draw, font, str(number + 1), (x * scale, y * scale), picture.size)
    return picture


def _inner_point(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the x, y of the mask's pixel that is nearest to its centre of mass."""
    rows, columns = np.nonzero(mask)
    nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return float(columns[nearest]), float(rows[nearest])


def _draw_label(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    text: str,
    centre_xy: tuple[float, float],
    size: tuple[int, int],
) -> None:
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    half_width, half_height = (right - left) / 2 + 3, (bottom - top) / 2 + 3
    x = min(max(centre_xy[0], half_width), size[0] - half_width)
    y = min(max(centre_xy[1], half_height), size[1] - half_height)
    box = (x - half_width, y - half_height, x + half_width, y + half_height)
    draw.rectangle(box, fill="black", outline="white")
    draw.text((x, y), text, font=font, fill="white", anchor="mm")
