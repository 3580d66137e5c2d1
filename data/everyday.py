"""Scenes of everyday things: lit, cluttered and taken like a photo, with exact masks.

A scene is a pure function of its seed, as in `data.scenes`; the two kinds share nothing but the
palette and the shapes, so a series of either stays what it was when the other changes.
"""

import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from sam3i_agent.data.kinds import SceneStyle
from sam3i_agent.data.scenes import (
    CANVAS_SIZE,
    DEFAULT_LIMITS,
    FREE_ROTATION,
    PALETTE,
    PLACEMENT_TRIES,
    REPEAT_PROBABILITY,
    TEXTURE_PROBABILITIES,
    UPRIGHT_SWING_RAD,
    WITHHELD_COMBINATIONS,
    WITHHELD_THINGS,
    Colour,
    Combinations,
    Noun,
    Scene,
    SceneLimits,
    SceneObject,
    Shape,
    Texture,
    generate_scene,
    is_withheld,
    shape_mask,
)
from sam3i_agent.data.silhouettes import TURNED_FREELY, Thing, draw_silhouette

EVERYDAY_LIMITS = SceneLimits(
    min_objects=1, max_objects=8, min_diameter=0.04, max_diameter=0.60, max_overlap=0.4
)
_LITTLE_DIAMETER = 0.12
"""Of the canvas side; objects below it are rare."""
_LITTLE_SHARE = 0.12
_THING_SHARE = 0.7
"""Of the objects; the others are shapes."""
_CUT_SHARE = 0.2
"""How often an object may stick out of the picture."""
_LEAST_AREA_PX = 40
_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_BLUE_YELLOW = np.array([0.55, 0.35, -1.0], dtype=np.float32)
_RED_GREEN = np.array([0.8, -0.6, 0.2], dtype=np.float32)
"""Directions in which the colours of photographs vary, besides brightness."""
_OCTAVES = ((2, 1.0), (4, 0.6), (9, 0.4), (20, 0.22), (48, 0.14))
"""Cells a side and amplitude: photographs have about the same contrast at every scale."""
_GRID_Y, _GRID_X = np.mgrid[0:CANVAS_SIZE, 0:CANVAS_SIZE].astype(np.float32)


def draw_scene(
    style: SceneStyle,
    seed: int,
    index: int = 0,
    *,
    combinations: Combinations = "trained",
    limits: SceneLimits | None = None,
) -> Scene:
    """Return scene number `index` of the endless series `seed` of a style.

    Args:
        style: which kind of scene.
        seed: names the series, 0 or more.
        index: position in the series, 0 or more.
        combinations: which colour-noun pairs may be shown.
        limits: number, size and overlap of the objects; None takes the style's own.
    """
    if style is SceneStyle.SHAPES:
        limits = limits or DEFAULT_LIMITS
        return generate_scene(seed, index, combinations=combinations, limits=limits)
    return _everyday_scene(seed, index, combinations, limits or EVERYDAY_LIMITS)


@dataclass(frozen=True)
class _Drawn:
    """An object while the scene is built."""

    noun: Noun
    colour: Colour
    texture: Texture
    mask: NDArray[np.bool_]
    """What is still visible of it."""
    area: int
    """In pixels, before others hid it."""


def _everyday_scene(
    seed: int, index: int, combinations: Combinations, limits: SceneLimits
) -> Scene:
    rng = np.random.default_rng([seed, index, 3])
    image = _background(rng)
    light = rng.uniform(0, 2 * math.pi)
    shadow = rng.uniform(0.1, 0.55) if rng.random() < 0.8 else 0.0
    drawn: list[_Drawn] = []
    for position in range(int(rng.integers(limits.min_objects, limits.max_objects + 1))):
        withheld = combinations == "withheld" and position == 0
        noun, colour, texture = _draw_kind(rng, drawn, withheld=withheld)
        placed = _place(rng, noun, drawn, limits)
        if placed is None:
            continue
        mask, details = placed
        for earlier in drawn:
            earlier.mask[mask] = False
        drawn.append(_Drawn(noun, colour, texture, mask, int(mask.sum())))
        _cast_shadow(rng, image, mask, light, shadow)
        _paint(rng, image, mask, details, PALETTE[colour], texture, light)
    objects = (SceneObject(one.noun, one.colour, one.texture, one.mask) for one in drawn)
    return Scene(_take(rng, image), tuple(objects), SceneStyle.EVERYDAY)


def _draw_kind(
    rng: np.random.Generator, drawn: list[_Drawn], *, withheld: bool
) -> tuple[Noun, Colour, Texture]:
    texture = tuple(Texture)[int(rng.choice(len(Texture), p=TEXTURE_PROBABILITIES))]
    if withheld:
        pairs = [*sorted(WITHHELD_COMBINATIONS), *sorted(WITHHELD_THINGS)]
        colour, noun = pairs[int(rng.integers(len(pairs)))]
        return noun, colour, texture
    while True:
        nouns: tuple[Noun, ...] = tuple(Thing) if rng.random() < _THING_SHARE else tuple(Shape)
        noun = nouns[int(rng.integers(len(nouns)))]
        colour = tuple(Colour)[int(rng.integers(len(Colour)))]
        if drawn and rng.random() < REPEAT_PROBABILITY:
            like = drawn[int(rng.integers(len(drawn)))]
            what = rng.random()
            noun = like.noun if what < 0.7 else noun
            colour = like.colour if what > 0.4 else colour
            texture = like.texture if what > 0.55 else texture
        if not is_withheld(colour, noun):
            return noun, colour, texture


def _place(
    rng: np.random.Generator, noun: Noun, drawn: list[_Drawn], limits: SceneLimits
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Try some places; None when each would hide too much of an earlier object or show nothing."""
    for _ in range(PLACEMENT_TRIES):
        radius = _draw_diameter(rng, limits) * CANVAS_SIZE / 2
        edge = radius * (0.4 if rng.random() < _CUT_SHARE else 1.0)
        centre = rng.uniform(edge, CANVAS_SIZE - edge, size=2)
        mask, details = _draw_noun(rng, noun, centre, radius)
        if mask.sum() >= _LEAST_AREA_PX and all(
            (one.mask & ~mask).sum() >= max(_LEAST_AREA_PX, (1 - limits.max_overlap) * one.area)
            for one in drawn
        ):
            return mask, details
    return None


def _draw_diameter(rng: np.random.Generator, limits: SceneLimits) -> float:
    """Draw a share of the canvas side, evenly in its logarithm, little ones rarely."""
    low, high = limits.min_diameter, limits.max_diameter
    if low < _LITTLE_DIAMETER < high:
        little = rng.random() < _LITTLE_SHARE
        low, high = (low, _LITTLE_DIAMETER) if little else (_LITTLE_DIAMETER, high)
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _draw_noun(
    rng: np.random.Generator, noun: Noun, centre: NDArray[np.float64], radius: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    free = noun in FREE_ROTATION or noun in TURNED_FREELY
    swing = math.pi if free else UPRIGHT_SWING_RAD
    angle = rng.uniform(-swing, swing)
    if isinstance(noun, Shape):
        mask = shape_mask(noun, centre, radius, angle)
        return mask, np.zeros_like(mask)
    cos, sin = math.cos(angle), math.sin(angle)
    stretch = np.array([rng.choice([-1.0, 1.0]) * rng.uniform(0.85, 1.0), rng.uniform(0.85, 1.0)])
    transform = stretch[:, None] * np.array([[cos, sin], [-sin, cos]]) * radius
    return draw_silhouette(noun, transform, centre, CANVAS_SIZE)


def _paint(
    rng: np.random.Generator,
    image: NDArray[np.float32],
    mask: NDArray[np.bool_],
    details: NDArray[np.bool_],
    colour: tuple[int, int, int],
    texture: Texture,
    light_rad: float,
) -> None:
    """Fill `mask` in `image` (in place): colour, texture, details, and shading across."""
    base = np.array(colour, dtype=np.float32) + rng.normal(0, 10, 3).astype(np.float32)
    bright = float(base @ _GREY) > 110
    accent = base * 0.45 if bright else base + (255 - base) * 0.5
    x, y = _GRID_X[mask], _GRID_Y[mask]
    size = max(float(np.ptp(x)), float(np.ptp(y)), 1.0)
    accented = np.zeros(x.shape, dtype=bool)
    if texture is Texture.STRIPED:
        angle, period = rng.uniform(0, math.pi), max(9.0, size * rng.uniform(0.14, 0.22))
        accented = np.mod((x * math.cos(angle) + y * math.sin(angle)) / period, 1.0) < 0.4
    elif texture is Texture.DOTTED:
        period = max(9.0, size * rng.uniform(0.15, 0.22))
        dx, dy = np.mod(x / period, 1.0) - 0.5, np.mod(y / period, 1.0) - 0.5
        accented = dx * dx + dy * dy < 0.09
    pixels = np.where(accented[:, None], accent, base)
    pixels[details[mask]] = base * 0.7 if bright else base * 0.8 + 45
    along = (x - x.mean()) * math.cos(light_rad) + (y - y.mean()) * math.sin(light_rad)
    strength = rng.uniform(0.0, 0.5)
    shade = 1 - strength * along / size - 0.25 * strength
    image[mask] = pixels * shade[:, None]


def _cast_shadow(
    rng: np.random.Generator,
    image: NDArray[np.float32],
    mask: NDArray[np.bool_],
    light_rad: float,
    strength: float,
) -> None:
    """Darken `image` (in place) where the object keeps the light off, with a soft edge."""
    if not strength:
        return
    half = CANVAS_SIZE // 2
    reach = rng.uniform(1.0, 5.0)
    soft = rng.uniform(0.8, 3.0)
    blocked = Image.fromarray(mask[::2, ::2].astype(np.uint8) * 255)
    shift = (-reach * math.cos(light_rad), -reach * math.sin(light_rad))
    moved = blocked.transform(
        (half, half), Image.Transform.AFFINE, (1, 0, shift[0], 0, 1, shift[1])
    )
    blurred = moved.filter(ImageFilter.GaussianBlur(soft)).resize((CANVAS_SIZE, CANVAS_SIZE))
    image *= (1 - strength / 255 * np.asarray(blurred, dtype=np.float32))[..., None]


def _background(rng: np.random.Generator) -> NDArray[np.float32]:
    """Blotches of every size, a horizon or clutter: (CANVAS_SIZE, CANVAS_SIZE, 3), 0..255."""
    tone = rng.uniform(90, 205)
    image = np.empty((CANVAS_SIZE, CANVAS_SIZE, 3), dtype=np.float32)
    image[:] = tone + _tint(rng, 10, 6)
    if rng.random() < 0.4:
        level = rng.uniform(0.3, 0.75) * CANVAS_SIZE + rng.normal(0, 0.1) * _GRID_X
        below = 0.5 + 0.5 * np.tanh((_GRID_Y - level) / rng.uniform(1.4, 28))
        change = (
            rng.normal(0, 32) + rng.normal(0, 16) * _BLUE_YELLOW + rng.normal(0, 8) * _RED_GREEN
        )
        image += below[..., None] * change.astype(np.float32)
    if rng.random() < 0.5:
        _add_clutter(rng, image)
    image += _blotches(rng, _OCTAVES, rng.uniform(3, 34))[..., None]
    image += _blotches(rng, _OCTAVES[:3], rng.uniform(0, 12))[..., None] * _BLUE_YELLOW
    image += _blotches(rng, _OCTAVES[:3], rng.uniform(0, 6))[..., None] * _RED_GREEN
    return np.clip(image, 45, 235, out=image)


def _tint(rng: np.random.Generator, blue_yellow: float, red_green: float) -> NDArray[np.float32]:
    """Draw a change of colour, given the standard deviation along each direction: (3,)."""
    change = rng.normal(0, blue_yellow) * _BLUE_YELLOW + rng.normal(0, red_green) * _RED_GREEN
    return change.astype(np.float32)


def _add_clutter(rng: np.random.Generator, image: NDArray[np.float32]) -> None:
    """Lay muted, blurred panels behind the objects (in place); they have no name."""
    for _ in range(int(rng.integers(1, 5))):
        panel = Image.new("L", (CANVAS_SIZE // 2, CANVAS_SIZE // 2))
        corners = rng.uniform(-0.2, 1.2, 2) + rng.normal(0, 0.35, (4, 2))
        corners = corners[np.argsort(np.arctan2(*(corners - corners.mean(0)).T))]
        points = [tuple(one) for one in (corners * CANVAS_SIZE / 2).tolist()]
        ImageDraw.Draw(panel).polygon(points, fill=255)
        soft = panel.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 6)))
        cover = np.asarray(soft.resize((CANVAS_SIZE, CANVAS_SIZE)), dtype=np.float32) / 255
        change = rng.normal(0, 28) + _tint(rng, 8, 5)
        image += cover[..., None] * change.astype(np.float32)


def _blotches(
    rng: np.random.Generator, octaves: tuple[tuple[int, float], ...], amplitude: float
) -> NDArray[np.float32]:
    """Return (CANVAS_SIZE, CANVAS_SIZE) of smooth noise around 0."""
    total = np.zeros((CANVAS_SIZE, CANVAS_SIZE), dtype=np.float32)
    for cells, share in octaves:
        grid = rng.standard_normal((cells, cells), dtype=np.float32) * (amplitude * share)
        resized = Image.fromarray(grid).resize((CANVAS_SIZE, CANVAS_SIZE), Image.Resampling.BICUBIC)
        total += np.asarray(resized)
    return total


def _take(rng: np.random.Generator, image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return what a camera makes of it: exposure, white balance, blur, noise, JPEG traces."""
    gain = rng.uniform(0.82, 1.12) * rng.normal(1, 0.03, 3).astype(np.float32)
    exposed = np.clip(image * gain, 0, 255)
    if rng.random() < 0.5:
        picture = Image.fromarray(exposed.astype(np.uint8))
        exposed = np.asarray(picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.4))))
    grain = rng.uniform(0, 9) if rng.random() < 0.7 else 0.0
    channels = 3 if rng.random() < 0.5 else 1
    noise = rng.standard_normal((CANVAS_SIZE, CANVAS_SIZE, channels), dtype=np.float32) * grain
    pixels = np.clip(exposed + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=int(rng.integers(35, 93)))
        pixels = np.asarray(Image.open(file)).copy()
    return pixels
