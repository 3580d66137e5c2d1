"""Outlines of masks, as vector formats want them."""

import numpy as np
from numpy.typing import NDArray

Ring = list[tuple[float, float]]
"""Corners x, y in pixels, closed without repeating the first."""
_CLOSED_TRIANGLE = 4
"""Points of the smallest outline, the first one repeated."""
TOLERANCE_PX = 0.75
"""How far a simplified outline may stray from the mask's."""


def polygons_of(mask: NDArray[np.bool_], tolerance_px: float = TOLERANCE_PX) -> list[Ring]:
    """Return the outer outlines and the holes of a mask, simplified.

    Args:
        mask: (H, W).
        tolerance_px: largest distance of the simplified outline from the exact one.

    Returns:
        One ring per outline; by the even-odd rule they fill the mask. Coordinates run along pixel
        edges: a single pixel at the origin has corners 0 and 1.
    """
    # Half a second of imports, which a server should not spend before it answers.
    from skimage.measure import approximate_polygon, find_contours

    rings: list[Ring] = []
    for contour in find_contours(np.pad(mask, 1).astype(np.float32), 0.5):
        # find_contours speaks of pixel centres of the padded mask: (row, column).
        simple = approximate_polygon(contour, tolerance_px)
        # Simplified, a speck would shrink to a line: it keeps its exact outline.
        points = (simple if len(simple) >= _CLOSED_TRIANGLE else contour) - 0.5
        rings.append([(round(float(x), 2), round(float(y), 2)) for y, x in points[:-1]])
    return rings
