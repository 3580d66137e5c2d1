"""A person's own data as a dataset: COCO instances and a table of instructions about them.

The table is a CSV file with the columns `file_name` (as in the COCO file), `level` (concept, simple
or complex), `instruction` and `annotation_ids` (of the instances it means, separated by spaces;
empty where it asks for something that is not there). Rows of one image that mean the same
instances become one record.
"""

import csv
import json
import os
from pathlib import Path
from typing import Any

from sam3i_agent.core.errors import InputError, StorageError
from sam3i_agent.core.files import write_whole
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.data.formats.sam3i import TEXT_LISTS, read_records

COLUMNS = ("file_name", "level", "instruction", "annotation_ids")


def build_dataset(instances: Path, instructions: Path, images: Path, out: Path) -> int:
    """Join COCO instances and instructions to a SAM3-I JSON file.

    Args:
        instances: COCO JSON with polygons or RLE.
        instructions: the CSV table.
        images: folder that the COCO file's names are relative to.
        out: JSON file to write; its names are relative to its own folder.

    Returns:
        The number of records.

    Raises:
        InputError: a file cannot be read, or a row names an unknown image, instance or level; the
            message names the row.
        StorageError: `out` cannot be written.
    """
    try:
        content = json.loads(instances.read_text(encoding="utf-8"))
        pictures = {one["file_name"]: one for one in content["images"]}
        annotations = {one["id"]: one for one in content["annotations"]}
        with instructions.open(encoding="utf-8-sig", newline="") as table:
            rows = list(csv.DictReader(table))
    except OSError as error:
        raise InputError(f"{error.filename!r} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{instances.name!r} is no COCO file: {error!r}") from error
    records: dict[tuple[str, tuple[int, ...]], dict[str, list[str]]] = {}
    for number, row in enumerate(rows, start=2):  # as a spreadsheet counts, the header being 1
        key, list_name, text = _read_row(row, number, pictures, annotations)
        texts = records.setdefault(key, {name: [] for name in TEXT_LISTS.values()})
        texts[list_name].append(text)
    if not records:
        raise InputError(f"{instructions.name!r} has no rows", f"columns: {', '.join(COLUMNS)}")
    _write(_content(records, pictures, annotations, images, out.parent), out)
    return len(read_records(out))


def _read_row(
    row: dict[str, Any], number: int, pictures: dict[str, Any], annotations: dict[int, Any]
) -> tuple[tuple[str, tuple[int, ...]], str, str]:
    where = f"row {number}"
    if any(row.get(column) is None for column in COLUMNS):
        raise InputError(f"{where} lacks a column", f"columns: {', '.join(COLUMNS)}")
    name, text = row["file_name"].strip(), row["instruction"].strip()
    if name not in pictures:
        raise InputError(f"{where}: the COCO file has no image {name!r}")
    if not text:
        raise InputError(f"{where}: the instruction is empty")
    try:
        list_name = TEXT_LISTS[InstructionLevel(row["level"].strip().lower())]
        ids = tuple(sorted(int(one) for one in row["annotation_ids"].split()))
    except ValueError as error:
        raise InputError(f"{where}: {error}", "levels are concept, simple, complex") from error
    for one in ids:
        if one not in annotations or annotations[one]["image_id"] != pictures[name]["id"]:
            raise InputError(f"{where}: {name!r} has no annotation {one}")
    # Absent targets have no instances to be told apart by, so each is a record of its own.
    return (name, ids or (-number,)), list_name, text


def _content(
    records: dict[tuple[str, tuple[int, ...]], dict[str, list[str]]],
    pictures: dict[str, Any],
    annotations: dict[int, Any],
    images: Path,
    folder: Path,
) -> dict[str, Any]:
    content: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 1, "name": "object"}],
    }
    for image_id, ((name, ids), texts) in enumerate(records.items(), start=1):
        picture = pictures[name]
        found = [annotations[one] for one in ids if one >= 0]
        content["images"].append(
            {
                "id": image_id,
                "file_name": os.path.relpath(images / name, folder),
                "width": picture["width"],
                "height": picture["height"],
                "text_inst_input": texts,
                "granularity": "1to1" if len(found) <= 1 else "1toN",
            }
        )
        for one in found:
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "segmentation": one["segmentation"],
                    "area": one.get("area", 0),
                    "bbox": one.get("bbox", [0, 0, 0, 0]),
                    "iscrowd": one.get("iscrowd", 0),
                }
            )
    return content


def _write(content: dict[str, Any], out: Path) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, json.dumps(content))
    except OSError as error:
        raise StorageError(f"{str(out)!r} cannot be written: {error.strerror}") from error
