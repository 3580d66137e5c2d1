"""ReasonSeg: a folder of pairs of a photo and a LabelMe-like JSON file.

The shapes are one target together; those labelled `ignore` are pixels that do not count, and `flag`
is left out, as in LISA's own reader.
"""

from collections.abc import Sequence
from pathlib import Path

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.files import read_json
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.photo import read_size_hw
from sam3i_agent.core.rle import encode_segmentation
from sam3i_agent.data.formats.dataset_format import DATA_ERRORS, DatasetFormat, DatasetSource
from sam3i_agent.data.records import Record

_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
_IGNORED, _LEFT_OUT = "ignore", "flag"
"""Labels of shapes: pixels that do not count, and marks that are no masks."""
_ENCODINGS = ("utf-8", "cp1252")
"""Some of its files were written on Windows."""


def _read(source: DatasetSource) -> list[Record]:
    paths = sorted(source.path.glob("*.json"))
    return [_record(number, path) for number, path in enumerate(paths, start=1)]


def _record(number: int, path: Path) -> Record:
    candidates = [path.with_suffix(end) for end in _IMAGE_SUFFIXES]
    photo = next((one for one in candidates if one.is_file()), None)
    if photo is None:
        raise InputError(f"there is no photo beside {path.name!r}")
    content = read_json(path, _ENCODINGS)
    try:
        height, width = read_size_hw(photo)
        target: list[list[float]] = []
        ignored: list[list[float]] = []
        for shape in content["shapes"]:
            ring = [float(value) for point in shape["points"] for value in point]
            label = str(shape["label"]).lower()
            if label != _LEFT_OUT:
                (ignored if label == _IGNORED else target).append(ring)
        texts = content["text"]
        text = texts if isinstance(texts, str) else texts[0]
        return Record(
            id=number,
            file_name=photo.name,
            height=height,
            width=width,
            texts={InstructionLevel.COMPLEX: (text,)},
            encoded_masks=_union(target, height, width),
            encoded_ignored=_union(ignored, height, width),
            annotation_ids=(number,) if target else (),
        )
    except DATA_ERRORS as error:
        raise InputError(f"{path.name!r} cannot be used: {error!r}") from error


def _union(rings: Sequence[list[float]], height: int, width: int) -> tuple[str, ...]:
    """Return the union of polygons as one mask, or none of none."""
    return (encode_segmentation(list(rings), height, width),) if rings else ()


REASONSEG = DatasetFormat(
    name="reasonseg",
    title="ReasonSeg",
    mark="a JSON file beside each photo",
    is_folder=True,
    recognises=lambda source: any(source.path.glob("*.json")),
    read=_read,
)
