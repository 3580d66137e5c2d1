"""gRefCOCO's own files: a folder with `grefs(unc).json` and COCO's `instances.json`."""

from typing import Any

from sam3i_agent.core.files import read_json
from sam3i_agent.data.formats.dataset_format import DatasetFormat, DatasetSource
from sam3i_agent.data.formats.references import read_references
from sam3i_agent.data.records import Record

GREFS_NAME = "grefs(unc).json"


def _read(source: DatasetSource) -> list[Record]:
    """Return a record per sentence; several targets, or none."""
    refs = read_json(source.path / GREFS_NAME)
    return read_references(refs, GREFS_NAME, source.path, _targets)


def _targets(ref: dict[str, Any]) -> tuple[int, ...]:
    return () if ref.get("no_target") else tuple(one for one in ref["ann_id"] if one != -1)


GREFCOCO = DatasetFormat(
    name="grefcoco",
    title="gRefCOCO",
    mark=GREFS_NAME,
    is_folder=True,
    recognises=lambda source: (source.path / GREFS_NAME).is_file(),
    read=_read,
)
