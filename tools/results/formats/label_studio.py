"""Label Studio: a task with the picture's name and a brush region for each instance, exactly.

`data.image` is the file's name: in Label Studio it has to become an address that it can open.
"""

import json
from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from sam3i_agent.tools.results.formats.export import Export

_WORD_BITS = 8
_SIZE_BITS = (4, 8, 12, 16)
"""Of a run's length; the code says which of the four a run uses."""
_CHANNELS = 4
"""The regions are pictures in RGBA."""
_OPAQUE = 255
_FROM_NAME, _TO_NAME = "label", "image"
"""Of the labels and the picture in a project's interface."""


def to_label_studio(export: Export) -> str:
    """Return Label Studio JSON with one task."""
    return json.dumps([label_studio_task(export)])


def label_studio_task(export: Export) -> dict[str, Any]:
    """Return a task, whose prediction is the result."""
    result = export.result
    rows = zip(result.instances, result.masks(), export.names, strict=True)
    regions = [
        {
            "id": f"instance-{number}",
            "type": "brushlabels",
            "from_name": _FROM_NAME,
            "to_name": _TO_NAME,
            "original_width": result.image.width,
            "original_height": result.image.height,
            "image_rotation": 0,
            "score": one.score,
            "value": {"format": "rle", "rle": brush_rle(mask), "brushlabels": [name]},
        }
        for number, (one, mask, name) in enumerate(rows, start=1)
    ]
    prediction = {"model_version": "sam3i", "score": result.presence, "result": regions}
    return {"data": {"image": export.file_name}, "predictions": [prediction]}


def labelling_interface(names: Iterable[str]) -> str:
    """Return the XML that a Label Studio project needs, to show such tasks."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name=_TO_NAME, value="$image")
    labels = ElementTree.SubElement(view, "BrushLabels", name=_FROM_NAME, toName=_TO_NAME)
    for name in names:
        ElementTree.SubElement(labels, "Label", value=name)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def brush_rle(mask: NDArray[np.bool_]) -> list[int]:
    """Return a mask in Label Studio's run-length code of a picture in RGBA, as bytes.

    A head (32 bits: count of values; 5: bits of a value less one; four times 4: bits of a run's
    length less one) is followed by runs: a one, two bits for which of the four, the length less
    one, the value.

    Args:
        mask: (H, W).
    """
    flat = mask.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    places = np.concatenate([[0], changes, [flat.size]])
    bits = [f"{_CHANNELS * flat.size:032b}", f"{_WORD_BITS - 1:05b}"]
    bits += [f"{size - 1:04b}" for size in _SIZE_BITS]
    longest = 1 << _SIZE_BITS[-1]
    for start, end in zip(places[:-1].tolist(), places[1:].tolist(), strict=True):
        left, value = _CHANNELS * (end - start), _OPAQUE if flat[start] else 0
        while left:
            length = min(left, longest)
            kind = next(i for i, size in enumerate(_SIZE_BITS) if length <= 1 << size)
            bits.append(f"1{kind:02b}{length - 1:0{_SIZE_BITS[kind]}b}{value:0{_WORD_BITS}b}")
            left -= length
    code = "".join(bits)
    digits = np.frombuffer(code.encode(), np.uint8) - ord("0")
    return np.packbits(digits).tolist()
