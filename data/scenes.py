"""Generated scenes: shapes with colours, textures, sizes and overlaps, and their exact masks.

A scene is a pure function of its seed, so a dataset is named by `(seed, count)` and training can
draw new scenes for ever without storing one. Coordinates are pixels of a square canvas, origin at
the top left, y down.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sam3i_agent.data.kinds import SceneStyle
from sam3i_agent.data.silhouettes import Thing

CANVAS_SIZE = 256
"""Side of a scene in pixels."""

RGB = tuple[int, int, int]


class Shape(StrEnum):
    """What an object is."""

    CIRCLE = "circle"
    SQUARE = "square"
    TRIANGLE = "triangle"
    STAR = "star"
    HEART = "heart"
    CROSS = "cross"
    RING = "ring"
    CRESCENT = "crescent"
    DIAMOND = "diamond"
    ARROW = "arrow"


class Colour(StrEnum):
    """An object's base colour."""

    RED = "red"
    ORANGE = "orange"
    YELLOW = "yellow"
    GREEN = "green"
    BLUE = "blue"
    PURPLE = "purple"
    PINK = "pink"
    WHITE = "white"
    BLACK = "black"


class Texture(StrEnum):
    """How the colour is laid on."""

    PLAIN = "plain"
    STRIPED = "striped"
    DOTTED = "dotted"


Noun = Shape | Thing
"""What an object is called."""

PALETTE: dict[Colour, RGB] = {
    Colour.RED: (214, 32, 36),
    Colour.ORANGE: (242, 133, 22),
    Colour.YELLOW: (243, 221, 40),
    Colour.GREEN: (40, 160, 62),
    Colour.BLUE: (36, 84, 214),
    Colour.PURPLE: (124, 44, 166),
    Colour.PINK: (248, 138, 192),
    Colour.WHITE: (246, 246, 246),
    Colour.BLACK: (22, 22, 24),
}

WITHHELD_COMBINATIONS: frozenset[tuple[Colour, Shape]] = frozenset(
    {
        (Colour.RED, Shape.STAR),
        (Colour.ORANGE, Shape.RING),
        (Colour.YELLOW, Shape.HEART),
        (Colour.GREEN, Shape.CRESCENT),
        (Colour.BLUE, Shape.TRIANGLE),
        (Colour.PURPLE, Shape.SQUARE),
        (Colour.PINK, Shape.ARROW),
        (Colour.WHITE, Shape.CROSS),
        (Colour.BLACK, Shape.DIAMOND),
    }
)
"""Colour-shape pairs that no training scene shows, so that composition can be tested."""

WITHHELD_THINGS: frozenset[tuple[Colour, Thing]] = frozenset(
    {
        (Colour.RED, Thing.CAR),
        (Colour.ORANGE, Thing.FISH),
        (Colour.YELLOW, Thing.CUP),
        (Colour.GREEN, Thing.BOTTLE),
        (Colour.BLUE, Thing.HOUSE),
        (Colour.PURPLE, Thing.LEAF),
        (Colour.PINK, Thing.BOAT),
        (Colour.WHITE, Thing.BIRD),
        (Colour.BLACK, Thing.KEY),
    }
)
"""The same of everyday things."""


def is_withheld(colour: Colour | None, noun: Noun | None) -> bool:
    """Whether no training scene shows this pair."""
    return (colour, noun) in WITHHELD_COMBINATIONS or (colour, noun) in WITHHELD_THINGS


Combinations = Literal["trained", "withheld"]
"""`trained`: only pairs a training scene may show; `withheld`: each scene has a withheld pair."""


@dataclass(frozen=True)
class SceneObject:
    """One drawn object; `mask` is what stays visible of it."""

    shape: Noun
    colour: Colour
    texture: Texture
    mask: NDArray[np.bool_]
    """(CANVAS_SIZE, CANVAS_SIZE), exact and exclusive: no pixel belongs to two objects."""

    @property
    def box_xyxy(self) -> tuple[float, float, float, float]:
        """The tight box of the visible mask, in pixels, right and bottom exclusive."""
        rows = np.flatnonzero(self.mask.any(axis=1))
        columns = np.flatnonzero(self.mask.any(axis=0))
        return (
            float(columns[0]),
            float(rows[0]),
            float(columns[-1] + 1),
            float(rows[-1] + 1),
        )

    @property
    def centre_xy(self) -> tuple[float, float]:
        """The centre of the box, in pixels."""
        x0, y0, x1, y1 = self.box_xyxy
        return (x0 + x1) / 2, (y0 + y1) / 2

    @property
    def area(self) -> int:
        """Visible pixels."""
        return int(self.mask.sum())


@dataclass(frozen=True)
class Scene:
    """A picture and what is in it."""

    image: NDArray[np.uint8]
    """(CANVAS_SIZE, CANVAS_SIZE, 3), RGB."""
    objects: tuple[SceneObject, ...]
    style: SceneStyle = SceneStyle.SHAPES

    @property
    def nouns(self) -> tuple[Noun, ...]:
        """What scenes of this style may show."""
        return tuple(Shape) if self.style is SceneStyle.SHAPES else (*Shape, *Thing)


@dataclass(frozen=True)
class SceneLimits:
    """How crowded a scene is."""

    min_objects: int = 1
    max_objects: int = 7
    min_diameter: float = 0.16
    """Of the canvas side."""
    max_diameter: float = 0.40
    """Of the canvas side."""
    max_overlap: float = 0.35
    """The largest share of any object that others may hide."""


DEFAULT_LIMITS = SceneLimits()
PLACEMENT_TRIES = 12
REPEAT_PROBABILITY = 0.45
"""Chance that an object copies its kind or colour from an earlier one, so that pairs are common."""
UPRIGHT_SWING_RAD = math.radians(12)
FREE_ROTATION = frozenset({Shape.STAR, Shape.TRIANGLE, Shape.ARROW, Shape.CRESCENT, Shape.RING})
TEXTURE_PROBABILITIES = (0.5, 0.25, 0.25)


def generate_scene(
    seed: int,
    index: int = 0,
    *,
    combinations: Combinations = "trained",
    limits: SceneLimits = DEFAULT_LIMITS,
) -> Scene:
    """Return scene number `index` of the endless series `seed`; the same arguments, the same scene.

    Args:
        seed: names the series, 0 or more.
        index: position in the series, 0 or more.
        combinations: which colour-shape pairs may be shown.
        limits: number, size and overlap of the objects.
    """
    rng = np.random.default_rng([seed, index])
    image = _background(rng)
    count = int(rng.integers(limits.min_objects, limits.max_objects + 1))
    drawn: list[tuple[Shape, Colour, Texture]] = []
    masks: list[NDArray[np.bool_]] = []
    areas: list[int] = []
    for position in range(count):
        kind = _draw_kind(rng, drawn, withheld=combinations == "withheld" and position == 0)
        mask = _place(rng, kind[0], masks, areas, limits)
        if mask is None:
            continue
        for earlier in masks:
            earlier &= ~mask
        drawn.append(kind)
        masks.append(mask)
        areas.append(int(mask.sum()))
        _paint(rng, image, mask, kind[1], kind[2])
    noise = rng.normal(0.0, rng.uniform(0.0, 5.0), image.shape[:2])[..., None]
    pixels = np.clip(image + noise, 0, 255).astype(np.uint8)
    objects = (SceneObject(*kind, mask) for kind, mask in zip(drawn, masks, strict=True))
    return Scene(image=pixels, objects=tuple(objects))


def _draw_kind(
    rng: np.random.Generator, drawn: list[tuple[Shape, Colour, Texture]], *, withheld: bool
) -> tuple[Shape, Colour, Texture]:
    texture = Texture(rng.choice(list(Texture), p=TEXTURE_PROBABILITIES))
    if withheld:
        pairs = sorted(WITHHELD_COMBINATIONS)
        colour, shape = pairs[int(rng.integers(len(pairs)))]
        return shape, colour, texture
    while True:
        shape = Shape(rng.choice(list(Shape)))
        colour = Colour(rng.choice(list(Colour)))
        if drawn and rng.random() < REPEAT_PROBABILITY:
            like = drawn[int(rng.integers(len(drawn)))]
            what = rng.random()
            shape = like[0] if what < 0.7 else shape
            colour = like[1] if what > 0.4 else colour
            texture = like[2] if what > 0.55 else texture
        if (colour, shape) not in WITHHELD_COMBINATIONS:
            return shape, colour, texture


def _place(
    rng: np.random.Generator,
    shape: Shape,
    masks: list[NDArray[np.bool_]],
    areas: list[int],
    limits: SceneLimits,
) -> NDArray[np.bool_] | None:
    """Try some positions; None when each would hide too much of an earlier object."""
    for _ in range(PLACEMENT_TRIES):
        radius = rng.uniform(limits.min_diameter, limits.max_diameter) * CANVAS_SIZE / 2
        centre = rng.uniform(radius, CANVAS_SIZE - radius, size=2)
        swing = math.pi if shape in FREE_ROTATION else UPRIGHT_SWING_RAD
        mask = shape_mask(shape, centre, radius, rng.uniform(-swing, swing))
        visible = (int((earlier & ~mask).sum()) for earlier in masks)
        if all(
            seen >= (1 - limits.max_overlap) * area
            for seen, area in zip(visible, areas, strict=True)
        ):
            return mask
    return None


def _regular(count: int, radii: tuple[float, ...], start: float) -> NDArray[np.float64]:
    angles = start + np.arange(count) * 2 * math.pi / count
    lengths = np.array([radii[i % len(radii)] for i in range(count)])
    return np.stack([np.cos(angles) * lengths, np.sin(angles) * lengths], axis=1)


def _heart() -> NDArray[np.float64]:
    t = np.linspace(0, 2 * math.pi, 40, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x, y], axis=1) / 17


_ROUND = _regular(48, (1.0,), 0.0)
_OUTLINES: dict[Shape, NDArray[np.float64]] = {
    Shape.CIRCLE: _ROUND,
    Shape.RING: _ROUND,
    Shape.CRESCENT: _ROUND,
    Shape.SQUARE: _regular(4, (1.1,), math.pi / 4),
    Shape.TRIANGLE: _regular(3, (1.1,), -math.pi / 2),
    Shape.STAR: _regular(10, (1.1, 0.45), -math.pi / 2),
    Shape.HEART: _heart(),
    Shape.CROSS: np.array(
        [
            (-0.32, -1), (0.32, -1), (0.32, -0.32), (1, -0.32), (1, 0.32), (0.32, 0.32),
            (0.32, 1), (-0.32, 1), (-0.32, 0.32), (-1, 0.32), (-1, -0.32), (-0.32, -0.32),
        ]
    ),
    Shape.DIAMOND: np.array([(0.0, -1.1), (0.68, 0.0), (0.0, 1.1), (-0.68, 0.0)]),
    Shape.ARROW: np.array(
        [(-1, -0.3), (0.1, -0.3), (0.1, -0.8), (1.05, 0), (0.1, 0.8), (0.1, 0.3), (-1, 0.3)]
    ),
}  # fmt: skip
"""Outlines of unit radius around the origin, y down."""

_HOLES: dict[Shape, tuple[float, float]] = {Shape.RING: (0.0, 0.55), Shape.CRESCENT: (0.45, 0.8)}
"""Shape to (x offset, radius) of the disc cut out of it."""


def shape_mask(
    shape: Shape, centre_xy: NDArray[np.float64], radius: float, angle_rad: float
) -> NDArray[np.bool_]:
    """Draw `shape` alone: (CANVAS_SIZE, CANVAS_SIZE)."""
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    rotation = np.array([[cos, sin], [-sin, cos]])
    canvas = Image.new("1", (CANVAS_SIZE, CANVAS_SIZE))
    draw = ImageDraw.Draw(canvas)
    outline = _OUTLINES[shape] @ rotation * radius + centre_xy
    draw.polygon([tuple(point) for point in outline.tolist()], fill=1)
    if shape in _HOLES:
        offset, hole_radius = _HOLES[shape]
        hole = (_ROUND * hole_radius + (offset, 0.0)) @ rotation * radius + centre_xy
        draw.polygon([tuple(point) for point in hole.tolist()], fill=0)
    return np.array(canvas, dtype=bool)


_GRID_Y, _GRID_X = np.mgrid[0:CANVAS_SIZE, 0:CANVAS_SIZE].astype(np.float32)


def _paint(
    rng: np.random.Generator,
    image: NDArray[np.float32],
    mask: NDArray[np.bool_],
    colour: Colour,
    texture: Texture,
) -> None:
    """Fill `mask` in `image` (in place)."""
    base = np.array(PALETTE[colour], dtype=np.float32) + rng.normal(0, 7, 3).astype(np.float32)
    luminance = float(base @ np.array([0.299, 0.587, 0.114], dtype=np.float32))
    accent = base * 0.45 if luminance > 110 else base + (255 - base) * 0.5
    x, y = _GRID_X[mask], _GRID_Y[mask]
    if texture is Texture.STRIPED:
        angle = rng.uniform(0, math.pi)
        period = rng.uniform(12, 18)
        phase = (x * math.cos(angle) + y * math.sin(angle)) / period
        accented = np.mod(phase, 1.0) < 0.4
    elif texture is Texture.DOTTED:
        period = rng.uniform(13, 17)
        dx = np.mod(x / period, 1.0) - 0.5
        dy = np.mod(y / period, 1.0) - 0.5
        accented = dx * dx + dy * dy < 0.09
    else:
        accented = np.zeros(x.shape, dtype=bool)
    image[mask] = np.where(accented[:, None], accent, base)


def _background(rng: np.random.Generator) -> NDArray[np.float32]:
    """Muted greys and pastels, flat, graded or blotched: (CANVAS_SIZE, CANVAS_SIZE, 3), 0..255."""
    tone = rng.uniform(95, 200) + rng.normal(0, 9, 3)
    image = np.empty((CANVAS_SIZE, CANVAS_SIZE, 3), dtype=np.float32)
    image[:] = tone
    style = rng.integers(3)
    if style == 1:
        angle = rng.uniform(0, 2 * math.pi)
        ramp = (_GRID_X * math.cos(angle) + _GRID_Y * math.sin(angle)) / CANVAS_SIZE
        image += (ramp * rng.uniform(10, 40))[..., None]
    elif style == 2:
        cells = rng.normal(0, 14, (8, 8)).astype(np.float32)
        blotches = Image.fromarray(cells).resize(
            (CANVAS_SIZE, CANVAS_SIZE), Image.Resampling.BICUBIC
        )
        image += np.asarray(blotches)[..., None]
    return image
