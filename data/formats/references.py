"""What files of referring expressions share: references with sentences, and COCO instances."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.files import read_json
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.rle import encode_segmentation
from sam3i_agent.data.formats.dataset_format import DATA_ERRORS
from sam3i_agent.data.records import Record, granularity_by_count

INSTANCES_NAME = "instances.json"


def read_references(
    refs: Any,
    name: str,
    folder: Path,
    targets: Callable[[Any], tuple[int, ...]],
    split: Callable[[Any], str] = lambda ref: "",
) -> list[Record]:
    """Return a record for each sentence of each reference.

    Args:
        refs: the parsed references.
        name: of their file, for messages.
        folder: with COCO's instances.
        targets: ids of the annotations that a reference means; none where it means nothing.
        split: that a reference belongs to.

    Raises:
        InputError: the instances cannot be read, or an entry cannot be used; the message names it.
    """
    instances = read_json(folder / INSTANCES_NAME)
    where = INSTANCES_NAME
    try:
        images = {one["id"]: one for one in instances["images"]}
        segmentations = {one["id"]: one["segmentation"] for one in instances["annotations"]}
        records: list[Record] = []
        for ref in refs:
            where = f"{name}: reference {ref['ref_id']!r}"
            image = images[ref["image_id"]]
            size = image["height"], image["width"]
            ids = targets(ref)
            counts = tuple(encode_segmentation(segmentations[one], *size) for one in ids)
            records += [
                Record(
                    id=int(sentence["sent_id"]),
                    file_name=image["file_name"],
                    height=size[0],
                    width=size[1],
                    texts={InstructionLevel.SIMPLE: (sentence.get("sent") or sentence["raw"],)},
                    encoded_masks=counts,
                    granularity=granularity_by_count(len(ids)),
                    annotation_ids=ids,
                    split=split(ref),
                )
                for sentence in ref["sentences"]
            ]
    except DATA_ERRORS as error:
        raise InputError(f"{where} cannot be used: {error!r}") from error
    return records
