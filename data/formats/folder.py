"""A plain folder: `images/`, masks, and `instructions.csv` with one row per instruction.

`file_name` is relative to `images/`; `mask` is a PNG, relative to the folder, of the photo's size,
whose values tell the instances apart (0 is background), or empty where nothing is meant. A column
`level` is optional: without it, the level is read off the words.
"""

import csv
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.photo import read_size_hw
from sam3i_agent.core.rle import encode_mask
from sam3i_agent.data.formats.dataset_format import DatasetFormat, DatasetSource, LevelOf
from sam3i_agent.data.records import Record, granularity_by_count

INSTRUCTIONS_NAME = "instructions.csv"
IMAGES_FOLDER = "images"
COLUMNS = ("file_name", "instruction", "mask")
_MAX_INSTANCES = 1 << 16
"""Of a row: a mask of 16 bits tells no more apart. Annotations are numbered by it."""


def _read(source: DatasetSource) -> list[Record]:
    path = source.path / INSTRUCTIONS_NAME
    try:
        with path.open(encoding="utf-8-sig", newline="") as table:
            rows = list(csv.DictReader(table))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path.name!r} cannot be read: {error}") from error
    records: list[Record] = []
    for number, row in enumerate(rows, start=2):  # as a spreadsheet counts, the header being 1
        where = f"{path.name}, row {number}"
        if any(row.get(column) is None for column in COLUMNS):
            raise InputError(f"{where} lacks a column", f"columns: {', '.join(COLUMNS)}, level")
        try:
            records.append(_record(number - 1, row, source))
        except ValueError as error:
            raise InputError(f"{where}: {error}") from error
        except InputError as error:
            raise InputError(f"{where}: {error.message}", error.hint) from error
    return records


def _record(number: int, row: dict[str, str], source: DatasetSource) -> Record:
    text, file_name = row["instruction"].strip(), f"{IMAGES_FOLDER}/{row['file_name'].strip()}"
    if not text:
        raise InputError("the instruction is empty")
    level = _level((row.get("level") or "").strip().lower(), text, source.level_of)
    size = read_size_hw(source.path / file_name)
    masks = _instance_masks(source.path / row["mask"].strip(), size) if row["mask"] else []
    return Record(
        id=number,
        file_name=file_name,
        height=size[0],
        width=size[1],
        texts={level: (text,)},
        encoded_masks=tuple(encode_mask(mask)["counts"] for mask in masks),
        granularity=granularity_by_count(len(masks)),
        annotation_ids=tuple(_MAX_INSTANCES * number + i for i in range(1, len(masks) + 1)),
    )


def _level(given: str, text: str, level_of: LevelOf | None) -> InstructionLevel:
    if given:
        return InstructionLevel(given)
    if level_of is None:
        raise InputError(
            "the instruction has no level", f"add a column level: {', '.join(InstructionLevel)}"
        )
    return level_of(text)


def _instance_masks(path: Path, size_hw: tuple[int, int]) -> list[np.ndarray]:
    try:
        with Image.open(path, formats=("PNG",)) as image:
            values = np.asarray(image)
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"the mask {path.name!r} cannot be read: {error}") from error
    if values.ndim != 2:
        raise InputError(f"the mask {path.name!r} has colours", "save it with one channel")
    if values.shape != size_hw:
        raise InputError(
            f"the mask {path.name!r} is {values.shape[1]}x{values.shape[0]} pixels, the photo "
            f"{size_hw[1]}x{size_hw[0]}"
        )
    return [values == value for value in np.unique(values) if value]


FOLDER = DatasetFormat(
    name="folder",
    title="a plain folder",
    mark=INSTRUCTIONS_NAME,
    is_folder=True,
    recognises=lambda source: (source.path / INSTRUCTIONS_NAME).is_file(),
    read=_read,
)
