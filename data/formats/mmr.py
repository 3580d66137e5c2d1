"""MMR: a JSON list with an entry per image, whose questions have one or several targets each."""

from typing import Any

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.rle import encode_segmentation
from sam3i_agent.data.formats.dataset_format import DATA_ERRORS, DatasetFormat, DatasetSource
from sam3i_agent.data.records import Record, granularity_by_count

_QUESTIONS, _ANSWERS = "questions", "answers"


def _is_mmr(source: DatasetSource) -> bool:
    try:
        content = source.content
    except InputError:
        return False
    first = content[0] if isinstance(content, list) and content else None
    return isinstance(first, dict) and _QUESTIONS in first and _ANSWERS in first


def _read(source: DatasetSource) -> list[Record]:
    """Return a record per question; questions and their targets are numbered from 1."""
    records: list[Record] = []
    targets = 0
    for number, image in enumerate(source.content):
        try:
            for text, answers in zip(image[_QUESTIONS], image[_ANSWERS], strict=True):
                records.append(_record(len(records) + 1, image, text, answers, targets))
                targets += len(answers)
        except DATA_ERRORS as error:
            raise InputError(
                f"{source.path.name!r} is no MMR dataset: entry {number} cannot be used: {error!r}"
            ) from error
    return records


def _record(id_: int, image: Any, text: str, answers: list[Any], targets: int) -> Record:
    size = image["height"], image["width"]
    return Record(
        id=id_,
        file_name=image["file_name"],
        height=size[0],
        width=size[1],
        texts={InstructionLevel.COMPLEX: (text.strip(),)},
        encoded_masks=tuple(encode_segmentation(one["segmentation"], *size) for one in answers),
        granularity=granularity_by_count(len(answers)),
        annotation_ids=tuple(range(targets + 1, targets + len(answers) + 1)),
    )


MMR = DatasetFormat(
    name="mmr",
    title="MMR",
    mark=f"{_QUESTIONS} and {_ANSWERS} (MMR)",
    is_folder=False,
    recognises=_is_mmr,
    read=_read,
)
