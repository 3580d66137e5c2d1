"""SAM3-I's JSON: COCO with one `images` record per image and target; read, and written.

A record's `text_inst_input` has the lists `concept`, `simple_query` and `complex_query`; each text
in them means exactly the record's annotations, and a record without annotations asks for something
that is not there.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sam3i_agent.core.errors import StorageError
from sam3i_agent.core.files import write_whole
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.rle import area_of, as_rle, box_of
from sam3i_agent.data.formats.coco import KIND, Texts, read_coco
from sam3i_agent.data.formats.dataset_format import DatasetFormat
from sam3i_agent.data.records import Record

TEXT_LISTS = {
    InstructionLevel.CONCEPT: "concept",
    InstructionLevel.SIMPLE: "simple_query",
    InstructionLevel.COMPLEX: "complex_query",
}
"""Level to the key of its texts in `text_inst_input`."""
_TEXTS_KEY = "text_inst_input"


def _texts_of(image: Mapping[str, Any]) -> Texts:
    texts = image[_TEXTS_KEY]
    return {level: tuple(texts[key]) for level, key in TEXT_LISTS.items() if texts.get(key)}


SAM3I = DatasetFormat(
    name="sam3i",
    title="SAM3-I",
    mark=f"{_TEXTS_KEY} (SAM3-I)",
    is_folder=False,
    recognises=lambda source: _TEXTS_KEY in (source.first_image or {}),
    read=lambda source: read_coco(source, "SAM3-I", _texts_of),
)


def sam3i_content(records: Sequence[Record], description: str = "") -> dict[str, Any]:
    """Return records as the value of a SAM3-I JSON file; annotations are numbered anew from 1.

    Args:
        records: whose file names hold from where the file will be.
        description: of the dataset.
    """
    annotations: list[dict[str, Any]] = []
    for record in records:
        kinds = (record.encoded_masks, {}), (record.encoded_ignored, {"ignore": 1})
        for some, mark in kinds:
            for counts in some:
                shared = {"id": len(annotations) + 1, "image_id": record.id, "category_id": 1}
                annotations.append({**shared, **mask_entry(record, counts), "iscrowd": 0, **mark})
    return {
        "info": {"description": description, "version": "1"},
        "images": [_image_entry(record) for record in records],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "object"}],
    }


def mask_entry(record: Record, counts: str) -> dict[str, Any]:
    """Return what COCO says of a mask of the record: segmentation, area and box (x, y, w, h)."""
    packed = as_rle((record.height, record.width), counts)
    return {
        "segmentation": {"size": [record.height, record.width], "counts": counts},
        "area": area_of(packed),
        "bbox": [int(side) for side in box_of(packed)],
    }


def texts_entry(texts: Mapping[InstructionLevel, Sequence[str]]) -> dict[str, list[str]]:
    """Return texts as `text_inst_input` holds them."""
    return {key: list(texts.get(level, ())) for level, key in TEXT_LISTS.items()}


def _image_entry(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "file_name": record.file_name,
        "width": record.width,
        "height": record.height,
        _TEXTS_KEY: texts_entry(record.texts),
        "granularity": record.granularity,
        **({KIND: dict(record.kinds)} if record.kinds else {}),
    }


def write_sam3i(content: Mapping[str, Any], images: Path, out: Path) -> None:
    """Write the value of a SAM3-I file, with names of photos that hold from its own folder.

    Args:
        content: the value; its `file_name`s are relative to `images`.
        images: folder of the photos.
        out: the file; missing folders are made.

    Raises:
        StorageError: it cannot be written.
    """
    entries = [
        {**one, "file_name": os.path.relpath(images / one["file_name"], out.parent)}
        for one in content["images"]
    ]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, json.dumps({**content, "images": entries}))
    except OSError as error:
        raise StorageError(f"{str(out)!r} cannot be written: {error.strerror}") from error
