"""gRefCOCO's own files: a folder with `grefs(unc).json` and COCO's `instances.json`."""

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.files import read_json
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.rle import encode_segmentation
from sam3i_agent.data.formats.dataset_format import DATA_ERRORS, DatasetFormat, DatasetSource
from sam3i_agent.data.records import Record, granularity_by_count

GREFS_NAME = "grefs(unc).json"
INSTANCES_NAME = "instances.json"


def _read(source: DatasetSource) -> list[Record]:
    """Return a record per sentence; several targets, or none."""
    refs, instances = (read_json(source.path / name) for name in (GREFS_NAME, INSTANCES_NAME))
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
                        granularity=granularity_by_count(len(ids)),
                        annotation_ids=tuple(ids),
                    )
                )
    except DATA_ERRORS as error:
        raise InputError(f"{where} cannot be used: {error!r}") from error
    return records


GREFCOCO = DatasetFormat(
    name="grefcoco",
    title="gRefCOCO",
    mark=GREFS_NAME,
    is_folder=True,
    recognises=lambda source: (source.path / GREFS_NAME).is_file(),
    read=_read,
)
