"""A person's own data as a dataset: COCO instances and a table of instructions about them.

The table is a CSV file with the columns `file_name` (as in the COCO file), `level` (concept, simple
or complex), `instruction` and `annotation_ids` (of the instances it means, separated by spaces;
empty where it asks for something that is not there). Rows of one image that mean the same
instances become one record.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.data.formats.registry import open_dataset, read_dataset
from sam3i_agent.data.formats.sam3i import sam3i_content, write_sam3i
from sam3i_agent.data.records import Record, granularity_by_count

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
    pictures = {one.file_name: one for one in read_dataset(instances).records}
    try:
        with instructions.open(encoding="utf-8-sig", newline="") as table:
            rows = list(csv.DictReader(table))
    except OSError as error:
        raise InputError(f"{str(instructions)!r} cannot be read: {error.strerror}") from error
    except (ValueError, csv.Error) as error:
        raise InputError(f"{instructions.name!r} is no table: {error}") from error
    texts: dict[tuple[str, tuple[int, ...]], dict[InstructionLevel, list[str]]] = {}
    for number, row in enumerate(rows, start=2):  # as a spreadsheet counts, the header being 1
        target, level, text = _read_row(row, number, pictures)
        texts.setdefault(target, {}).setdefault(level, []).append(text)
    if not texts:
        raise InputError(f"{instructions.name!r} has no rows", f"columns: {', '.join(COLUMNS)}")
    records = [
        _record(id_, pictures[name], ids, some)
        for id_, ((name, ids), some) in enumerate(texts.items(), start=1)
    ]
    write_sam3i(sam3i_content(records), images, out)
    return len(open_dataset(out).records)


def _read_row(
    row: dict[str, Any], number: int, pictures: Mapping[str, Record]
) -> tuple[tuple[str, tuple[int, ...]], InstructionLevel, str]:
    """Return the target (picture and annotations), the level and the text of a row."""
    where = f"row {number}"
    if any(row.get(column) is None for column in COLUMNS):
        raise InputError(f"{where} lacks a column", f"columns: {', '.join(COLUMNS)}")
    name, text = row["file_name"].strip(), row["instruction"].strip()
    if name not in pictures:
        raise InputError(f"{where}: the COCO file has no image {name!r}")
    if not text:
        raise InputError(f"{where}: the instruction is empty")
    try:
        level = InstructionLevel(row["level"].strip().lower())
        ids = tuple(sorted(int(one) for one in row["annotation_ids"].split()))
    except ValueError as error:
        raise InputError(f"{where}: {error}", "levels are concept, simple, complex") from error
    for one in ids:
        if one not in pictures[name].annotation_ids:
            raise InputError(f"{where}: {name!r} has no annotation {one}")
    # Absent targets have no instances to be told apart by, so each is a record of its own.
    return (name, ids or (-number,)), level, text


def _record(
    id_: int, picture: Record, ids: Sequence[int], texts: Mapping[InstructionLevel, Sequence[str]]
) -> Record:
    masks = dict(zip(picture.annotation_ids, picture.encoded_masks, strict=True))
    found = tuple(masks[one] for one in ids if one in masks)
    return Record(
        id=id_,
        file_name=picture.file_name,
        height=picture.height,
        width=picture.width,
        texts={level: tuple(some) for level, some in texts.items()},
        encoded_masks=found,
        granularity=granularity_by_count(len(found)),
    )
