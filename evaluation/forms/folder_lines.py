"""The lines of `results.jsonl`, which `sam3i segment` writes for a folder of pictures."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from sam3i_agent.core.contracts import PictureAnswer, SegmentationResult
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.data.records import Record
from sam3i_agent.evaluation.forms.answers import Answer
from sam3i_agent.evaluation.forms.problems import (
    ENTRY_ERRORS,
    Problems,
    UnknownImageError,
    read_mask,
)
from sam3i_agent.evaluation.metrics.truth import GroundTruth

_MARK = b'{"file":'


def has_folder_lines(path: Path) -> bool:
    """Whether a file of lines begins with the answer about a picture of a folder."""
    with path.open("rb") as lines:
        return lines.read(len(_MARK)) == _MARK


def read_folder_lines(
    lines: Iterable[PictureAnswer], truth: GroundTruth, name: str
) -> list[Answer]:
    """Return the answers to the dataset's texts, by the pictures' names and the words.

    Pictures that could not be read, and texts that were not asked, have no answers.

    Args:
        lines: of a folder.
        truth: whose images the pictures are.
        name: of the file.

    Raises:
        InputError: some lines are about other pictures or texts, or have masks of another size.
    """
    records: dict[str, list[Record]] = {}
    for record in truth.images.values():
        records.setdefault(PurePosixPath(record.file_name).name, []).append(record)
    every = list(lines)
    answers: list[Answer] = []
    problems = Problems(name, len(every))
    for index, one in enumerate(every):
        try:
            known = records.get(PurePosixPath(one.file).name, ())
            answers += _answers(one, [each for each in known if _is_of(each, one.file)], truth)
        except ENTRY_ERRORS as error:
            problems.add(index, error)
    problems.raise_any()
    return answers


def _is_of(record: Record, file: str) -> bool:
    """Whether a picture is that of a record: the one name may have more folders than the other."""
    ours, theirs = f"/{file}", f"/{record.file_name}"
    return ours.endswith(theirs) or theirs.endswith(ours)


def _answers(line: PictureAnswer, records: Sequence[Record], truth: GroundTruth) -> list[Answer]:
    if not records:
        raise UnknownImageError(f"picture {line.file!r} is not in the ground truth")
    found: list[Answer] = []
    # A picture that could not be read has texts without results.
    for text, result in zip(line.texts, line.results, strict=False):
        words = _plain(text.instruction)
        asked = [
            _answer(result, record, level, number, truth)
            for record in records
            for level, number, wording in _texts(record)
            if _plain(wording) == words
        ]
        if not asked:
            raise ValueError(f"{line.file!r} has no text {text.instruction!r}")
        found += asked
    return found


def _texts(record: Record) -> Iterator[tuple[InstructionLevel, int, str]]:
    for level, texts in record.texts.items():
        for number, text in enumerate(texts):
            yield level, number, text


def _plain(text: str) -> str:
    return " ".join(text.split())


def _answer(
    result: SegmentationResult,
    record: Record,
    level: InstructionLevel,
    number: int,
    truth: GroundTruth,
) -> Answer:
    masks = tuple(read_mask(one.mask, one.score, record.id, truth) for one in result.instances)
    return Answer(record.id, masks, level=level, number=number)
