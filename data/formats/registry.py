"""Datasets that routes are compared on, told apart by their files; nothing is ever downloaded.

| format | is |
|---|---|
| SAM3-I / HMPL-Instruct | COCO JSON whose images have `text_inst_input` |
| SA-Co | COCO JSON whose images have `text_input` |
| RefCOCO family | COCO JSON whose images have `caption`, one image entry per expression |
| gRefCOCO | a folder with `grefs(unc).json` and COCO's `instances.json` |
| ReasonSeg | a folder of `NAME.jpg` and `NAME.json` pairs |
| folder | a folder with `images/`, `instructions.csv` and masks |
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.files import read_json
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.data.formats.readers import (
    GREFS_NAME,
    INSTRUCTIONS_NAME,
    read_captions,
    read_folder,
    read_grefcoco,
    read_reasonseg,
)
from sam3i_agent.data.formats.sam3i import records_of
from sam3i_agent.data.records import Record


class Format(StrEnum):
    """What a dataset is."""

    SAM3I = "sam3i"
    SACO = "saco"
    REFCOCO = "refcoco"
    GREFCOCO = "grefcoco"
    REASONSEG = "reasonseg"
    FOLDER = "folder"


@dataclass(frozen=True)
class Dataset:
    """Records and where their photos are."""

    format: Format
    records: list[Record]
    images: Path
    """Folder that the records' file names are relative to."""


def open_dataset(path: Path, images: Path | None = None) -> Dataset:
    """Read a dataset's records; photos are read when they are asked about.

    Args:
        path: a JSON file or a folder, see this module.
        images: where the photos are, if not beside the file.

    Raises:
        InputError: it cannot be read, is of no known format, or a record cannot be used; the
            message names the record.
    """
    if path.is_dir():
        kind, records, beside = _from_folder(path)
    else:
        kind, records = _from_file(path)
        beside = path.parent
    if not records:
        raise InputError(f"{path.name!r} has no records")
    folder = images or beside
    first = folder / records[0].file_name
    if not first.is_file():
        raise InputError(
            f"the dataset's photo {records[0].file_name!r} is not in {str(folder)!r}",
            "say where the photos are with --images FOLDER",
        )
    return Dataset(kind, records, folder)


def _from_folder(path: Path) -> tuple[Format, list[Record], Path]:
    if (path / INSTRUCTIONS_NAME).is_file():
        return Format.FOLDER, read_folder(path), path
    if (path / GREFS_NAME).is_file():
        return Format.GREFCOCO, read_grefcoco(path), path
    if any(path.glob("*.json")):
        return Format.REASONSEG, read_reasonseg(path), path
    raise InputError(
        f"{str(path)!r} is no dataset",
        f"a folder needs {INSTRUCTIONS_NAME}, {GREFS_NAME} or a JSON file beside each photo",
    )


def _from_file(path: Path) -> tuple[Format, list[Record]]:
    content = read_json(path)
    try:
        first: dict[str, Any] = content["images"][0]
    except (KeyError, IndexError, TypeError) as error:
        raise InputError(f"{path.name!r} has no images") from error
    if "text_inst_input" in first:
        return Format.SAM3I, records_of(content, path.name)
    if "text_input" in first:
        return Format.SACO, read_captions(
            content, "text_input", InstructionLevel.CONCEPT, path.name
        )
    if "caption" in first:
        return Format.REFCOCO, read_captions(content, "caption", InstructionLevel.SIMPLE, path.name)
    raise InputError(
        f"{path.name!r} has images without texts",
        "they need text_inst_input (SAM3-I), text_input (SA-Co) or caption (RefCOCO)",
    )
