"""Readers of the single formats; see `data.formats.registry`."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from sam3i_agent.agent.instructions import classify_level
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.files import read_json
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.rle import encode_mask, encode_segmentation
from sam3i_agent.data.records import Record

GREFS_NAME = "grefs(unc).json"
INSTANCES_NAME = "instances.json"
INSTRUCTIONS_NAME = "instructions.csv"
COLUMNS = ("file_name", "instruction", "mask")
"""Of `instructions.csv`; a column `level` is optional."""
_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
_IGNORED, _LEFT_OUT = "ignore", "flag"
"""Labels of ReasonSeg's shapes: pixels that do not count, and marks that are no masks."""
_ENCODINGS = ("utf-8", "cp1252")
"""Some files of ReasonSeg were written on Windows."""
_DATA_ERRORS = (KeyError, TypeError, ValueError, AttributeError, IndexError)


def read_captions(content: Any, key: str, level: InstructionLevel, name: str) -> list[Record]:
    """Read COCO JSON with one text per image entry.

    Args:
        content: the parsed file.
        key: of the text in an image entry.
        level: of the texts.
        name: of the file, for messages.

    Raises:
        InputError: an entry cannot be used.
    """
    where = "its images"
    try:
        images = {one["id"]: one for one in content["images"]}
        masks: dict[int, list[tuple[int, str]]] = {image_id: [] for image_id in images}
        for one in content["annotations"]:
            where = f"annotation {one['id']!r}"
            image = images[one["image_id"]]
            counts = encode_segmentation(one["segmentation"], image["height"], image["width"])
            masks[image["id"]].append((one["id"], counts))
        records: list[Record] = []
        for image in images.values():
            where = f"image {image['id']!r}"
            found = masks[image["id"]]
            records.append(
                Record(
                    id=image["id"],
                    file_name=image["file_name"],
                    height=image["height"],
                    width=image["width"],
                    texts={level: (str(image[key]),)},
                    encoded_masks=tuple(counts for _, counts in found),
                    annotation_ids=tuple(id_ for id_, _ in found),
                )
            )
    except _DATA_ERRORS as error:
        raise InputError(f"{name!r}: {where} cannot be used: {error!r}") from error
    return records


def read_grefcoco(folder: Path) -> list[Record]:
    """Read gRefCOCO's own files: one record per sentence; several targets, or none.

    Raises:
        InputError: a file is missing or an entry cannot be used.
    """
    refs, instances = (read_json(folder / name) for name in (GREFS_NAME, INSTANCES_NAME))
    where = INSTANCES_NAME
    try:
        images = {one["id"]: one for one in instances["images"]}
        segmentations = {one["id"]: one["segmentation"] for one in instances["annotations"]}
        records: list[Record] = []
        for ref in refs:
            where = f"{GREFS_NAME}: reference {ref['ref_id']!r}"
            image = images[ref["image_id"]]
            size = image["height"], image["width"]
            ids = [] if ref.get("no_target") else [one for one in ref["ann_id"] if one != -1]
            counts = tuple(encode_segmentation(segmentations[one], *size) for one in ids)
            for sentence in ref["sentences"]:
                text = sentence.get("sent") or sentence["raw"]
                records.append(
                    Record(
                        id=int(sentence["sent_id"]),
                        file_name=image["file_name"],
                        height=size[0],
                        width=size[1],
                        texts={InstructionLevel.SIMPLE: (text,)},
                        encoded_masks=counts,
                        annotation_ids=tuple(ids),
                    )
                )
    except _DATA_ERRORS as error:
        raise InputError(f"{where} cannot be used: {error!r}") from error
    return records


def read_reasonseg(folder: Path) -> list[Record]:
    """Read pairs of a photo and a LabelMe-like JSON file.

    The shapes are one target together; those labelled `ignore` are pixels that do not count, and
    `flag` is left out, as in LISA's own reader.

    Raises:
        InputError: a photo is missing or a file cannot be used.
    """
    records: list[Record] = []
    for number, path in enumerate(sorted(folder.glob("*.json")), start=1):
        photo = next(
            (path.with_suffix(end) for end in _IMAGE_SUFFIXES if path.with_suffix(end).is_file()),
            None,
        )
        if photo is None:
            raise InputError(f"there is no photo beside {path.name!r}")
        content = read_json(path, _ENCODINGS)
        try:
            height, width = _size_hw(photo)
            target: list[list[float]] = []
            ignored: list[list[float]] = []
            for shape in content["shapes"]:
                ring = [float(value) for point in shape["points"] for value in point]
                label = str(shape["label"]).lower()
                if label != _LEFT_OUT:
                    (ignored if label == _IGNORED else target).append(ring)
            texts = content["text"]
            text = texts if isinstance(texts, str) else texts[0]
            records.append(
                Record(
                    id=number,
                    file_name=photo.name,
                    height=height,
                    width=width,
                    texts={InstructionLevel.COMPLEX: (text,)},
                    encoded_masks=_encoded(target, height, width),
                    encoded_ignored=_encoded(ignored, height, width),
                    annotation_ids=(number,) if target else (),
                )
            )
        except _DATA_ERRORS as error:
            raise InputError(f"{path.name!r} cannot be used: {error!r}") from error
    return records


def read_folder(folder: Path) -> list[Record]:
    """Read `instructions.csv`: one row per instruction.

    `file_name` is relative to `images/`; `mask` is a PNG, relative to the folder, of the photo's
    size, whose values tell the instances apart (0 is background), or empty where nothing is meant.
    Without a column `level`, the level is read off the words.

    Raises:
        InputError: the table or a mask cannot be used; the message names the row.
    """
    path = folder / INSTRUCTIONS_NAME
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
        text = row["instruction"].strip()
        if not text:
            raise InputError(f"{where}: the instruction is empty")
        photo = folder / "images" / row["file_name"].strip()
        try:
            given = (row.get("level") or "").strip().lower()
            level = InstructionLevel(given) if given else classify_level(text)
            size = _size_hw(photo)
            masks = _instance_masks(folder / row["mask"].strip(), size) if row["mask"] else []
        except ValueError as error:
            raise InputError(f"{where}: {error}") from error
        except InputError as error:
            raise InputError(f"{where}: {error.message}", error.hint) from error
        records.append(
            Record(
                id=number - 1,
                file_name=f"images/{row['file_name'].strip()}",
                height=size[0],
                width=size[1],
                texts={level: (text,)},
                encoded_masks=tuple(encode_mask(mask)["counts"] for mask in masks),
                annotation_ids=tuple(1000 * (number - 1) + i for i in range(1, len(masks) + 1)),
            )
        )
    return records


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


def _size_hw(photo: Path) -> tuple[int, int]:
    """Return the height and width of a photo as it is read, turned by its EXIF orientation."""
    try:
        with Image.open(photo) as image:
            width, height = image.size
            turned = image.getexif().get(0x0112, 1) >= 5
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"the photo {photo.name!r} cannot be read: {error}") from error
    return (width, height) if turned else (height, width)


def _encoded(rings: Sequence[list[float]], height: int, width: int) -> tuple[str, ...]:
    """Return the union of polygons as one mask, or none of none."""
    return (encode_segmentation(list(rings), height, width),) if rings else ()
