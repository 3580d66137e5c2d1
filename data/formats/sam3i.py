"""SAM3-I's JSON: COCO with one `images` record per image and target.

A record's `text_inst_input` has the lists `concept`, `simple_query` and `complex_query`; each text
in them means exactly the record's annotations, and a record without annotations asks for something
that is not there.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.rle import encode_segmentation
from sam3i_agent.data.records import Record

TEXT_LISTS = {
    InstructionLevel.CONCEPT: "concept",
    InstructionLevel.SIMPLE: "simple_query",
    InstructionLevel.COMPLEX: "complex_query",
}
"""Level to the key of its texts in `text_inst_input`."""


def read_records(annotations: Path, levels: Sequence[InstructionLevel] = ()) -> list[Record]:
    """Read the records that have texts of all `levels`.

    Args:
        annotations: the JSON file. Segmentations may be RLE or COCO polygons.
        levels: what a record must have.

    Raises:
        InputError: the file cannot be read, is no such dataset, or no record has the texts.
    """
    try:
        content = json.loads(annotations.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{str(annotations)!r} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{annotations.name!r} is no SAM3-I dataset: {error!r}") from error
    records = records_of(content, annotations.name)
    found = [record for record in records if all(level in record.texts for level in levels)]
    if not found:
        wanted = " and a ".join(levels) or "any"
        raise InputError(f"no record of {annotations.name!r} has a {wanted} text")
    return found


def records_of(content: Any, name: str) -> list[Record]:
    """Return the records of a parsed SAM3-I file.

    Args:
        content: the JSON value.
        name: of the file, for messages.

    Raises:
        InputError: it is no such dataset.
    """
    try:
        sizes = {one["id"]: (one["height"], one["width"]) for one in content["images"]}
        masks: dict[int, list[tuple[int, str]]] = {image_id: [] for image_id in sizes}
        for one in content["annotations"]:
            image_id = one["image_id"]
            counts = encode_segmentation(one["segmentation"], *sizes[image_id])
            masks[image_id].append((one["id"], counts))
        return [
            Record(
                id=one["id"],
                file_name=one["file_name"],
                height=one["height"],
                width=one["width"],
                texts={
                    level: tuple(one["text_inst_input"][key])
                    for level, key in TEXT_LISTS.items()
                    if one["text_inst_input"].get(key)
                },
                encoded_masks=tuple(counts for _, counts in masks[one["id"]]),
                granularity=one.get("granularity", "1to1"),
                annotation_ids=tuple(id_ for id_, _ in masks[one["id"]]),
            )
            for one in content["images"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{name!r} is no SAM3-I dataset: {error!r}") from error
