"""CVAT for images 1.1: a mask for each instance, exactly; scores become attributes."""

from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from sam3i_agent.core.rle import tight_box
from sam3i_agent.tools.results.formats.export import Export

_VERSION = "1.1"


def to_cvat(export: Export) -> str:
    """Return CVAT XML with one image."""
    result = export.result
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = _VERSION
    labels = ElementTree.SubElement(
        ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task"), "labels"
    )
    for name in export.categories:
        label = ElementTree.SubElement(labels, "label")
        ElementTree.SubElement(label, "name").text = name
        attribute = ElementTree.SubElement(ElementTree.SubElement(label, "attributes"), "attribute")
        for tag, text in (
            ("name", "score"), ("mutable", "False"), ("input_type", "number"),
            ("default_value", "0"), ("values", "0;1;0.0001"),
        ):  # fmt: skip
            ElementTree.SubElement(attribute, tag).text = text
    image = ElementTree.SubElement(
        root,
        "image",
        id="0",
        name=export.file_name,
        width=str(result.image.width),
        height=str(result.image.height),
    )
    rows = zip(result.instances, result.masks(), export.names, strict=True)
    for order, (one, mask, name) in enumerate(rows):
        box = tight_box(mask)
        if box is not None:
            shape = ElementTree.SubElement(image, "mask", _mask_of(mask, box, name, order))
            ElementTree.SubElement(shape, "attribute", name="score").text = f"{one.score:.4f}"
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _mask_of(
    mask: NDArray[np.bool_], box: tuple[int, int, int, int], name: str, order: int
) -> dict[str, str]:
    """Return the attributes: where the cut-out is, and its runs by rows, background first."""
    x0, y0, x1, y1 = box
    flat = mask[y0:y1, x0:x1].ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return {
        "label": name,
        "source": "auto",
        "occluded": "0",
        "rle": ", ".join(map(str, [0, *runs] if flat[0] else runs)),
        "left": str(x0),
        "top": str(y0),
        "width": str(x1 - x0),
        "height": str(y1 - y0),
        "z_order": str(order),
    }
