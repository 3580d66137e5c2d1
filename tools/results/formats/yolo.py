"""YOLO: a line for each instance with its class and one ring, in shares of the picture's sides.

The format has no holes, no parts, no scores and no names: holes and parts are joined to the outline
by cuts of no width, which readers that fill by whole pixels may show as lines, and classes are
numbered as the categories of the COCO export.
"""

import numpy as np

from sam3i_agent.tools.results.formats.export import Export
from sam3i_agent.tools.results.formats.outlines import outline, single_ring

_DECIMALS = 8
"""A hundredth of a pixel in a picture of any size that is read."""


def to_yolo(export: Export) -> str:
    """Return YOLO segmentation lines."""
    result, categories = export.result, export.categories
    sides = np.array([result.image.width, result.image.height])
    lines: list[str] = []
    for mask, name in zip(result.masks(), export.names, strict=True):
        if mask.any():
            shares = (single_ring(outline(mask)) / sides).ravel()
            numbers = [f"{share:.{_DECIMALS}g}" for share in shares]
            lines.append(" ".join([str(categories.index(name)), *numbers]))
    return "\n".join(lines) + "\n" if lines else ""
