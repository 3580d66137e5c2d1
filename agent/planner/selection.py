"""Which candidates satisfy a plan: geometry on boxes and masks, colour on pixels."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sam3i_agent.agent.candidates import Candidate, mask_iou, without_doubles
from sam3i_agent.agent.planner.plan import (
    Axis,
    Constraint,
    Excluding,
    HasColour,
    HasRelation,
    InRegion,
    Plan,
    RankByPosition,
    RankBySize,
    Relation,
    Target,
)

SAME_OBJECT_IOU = 0.7
"""Candidates of different phrases that overlap more are one object."""
INSIDE_SHARE = 0.8
"""Share of a candidate's box that must lie in the anchor's box."""
MIDDLE_SHARE = 0.5
"""Side of the central region, as a share of the photo's."""
NEXT_TO_SIZES = 0.75
"""Largest gap between neighbours, in mean diameters of the two."""
TOUCHING_PIXELS = 3
"""Largest gap between touching masks, in pixels."""
MIN_COLOUR_SHARE = 0.3
"""Share of a candidate's pixels that must have the named colour."""

Found = Mapping[str, Sequence[Candidate]]
"""Candidates by the text of their noun phrase."""


def select(plan: Plan, found: Found, pixels: NDArray[np.uint8]) -> list[Candidate]:
    """Return the candidates that `plan` means, best first, each object once.

    Args:
        plan: what is meant.
        found: what the segmenter found for its phrases.
        pixels: (H, W, 3) of the photo.
    """
    chosen = [one for target in plan.targets for one in _select_target(target, found, pixels)]
    chosen = without_doubles(chosen, SAME_OBJECT_IOU)
    if plan.count is not None:
        chosen = chosen[: plan.count]
    return chosen


def _select_target(target: Target, found: Found, pixels: NDArray[np.uint8]) -> list[Candidate]:
    chosen = list(found.get(target.phrase.text, ()))
    for constraint in target.constraints:
        chosen = _apply(constraint, chosen, found, pixels)
    return chosen


def _apply(
    constraint: Constraint,
    chosen: list[Candidate],
    found: Found,
    pixels: NDArray[np.uint8],
) -> list[Candidate]:
    match constraint:
        case RankBySize(largest_first=largest_first, rank=rank):
            order = sorted(chosen, key=lambda one: one.area, reverse=largest_first)
            return order[rank - 1 : rank]
        case RankByPosition(end=end, rank=rank):
            order = sorted(chosen, key=_distance_from(end))
            return order[rank - 1 : rank]
        case InRegion(sides=sides):
            return [one for one in chosen if _in_region(one, sides, pixels)]
        case HasRelation(relation=relation, anchor=anchor):
            anchors = _select_target(anchor, found, pixels)
            return _related(relation, chosen, anchors)
        case HasColour(colour=colour):
            return [
                one for one in chosen if colour_share(pixels, one.mask, colour) >= MIN_COLOUR_SHARE
            ]
        case Excluding(phrase=phrase):
            dropped = found.get(phrase.text, ())
            return [
                one
                for one in chosen
                if all(mask_iou(one, other) <= SAME_OBJECT_IOU for other in dropped)
            ]


def _distance_from(end: Axis) -> Callable[[Candidate], float]:
    match end:
        case Axis.LEFT:
            return lambda one: one.centre_xy[0]
        case Axis.RIGHT:
            return lambda one: -one.centre_xy[0]
        case Axis.TOP:
            return lambda one: one.centre_xy[1]
        case Axis.BOTTOM:
            return lambda one: -one.centre_xy[1]


def _in_region(one: Candidate, sides: tuple[Axis, ...], pixels: NDArray[np.uint8]) -> bool:
    height, width = pixels.shape[:2]
    x, y = one.centre_xy
    if not sides:
        margin = (1 - MIDDLE_SHARE) / 2
        return margin <= x / width <= 1 - margin and margin <= y / height <= 1 - margin
    inside = {
        Axis.LEFT: x < width / 2,
        Axis.RIGHT: x > width / 2,
        Axis.TOP: y < height / 2,
        Axis.BOTTOM: y > height / 2,
    }
    return all(inside[side] for side in sides)


def _related(
    relation: Relation, chosen: list[Candidate], anchors: list[Candidate]
) -> list[Candidate]:
    """Return those of `chosen` that stand in `relation` to any anchor but themselves."""
    others = [
        [anchor for anchor in anchors if mask_iou(one, anchor) <= SAME_OBJECT_IOU] for one in chosen
    ]
    if relation in (Relation.NEAREST, Relation.FARTHEST):
        distances = [
            (min(_centre_distance(one, anchor) for anchor in its_others), index)
            for index, (one, its_others) in enumerate(zip(chosen, others, strict=True))
            if its_others
        ]
        if not distances:
            return []
        best = min(distances) if relation is Relation.NEAREST else max(distances)
        return [chosen[best[1]]]
    holds = _RELATION_TESTS[relation]
    return [
        one
        for one, its_others in zip(chosen, others, strict=True)
        if any(holds(one, anchor) for anchor in its_others)
    ]


def _centre_distance(a: Candidate, b: Candidate) -> float:
    return float(np.hypot(a.centre_xy[0] - b.centre_xy[0], a.centre_xy[1] - b.centre_xy[1]))


def _box_gap(a: Candidate, b: Candidate) -> float:
    ax0, ay0, ax1, ay1 = a.box_xyxy
    bx0, by0, bx1, by1 = b.box_xyxy
    dx = max(ax0 - bx1, bx0 - ax1, 0.0)
    dy = max(ay0 - by1, by0 - ay1, 0.0)
    return float(np.hypot(dx, dy))


def _inside(one: Candidate, anchor: Candidate) -> bool:
    x0, y0, x1, y1 = one.box_xyxy
    ax0, ay0, ax1, ay1 = anchor.box_xyxy
    overlap = max(0.0, min(x1, ax1) - max(x0, ax0)) * max(0.0, min(y1, ay1) - max(y0, ay0))
    return overlap >= INSIDE_SHARE * (x1 - x0) * (y1 - y0)


def _next_to(one: Candidate, anchor: Candidate) -> bool:
    def diameter(item: Candidate) -> float:
        x0, y0, x1, y1 = item.box_xyxy
        return (x1 - x0 + y1 - y0) / 2

    return _box_gap(one, anchor) <= NEXT_TO_SIZES * (diameter(one) + diameter(anchor)) / 2


def _touching(one: Candidate, anchor: Candidate) -> bool:
    from scipy.ndimage import binary_dilation

    grown = np.asarray(binary_dilation(one.mask, iterations=TOUCHING_PIXELS), dtype=bool)
    return bool((grown & anchor.mask).any())


_RELATION_TESTS: Mapping[Relation, Callable[[Candidate, Candidate], bool]] = {
    Relation.LEFT_OF: lambda one, anchor: one.centre_xy[0] < anchor.centre_xy[0],
    Relation.RIGHT_OF: lambda one, anchor: one.centre_xy[0] > anchor.centre_xy[0],
    Relation.ABOVE: lambda one, anchor: one.centre_xy[1] < anchor.centre_xy[1],
    Relation.BELOW: lambda one, anchor: one.centre_xy[1] > anchor.centre_xy[1],
    Relation.INSIDE: _inside,
    Relation.NEXT_TO: _next_to,
    Relation.TOUCHING: _touching,
}


def colour_share(pixels: NDArray[np.uint8], mask: NDArray[np.bool_], colour: str) -> float:
    """Return the share of the masked pixels that a person would call `colour`.

    Args:
        pixels: (H, W, 3) RGB.
        mask: (H, W), not empty.
        colour: a word of `planner.COLOUR_WORDS`.

    Returns:
        0..1, from fixed regions of hue, saturation and value.
    """
    rgb = pixels[mask].astype(np.float64) / 255
    value = rgb.max(1)
    chroma = value - rgb.min(1)
    saturation = chroma / np.maximum(value, 1e-9)
    hue = _hue_degrees(rgb, value, chroma)
    vivid = (saturation > 0.25) & (value > 0.2)
    tests: dict[str, NDArray[np.bool_]] = {
        "red": vivid & ((hue < 18) | (hue > 340)) & (saturation > 0.45),
        "orange": vivid & (hue >= 14) & (hue < 46),
        "brown": vivid & (hue >= 10) & (hue < 46) & (value < 0.65),
        "yellow": vivid & (hue >= 42) & (hue < 72),
        "green": vivid & (hue >= 72) & (hue < 170),
        "blue": vivid & (hue >= 170) & (hue < 262),
        "purple": vivid & (hue >= 255) & (hue < 325),
        "pink": (saturation > 0.12)
        & (saturation < 0.65)
        & (value > 0.55)
        & ((hue > 300) | (hue < 12)),
        "white": (saturation < 0.2) & (value > 0.75),
        "black": value < 0.3,
        "grey": (saturation < 0.2) & (value >= 0.2) & (value <= 0.85),
    }
    return float(tests["grey" if colour == "gray" else colour].mean())


def _hue_degrees(
    rgb: NDArray[np.float64], value: NDArray[np.float64], chroma: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the HSV hue of (N, 3) colours in 0..360; 0 where there is none."""
    red, green, blue = rgb.T
    safe = np.maximum(chroma, 1e-9)
    sector = np.select(
        [value == red, value == green],
        [((green - blue) / safe) % 6, (blue - red) / safe + 2],
        (red - green) / safe + 4,
    )
    return np.where(chroma > 0, sector * 60, 0.0)
