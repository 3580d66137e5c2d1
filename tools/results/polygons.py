"""Outlines of masks, short enough to be read."""

from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from sam3i_agent.tools.results.formats.outlines import outline

if TYPE_CHECKING:
    from shapely import MultiPolygon, Polygon

Ring = list[tuple[float, float]]
"""Corners x, y in pixels, closed without repeating the first."""
TOLERANCE_PX = 1.0
"""How far a simplified outline may stray from the mask's; below one, each step of a slope stays."""


def polygons_of(mask: NDArray[np.bool_], tolerance_px: float = TOLERANCE_PX) -> list[Ring]:
    """Return the outer outlines and the holes of a mask, simplified.

    Args:
        mask: (H, W).
        tolerance_px: largest distance of the simplified outline from the exact one.

    Returns:
        One ring per outline; by the even-odd rule they fill the mask. Coordinates run along pixel
        edges: a single pixel at the origin has corners 0 and 1.
    """
    return rings_of(outline(mask), tolerance_px)


def rings_of(shape: "MultiPolygon", tolerance_px: float) -> list[Ring]:
    """Return the rings of an outline, simplified as `polygons_of` does."""
    # Part by part: a speck keeps its outline, whatever is near it.
    parts = [cast("Polygon", part.simplify(tolerance_px)) for part in shape.geoms]
    rings = [ring for part in parts for ring in (part.exterior, *part.interiors)]
    return [[(round(x, 2), round(y, 2)) for x, y in list(ring.coords)[:-1]] for ring in rings]
