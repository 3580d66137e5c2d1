"""COCO JSON, the form under several formats: image entries, and annotations that name theirs."""

from collections.abc import Callable
from typing import Any

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.rle import encode_segmentation
from sam3i_agent.data.formats.dataset_format import DATA_ERRORS, DatasetFormat, DatasetSource
from sam3i_agent.data.records import Record, granularity_by_count

KIND = "kind"
"""Key of an image entry: level to what its texts take to be understood (`data.kinds`)."""
Texts = dict[InstructionLevel, tuple[str, ...]]


def read_coco(
    source: DatasetSource, title: str, texts_of: Callable[[dict[str, Any]], Texts]
) -> list[Record]:
    """Return a record per image entry.

    Segmentations may be RLE or polygons; annotations with `ignore` are pixels that do not count.

    Args:
        source: the JSON file.
        title: of the format, for messages.
        texts_of: finds the texts in an image entry.

    Raises:
        InputError: an entry cannot be used; the message names it.
    """
    content, where = source.content, "its images"
    try:
        images = {one["id"]: one for one in content["images"]}
        masks: dict[int, list[tuple[int, str]]] = {image_id: [] for image_id in images}
        ignored: dict[int, list[str]] = {image_id: [] for image_id in images}
        crowds: set[int] = set()
        where = "its annotations"
        for one in content["annotations"]:
            where = f"annotation {one['id']!r}"
            image = images[one["image_id"]]
            counts = encode_segmentation(one["segmentation"], image["height"], image["width"])
            if one.get("ignore"):
                ignored[image["id"]].append(counts)
            else:
                masks[image["id"]].append((one["id"], counts))
                if one.get("iscrowd"):
                    crowds.add(one["id"])
        records: list[Record] = []
        for one in content["images"]:
            where = f"image {one['id']!r}"
            found = masks[one["id"]]
            records.append(
                Record(
                    id=one["id"],
                    file_name=one.get("file_name", ""),
                    height=one["height"],
                    width=one["width"],
                    texts=texts_of(one),
                    encoded_masks=tuple(counts for _, counts in found),
                    granularity=one.get("granularity", granularity_by_count(len(found))),
                    annotation_ids=tuple(id_ for id_, _ in found),
                    encoded_ignored=tuple(ignored[one["id"]]),
                    kinds={
                        InstructionLevel(level): kind for level, kind in one.get(KIND, {}).items()
                    },
                    crowd_ids=frozenset(crowds.intersection(id_ for id_, _ in found)),
                    is_exhaustive=bool(one.get("is_instance_exhaustive", True)),
                )
            )
    except DATA_ERRORS as error:
        raise InputError(
            f"{source.path.name!r} is no {title} dataset: {where} cannot be used: {error!r}"
        ) from error
    return records


def one_text_format(name: str, title: str, key: str, level: InstructionLevel) -> DatasetFormat:
    """Return a format of COCO JSON with one text per image entry.

    Args:
        name: of the format.
        title: as people call it.
        key: of the text in an image entry.
        level: of the texts.
    """
    return DatasetFormat(
        name=name,
        title=title,
        mark=f"{key} ({title})",
        is_folder=False,
        recognises=lambda source: key in (source.first_image or {}),
        read=lambda source: read_coco(source, title, lambda one: {level: (str(one[key]),)}),
    )


COCO = DatasetFormat(
    name="coco",
    title="COCO",
    mark="annotations (COCO)",
    is_folder=False,
    recognises=lambda source: source.first_image is not None,
    read=lambda source: read_coco(source, "COCO", lambda one: {}),
    has_texts=False,
)
"""Masks without texts: a ground truth, but nothing to ask."""
