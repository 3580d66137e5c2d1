"""SVG: a path along the edges of pixels for each instance, its holes by the even-odd rule."""

from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from sam3i_agent.tools.results.formats.export import Export
from sam3i_agent.tools.results.formats.outlines import outline

_HUE_STEP = 137
"""Degrees between the colours of neighbours: they come back late."""


def to_svg(export: Export) -> str:
    """Return an SVG of the photo's size."""
    result = export.result
    width, height = str(result.image.width), str(result.image.height)
    root = ElementTree.Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
    )
    ElementTree.SubElement(root, "title").text = result.instruction
    rows = zip(result.instances, result.masks(), export.names, strict=True)
    for number, (one, mask, name) in enumerate(rows, start=1):
        path = ElementTree.SubElement(
            root,
            "path",
            {
                "id": f"instance-{number}",
                "data-score": f"{one.score:.4f}",
                "fill": f"hsl({number * _HUE_STEP % 360},80%,50%)",
                "fill-opacity": "0.45",
                "fill-rule": "evenodd",
                "d": _path_of(mask),
            },
        )
        ElementTree.SubElement(path, "title").text = f"{number}: {name}"
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _path_of(mask: NDArray[np.bool_]) -> str:
    rings = [ring for part in outline(mask).geoms for ring in (part.exterior, *part.interiors)]
    return "".join(
        "M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in list(ring.coords)[:-1]) + "Z"
        for ring in rings
    )
