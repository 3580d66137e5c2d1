"""What is asked and what was answered: cases, predictions, and the file that keeps them."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from sam3i_agent.core.contracts import CompressedMask, Frozen, RunStatus, Usage
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.journal import Journal
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.data.formats.registry import Dataset
from sam3i_agent.data.records import Record

PREDICTIONS_STEM = "predictions"


@dataclass(frozen=True)
class Case:
    """One text about one photo."""

    id: str
    """`RECORD/LEVEL`."""
    record: Record
    level: InstructionLevel
    text: str


def case_id(record_id: int, level: InstructionLevel) -> str:
    """Return the id of the case of a record's first text of a level."""
    return f"{record_id}/{level}"


def parse_case_id(text: str) -> tuple[int, InstructionLevel]:
    """Return a case's record and level.

    Raises:
        ValueError: it is no id of a case.
    """
    record, _, level = text.partition("/")
    return int(record), InstructionLevel(level)


class Prediction(Frozen):
    """What a route answered."""

    case: str
    route: str
    """A `RouteChoice`, with the language model where there are several (`agent@MODEL`), or the name
    of a file of predictions from elsewhere."""
    status: RunStatus
    answered_by: str
    presence: float
    scores: list[float]
    masks: list[CompressedMask]
    usage: Usage
    trace: list[str]
    warnings: list[str]


class Shard(Frozen):
    """A part of the cases: number `index` (from 1) of `count`."""

    index: Annotated[int, Field(ge=1)] = 1
    count: Annotated[int, Field(ge=1)] = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read `i/n`.

        Raises:
            InputError: it is not of that form, or i is not 1 to n.
        """
        first, slash, second = text.partition("/")
        try:
            shard = cls(index=int(first), count=int(second))
        except (ValueError, ValidationError) as error:
            raise InputError(f"--shard takes i/n, such as 1/4, not {text!r}") from error
        if not slash or shard.index > shard.count:
            raise InputError(f"--shard takes i/n, such as 1/4, not {text!r}")
        return shard

    @property
    def file_name(self) -> str:
        """Of its predictions, so that several shards can share a folder."""
        part = "" if self.count == 1 else f"-{self.index}-of-{self.count}"
        return f"{PREDICTIONS_STEM}{part}.jsonl"

    def journal(self, folder: Path) -> Journal[Prediction]:
        """Return its predictions in the folder of a comparison."""
        return Journal(folder / self.file_name, Prediction)

    def holds(self, image: str) -> bool:
        """Whether the photo's cases are in this part; all cases of a photo are in one."""
        return zlib.crc32(image.encode()) % self.count == self.index - 1


WHOLE = Shard()
"""All cases."""


def read_cases(
    dataset: Dataset, levels: Sequence[InstructionLevel], limit: int | None = None
) -> list[Case]:
    """Return a case per record and level that has a text, photo by photo.

    Raises:
        InputError: the dataset has no text of the levels, or two records share an id.
    """
    cases = [
        Case(case_id(record.id, level), record, level, record.texts[level][0])
        for record in dataset.records
        for level in levels
        if level in record.texts
    ]
    if not cases:
        raise InputError(f"no record of the dataset has a {' or a '.join(levels)} text")
    doubles = len(cases) - len({case.id for case in cases})
    if doubles:
        raise InputError(f"{doubles} records of the dataset share an id with another one")
    # Texts about a photo follow each other, so that its pixels are read once.
    first: dict[str, int] = {}
    for case in cases:
        first.setdefault(case.record.file_name, len(first))
    cases.sort(key=lambda case: first[case.record.file_name])
    return cases[:limit]


def read_predictions(folder: Path) -> Iterator[Prediction]:
    """Read the predictions of all shards in a comparison's folder.

    Raises:
        StorageError: a whole line is no prediction.
    """
    for path in sorted(folder.glob(f"{PREDICTIONS_STEM}*.jsonl")):
        yield from Journal(path, Prediction)
