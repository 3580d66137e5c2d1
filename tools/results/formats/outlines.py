"""Exact outlines of masks, and one ring that says a whole mask where a format has no holes."""

from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from shapely import MultiPolygon, Polygon

Points = NDArray[np.float64]
"""(N, 2), x and y in pixels."""


def outline(mask: NDArray[np.bool_]) -> "MultiPolygon":
    """Return the outline of a mask along the edges of its pixels.

    Its area is the number of pixels; holes are interiors, and parts that touch at a corner alone
    are parts of their own. Outer rings run against the clock, where y goes up.

    Args:
        mask: (H, W).
    """
    import shapely

    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    whole = shapely.simplify(shapely.union_all(shapely.box(starts, rows, ends, rows + 1)), 0)
    parts = [one for one in shapely.get_parts(whole) if one.area > 0]
    return cast("MultiPolygon", shapely.orient_polygons(shapely.MultiPolygon(parts)))


def single_ring(shape: "MultiPolygon") -> Points:
    """Return one closed walk around a shape: its holes and parts are joined by cuts of no width.

    The walk's signed area is that of the shape.

    Args:
        shape: not empty, as `outline` returns it.

    Returns:
        The corners, the first not repeated.
    """
    from scipy.spatial import KDTree

    rings = [ring for part in shape.geoms for ring in _rings(part)]
    rings.sort(key=len, reverse=True)
    walk = rings[0]
    for ring in rings[1:]:
        # From the corner of the walk that is nearest, around the ring, and back the same way.
        gaps, nearest = map(np.asarray, KDTree(ring).query(walk))
        here = int(np.argmin(gaps))
        detour = np.roll(ring, -int(nearest[here]), axis=0)
        walk = np.concatenate([walk[: here + 1], detour, detour[:1], walk[here:]])
    return walk


def _rings(part: "Polygon") -> list[Points]:
    import shapely

    rings = [part.exterior, *part.interiors]
    return [shapely.get_coordinates(ring)[:-1] for ring in rings]
