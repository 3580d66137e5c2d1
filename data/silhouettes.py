"""Outlines of everyday things, drawn by hand as polygons.

A silhouette is painted step by step: parts are added, holes cut, and details marked on what is
there. Coordinates are of unit radius around the origin, x rightwards, y down.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Points = NDArray[np.float64]
"""(K, 2) corners of a polygon."""


class Thing(StrEnum):
    """An everyday thing that a scene may show."""

    APPLE = "apple"
    BELL = "bell"
    BIRD = "bird"
    BOAT = "boat"
    BOOT = "boot"
    BOTTLE = "bottle"
    CAR = "car"
    CAT = "cat"
    CHAIR = "chair"
    CLOUD = "cloud"
    CUP = "cup"
    FISH = "fish"
    FLOWER = "flower"
    HAMMER = "hammer"
    HAT = "hat"
    HOUSE = "house"
    KEY = "key"
    LAMP = "lamp"
    LEAF = "leaf"
    MUSHROOM = "mushroom"
    SHIRT = "shirt"
    SPOON = "spoon"
    TREE = "tree"
    UMBRELLA = "umbrella"


TURNED_FREELY = frozenset({Thing.KEY, Thing.LEAF, Thing.SPOON, Thing.HAMMER})
"""Things that lie about at any angle; the others stand."""

Action = Literal["part", "hole", "detail"]


@dataclass(frozen=True)
class Stroke:
    """One polygon of a silhouette and what it does."""

    action: Action
    points: Points


def _round(
    cx: float, cy: float, rx: float, ry: float, start: float = 0, end: float = 360
) -> Points:
    """Return an ellipse, or its piece between two angles in degrees (0 right, 90 down)."""
    angles = np.radians(np.linspace(start, end, 28))
    return np.stack([cx + rx * np.cos(angles), cy + ry * np.sin(angles)], axis=1)


def _box(x0: float, y0: float, x1: float, y1: float) -> Points:
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def _path(*points: tuple[float, float]) -> Points:
    return np.array(points)


def _leaf() -> Points:
    along = np.linspace(0, math.pi, 18)
    half = 0.48 * np.sin(along) ** 0.8
    x = np.linspace(-0.6, 1.0, 18)
    return np.concatenate([np.stack([x, -half], 1), np.stack([x, half], 1)[::-1]])


def _petals() -> list[Points]:
    angles = np.radians(np.arange(6) * 60)
    return [_round(0.38 * math.cos(a), -0.4 + 0.38 * math.sin(a), 0.25, 0.25) for a in angles]


def _strokes(*steps: tuple[Action, Points]) -> tuple[Stroke, ...]:
    return tuple(Stroke(action, points) for action, points in steps)


def _parts(polygons: Sequence[Points]) -> tuple[Stroke, ...]:
    return tuple(Stroke("part", points) for points in polygons)


SILHOUETTES: dict[Thing, tuple[Stroke, ...]] = {
    Thing.APPLE: _strokes(
        ("part", _round(-0.3, 0.12, 0.55, 0.72)),
        ("part", _round(0.3, 0.12, 0.55, 0.72)),
        ("part", _path((-0.06, -0.4), (0.1, -1.0), (0.22, -0.95), (0.06, -0.4))),
        ("part", _round(0.4, -0.75, 0.3, 0.13)),
        ("detail", _path((-0.06, -0.45), (0.1, -1.0), (0.22, -0.95), (0.06, -0.45))),
    ),
    Thing.BELL: _strokes(
        ("part", _round(0, 0.72, 0.2, 0.22)),
        ("part", _path((-0.9, 0.7), (-0.6, 0.35), (-0.52, -0.3), (-0.3, -0.7), (0.3, -0.7),
                       (0.52, -0.3), (0.6, 0.35), (0.9, 0.7))),
        ("part", _round(0, -0.78, 0.16, 0.2)),
        ("detail", _box(-0.66, 0.38, 0.66, 0.5)),
    ),
    Thing.BIRD: _strokes(
        ("part", _round(0.0, 0.05, 0.62, 0.4)),
        ("part", _round(-0.55, -0.35, 0.3, 0.3)),
        ("part", _path((-0.8, -0.42), (-1.1, -0.26), (-0.78, -0.2))),
        ("part", _path((0.4, -0.1), (1.05, -0.35), (1.0, 0.12), (0.45, 0.25))),
        ("part", _box(-0.12, 0.4, -0.04, 0.85)),
        ("part", _box(0.1, 0.4, 0.18, 0.85)),
        ("detail", _path((-0.25, -0.1), (0.4, -0.2), (0.55, 0.1), (0.1, 0.25))),
        ("detail", _round(-0.62, -0.4, 0.07, 0.07)),
    ),
    Thing.BOAT: _strokes(
        ("part", _path((-1.0, 0.35), (1.0, 0.35), (0.65, 0.85), (-0.65, 0.85))),
        ("part", _box(-0.09, -1.0, 0.03, 0.4)),
        ("part", _path((0.1, -0.95), (0.85, 0.22), (0.1, 0.22))),
        ("part", _path((-0.16, -0.7), (-0.16, 0.22), (-0.7, 0.22))),
        ("detail", _box(-0.95, 0.42, 0.95, 0.52)),
    ),
    Thing.BOOT: _strokes(
        ("part", _path((-0.6, -0.95), (0.15, -0.95), (0.15, 0.1), (0.7, 0.3), (0.95, 0.6),
                       (0.95, 0.9), (-0.6, 0.9))),
        ("detail", _box(-0.6, 0.74, 0.95, 0.9)),
        ("detail", _box(-0.6, -0.95, 0.15, -0.76)),
    ),
    Thing.BOTTLE: _strokes(
        ("part", _path((-0.14, -1.0), (0.14, -1.0), (0.14, -0.5), (0.36, -0.2), (0.36, 1.0),
                       (-0.36, 1.0), (-0.36, -0.2), (-0.14, -0.5))),
        ("detail", _box(-0.36, 0.1, 0.36, 0.6)),
        ("detail", _box(-0.14, -1.0, 0.14, -0.86)),
    ),
    Thing.CAR: _strokes(
        ("part", _path((-1.0, 0.0), (-0.62, -0.08), (-0.4, -0.5), (0.3, -0.5), (0.62, -0.08),
                       (1.0, 0.05), (1.0, 0.4), (-1.0, 0.4))),
        ("part", _round(-0.55, 0.4, 0.24, 0.24)),
        ("part", _round(0.55, 0.4, 0.24, 0.24)),
        ("detail", _round(-0.55, 0.4, 0.24, 0.24)),
        ("detail", _round(0.55, 0.4, 0.24, 0.24)),
        ("detail", _path((-0.48, -0.08), (-0.33, -0.4), (-0.06, -0.4), (-0.06, -0.08))),
        ("detail", _path((0.04, -0.08), (0.04, -0.4), (0.25, -0.4), (0.45, -0.08))),
    ),
    Thing.CAT: _strokes(
        ("part", _round(0.05, 0.4, 0.48, 0.58)),
        ("part", _round(-0.05, -0.38, 0.4, 0.34)),
        ("part", _path((-0.45, -0.4), (-0.4, -1.0), (-0.05, -0.65))),
        ("part", _path((0.35, -0.4), (0.3, -1.0), (-0.05, -0.65))),
        ("part", _path((0.3, 0.75), (0.75, 0.6), (0.75, -0.1), (0.92, -0.1), (0.95, 0.7),
                       (0.4, 0.98))),
        ("detail", _round(-0.2, -0.4, 0.06, 0.08)),
        ("detail", _round(0.1, -0.4, 0.06, 0.08)),
    ),
    Thing.CHAIR: _strokes(
        ("part", _box(-0.6, -1.0, -0.4, 1.0)),
        ("part", _box(-0.6, -0.95, -0.35, -0.1)),
        ("part", _box(-0.6, 0.0, 0.6, 0.24)),
        ("part", _box(0.42, 0.1, 0.6, 1.0)),
        ("detail", _box(-0.6, 0.0, 0.6, 0.1)),
    ),
    Thing.CLOUD: _strokes(
        ("part", _round(-0.55, 0.15, 0.42, 0.35)),
        ("part", _round(-0.12, -0.15, 0.45, 0.45)),
        ("part", _round(0.42, 0.05, 0.4, 0.36)),
        ("part", _box(-0.6, 0.1, 0.6, 0.5)),
        ("part", _round(0.68, 0.24, 0.3, 0.26)),
    ),
    Thing.CUP: _strokes(
        ("part", _round(0.5, -0.05, 0.45, 0.42)),
        ("hole", _round(0.5, -0.05, 0.25, 0.22)),
        ("part", _path((-0.85, -0.7), (0.5, -0.7), (0.36, 0.75), (-0.7, 0.75))),
        ("detail", _path((-0.84, -0.62), (0.49, -0.62), (0.47, -0.45), (-0.82, -0.45))),
    ),
    Thing.FISH: _strokes(
        ("part", _round(-0.25, 0, 0.72, 0.42)),
        ("part", _path((0.3, 0), (1.0, -0.48), (0.82, 0), (1.0, 0.48))),
        ("part", _path((-0.3, -0.35), (0.1, -0.72), (0.22, -0.28))),
        ("detail", _round(-0.66, -0.1, 0.08, 0.08)),
        ("detail", _path((-0.2, 0.0), (0.15, -0.12), (0.15, 0.18))),
    ),
    Thing.FLOWER: (
        *_strokes(
            ("part", _box(-0.06, -0.3, 0.06, 1.0)),
            ("part", _path((0.0, 0.75), (0.5, 0.3), (0.55, 0.55))),
            ("part", _path((0.0, 0.85), (-0.5, 0.45), (-0.5, 0.7))),
        ),
        *_parts(_petals()),
        *_strokes(
            ("part", _round(0, -0.4, 0.25, 0.25)),
            ("detail", _round(0, -0.4, 0.22, 0.22)),
        ),
    ),
    Thing.HAMMER: _strokes(
        ("part", _box(-0.11, -0.6, 0.11, 1.0)),
        ("part", _path((-0.6, -0.95), (0.35, -0.95), (0.75, -0.65), (0.35, -0.5), (-0.6, -0.5))),
        ("detail", _path((-0.6, -0.95), (0.35, -0.95), (0.75, -0.65), (0.35, -0.5), (-0.6, -0.5))),
    ),
    Thing.HAT: _strokes(
        ("part", _round(0, 0.45, 1.0, 0.2)),
        ("part", _path((-0.52, 0.45), (-0.46, -0.45), (-0.2, -0.62), (0.2, -0.62), (0.46, -0.45),
                       (0.52, 0.45))),
        ("detail", _box(-0.5, 0.1, 0.5, 0.32)),
    ),
    Thing.HOUSE: _strokes(
        ("part", _box(0.35, -0.85, 0.55, -0.2)),
        ("part", _box(-0.72, -0.1, 0.72, 0.9)),
        ("part", _path((-0.98, -0.1), (0, -0.95), (0.98, -0.1))),
        ("detail", _box(-0.14, 0.35, 0.16, 0.9)),
        ("detail", _box(-0.55, 0.15, -0.28, 0.42)),
        ("detail", _box(0.3, 0.15, 0.57, 0.42)),
    ),
    Thing.KEY: _strokes(
        ("part", _round(-0.6, 0, 0.42, 0.42)),
        ("hole", _round(-0.66, 0, 0.2, 0.2)),
        ("part", _box(-0.25, -0.1, 1.0, 0.1)),
        ("part", _box(0.5, 0.05, 0.66, 0.42)),
        ("part", _box(0.82, 0.05, 0.98, 0.42)),
    ),
    Thing.LAMP: _strokes(
        ("part", _path((-0.35, -0.95), (0.35, -0.95), (0.7, -0.1), (-0.7, -0.1))),
        ("part", _box(-0.07, -0.15, 0.07, 0.85)),
        ("part", _round(0, 0.88, 0.45, 0.14)),
        ("detail", _box(-0.07, -0.1, 0.07, 0.85)),
    ),
    Thing.LEAF: _strokes(
        ("part", _leaf()),
        ("part", _box(-1.0, -0.05, -0.4, 0.05)),
        ("detail", _box(-0.6, -0.035, 0.85, 0.035)),
    ),
    Thing.MUSHROOM: _strokes(
        ("part", _path((-0.25, -0.1), (0.25, -0.1), (0.34, 0.9), (-0.34, 0.9))),
        ("part", _round(0, 0.0, 0.9, 0.8, 180, 360)),
        ("detail", _round(-0.4, -0.3, 0.14, 0.12)),
        ("detail", _round(0.1, -0.5, 0.15, 0.13)),
        ("detail", _round(0.48, -0.22, 0.12, 0.1)),
    ),
    Thing.SHIRT: _strokes(
        ("part", _path((-0.4, -0.75), (-0.18, -0.6), (0.18, -0.6), (0.4, -0.75), (1.0, -0.3),
                       (0.78, 0.05), (0.5, -0.12), (0.5, 0.9), (-0.5, 0.9), (-0.5, -0.12),
                       (-0.78, 0.05), (-1.0, -0.3))),
        ("detail", _box(-0.03, -0.6, 0.03, 0.9)),
    ),
    Thing.SPOON: _strokes(
        ("part", _round(-0.62, 0, 0.4, 0.29)),
        ("part", _path((-0.3, -0.08), (1.0, -0.13), (1.0, 0.13), (-0.3, 0.08))),
        ("detail", _round(-0.62, 0, 0.24, 0.15)),
    ),
    Thing.TREE: _strokes(
        ("part", _box(-0.14, 0.2, 0.14, 1.0)),
        ("part", _round(-0.36, 0.0, 0.42, 0.42)),
        ("part", _round(0.36, 0.0, 0.42, 0.42)),
        ("part", _round(0, -0.45, 0.5, 0.5)),
        ("detail", _box(-0.14, 0.36, 0.14, 1.0)),
    ),
    Thing.UMBRELLA: _strokes(
        ("part", _round(0, 0.05, 1.0, 0.9, 180, 360)),
        ("hole", _round(-0.66, 0.08, 0.33, 0.16)),
        ("hole", _round(0, 0.08, 0.33, 0.16)),
        ("hole", _round(0.66, 0.08, 0.33, 0.16)),
        ("part", _box(-0.05, -0.95, 0.05, 0.8)),
        ("part", _path((-0.05, 0.75), (-0.05, 0.95), (0.35, 0.95), (0.35, 0.7), (0.25, 0.7),
                       (0.25, 0.85), (0.05, 0.85), (0.05, 0.75))),
        ("detail", _box(-0.03, -0.1, 0.03, 0.85)),
    ),
}  # fmt: skip


def draw_silhouette(
    thing: Thing, transform: NDArray[np.float64], offset_xy: NDArray[np.float64], side: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Draw a thing on an empty canvas.

    Args:
        thing: which.
        transform: (2, 2), what a row of unit coordinates is multiplied with.
        offset_xy: where the origin comes to lie, in pixels.
        side: of the square canvas, in pixels.

    Returns:
        Its mask and the mask of its details, (side, side) each; details lie within the mask.
    """
    canvas, marks = Image.new("1", (side, side)), Image.new("1", (side, side))
    draw, draw_marks = ImageDraw.Draw(canvas), ImageDraw.Draw(marks)
    for stroke in SILHOUETTES[thing]:
        corners = [tuple(point) for point in (stroke.points @ transform + offset_xy).tolist()]
        if stroke.action == "detail":
            draw_marks.polygon(corners, fill=1)
        else:
            draw.polygon(corners, fill=int(stroke.action == "part"))
    mask = np.array(canvas, dtype=bool)
    return mask, np.array(marks, dtype=bool) & mask
