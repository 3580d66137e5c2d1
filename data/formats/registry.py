"""The one door to datasets: every command that reads one reads it here; nothing is downloaded.

| format | is |
|---|---|
| SAM3-I / HMPL-Instruct | COCO JSON whose images have `text_inst_input` |
| SA-Co | COCO JSON whose images have `text_input` |
| RefCOCO family | COCO JSON whose images have `caption`, one image entry per expression |
| COCO | any other COCO JSON: masks to evaluate against, without texts |
| RefCOCO family, Ref-ZOM | a folder with `refs(unc).p` or the like and COCO's `instances.json` |
| MMR | a JSON list whose entries have `questions` and `answers` |
| gRefCOCO | a folder with `grefs(unc).json` and COCO's `instances.json` |
| ReasonSeg | a folder of `NAME.jpg` and `NAME.json` pairs |
| folder | a folder with `images/`, `instructions.csv` and masks |

A new format is a module with a `DatasetFormat`, and a line in `FORMATS`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.data.formats.coco import COCO
from sam3i_agent.data.formats.dataset_format import DatasetFormat, DatasetSource, LevelOf
from sam3i_agent.data.formats.folder import FOLDER
from sam3i_agent.data.formats.grefcoco import GREFCOCO
from sam3i_agent.data.formats.mmr import MMR
from sam3i_agent.data.formats.reasonseg import REASONSEG
from sam3i_agent.data.formats.refcoco import REFCOCO
from sam3i_agent.data.formats.refer import REFER
from sam3i_agent.data.formats.saco import SACO
from sam3i_agent.data.formats.sam3i import SAM3I
from sam3i_agent.data.records import Record

FORMATS: tuple[DatasetFormat, ...] = (
    SAM3I,
    SACO,
    REFCOCO,
    MMR,
    COCO,  # takes what the ones before it do not know
    FOLDER,
    GREFCOCO,
    REFER,
    REASONSEG,  # likewise
)
"""In the order in which they are tried."""


@dataclass(frozen=True)
class Dataset:
    """Records and where their photos are."""

    path: Path
    """The file or folder it was read from."""
    format: DatasetFormat
    records: list[Record]
    images: Path
    """Folder that the records' file names are relative to."""

    def of_split(self, name: str) -> "Dataset":
        """Return the records of a split, of a dataset that holds several in one file.

        Raises:
            InputError: there is none; the hint names those that there are.
        """
        found = [one for one in self.records if one.split == name]
        if not found:
            splits = ", ".join(sorted({one.split for one in self.records} - {""}))
            raise InputError(
                f"{self.path.name!r} has no split {name!r}",
                f"it has {splits}" if splits else "it has no splits",
            )
        return replace(self, records=found)

    def having(self, levels: Sequence[InstructionLevel]) -> list[Record]:
        """Return the records that have texts of all `levels`.

        Raises:
            InputError: there is none.
        """
        found = [one for one in self.records if all(level in one.texts for level in levels)]
        if not found:
            wanted = " and a ".join(levels) or "any"
            raise InputError(f"no record of {self.path.name!r} has a {wanted} text")
        return found


def open_dataset(
    path: Path, images: Path | None = None, *, level_of: LevelOf | None = None
) -> Dataset:
    """Read a dataset whose texts are asked about its photos; these are read when they are needed.

    Args:
        path: a JSON file or a folder, see this module.
        images: where the photos are, if not beside the file.
        level_of: reads the level of texts that do not say it, which plain folders may have.

    Raises:
        InputError: it cannot be read, is of no known format, has no texts, or a record cannot be
            used (the message names it); or the photos are not there.
    """
    asking = [one for one in FORMATS if one.has_texts]
    dataset = _read(DatasetSource(path, level_of), images, asking)
    first = dataset.records[0].file_name
    if not (dataset.images / first).is_file():
        raise InputError(
            f"the dataset's photo {first!r} is not in {str(dataset.images)!r}",
            "say where the photos are with --images FOLDER",
        )
    return dataset


def read_dataset(
    path: Path, images: Path | None = None, *, level_of: LevelOf | None = None
) -> Dataset:
    """Read a dataset's records alone, for their masks: texts and photos may be missing.

    Args:
        path: a JSON file or a folder, see this module.
        images: where the photos are, if not beside the file.
        level_of: reads the level of texts that do not say it, which plain folders may have.

    Raises:
        InputError: it cannot be read, is of no known format or empty, or a record cannot be used;
            the message names it.
    """
    return _read(DatasetSource(path, level_of), images, FORMATS)


def _read(source: DatasetSource, images: Path | None, formats: Sequence[DatasetFormat]) -> Dataset:
    path = source.path
    fitting = [one for one in formats if one.is_folder is path.is_dir()]
    for one in fitting:
        if one.recognises(source):
            records = one.read(source)
            if not records:
                raise InputError(f"{path.name!r} has no records")
            return Dataset(path, one, records, images or (path if one.is_folder else path.parent))
    *marks, last = (one.mark for one in fitting)
    needs = f"{', '.join(marks)} or {last}"
    if path.is_dir():
        raise InputError(f"{str(path)!r} is no dataset", f"a folder needs {needs}")
    _ = source.content  # says for itself why it is no JSON
    if source.first_image is None:
        raise InputError(f"{path.name!r} has no images")
    raise InputError(f"{path.name!r} has images without texts", f"they need {needs}")
