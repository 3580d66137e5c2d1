"""SAM3-I's predictions: a list with an entry per annotation and text.

`{"annotation_id", "image_id", "file_name", "prompt", "prompt_type", "predictions"}`, where
`prompt_type` is the level's key and the text's number (`simple_query_0`) and each prediction has
`rle` and `score`. An entry without predictions says that nothing was found.
"""

from collections.abc import Sequence
from typing import Any

from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.data.formats.sam3i import TEXT_LISTS
from sam3i_agent.evaluation.forms.answers import Answer, FoundMask, by_annotation
from sam3i_agent.evaluation.forms.problems import ENTRY_ERRORS, Problems, known_image, read_mask
from sam3i_agent.evaluation.metrics.truth import GroundTruth

_LEVELS = {key: level for level, key in TEXT_LISTS.items()}


def is_sam3i_entry(one: Any) -> bool:
    """Whether this is an entry of the form."""
    return isinstance(one, dict) and "predictions" in one


def read_sam3i_entries(content: Sequence[Any], truth: GroundTruth, name: str) -> list[Answer]:
    """Return the answers of a SAM3-I prediction file, one per entry.

    Raises:
        InputError: some entries cannot be used.
    """
    answers: list[Answer] = []
    problems = Problems(name, len(content))
    concepts: dict[int, int] = {}
    for index, one in enumerate(content):
        try:
            image_id = known_image(one["image_id"], truth)
            level, number = _text(str(one.get("prompt_type", "")))
            id_ = int(one["annotation_id"])
            if number is None:
                # Its script numbers no concepts: the texts of an annotation follow each other.
                number = concepts.get(id_, -1) + 1
                concepts[id_] = number
            found = tuple(_mask(each, image_id, truth) for each in one["predictions"] or ())
            answers.append(Answer(image_id, found, id_, level, number))
        except ENTRY_ERRORS as error:
            problems.add(index, error)
    problems.raise_any()
    return answers


def _mask(one: Any, image_id: int, truth: GroundTruth) -> FoundMask:
    rle = one["rle"]
    if not rle.get("counts"):  # its script takes it for an empty mask
        height, width = truth.size_hw(image_id)
        rle = {"size": [height, width], "counts": [height * width]}
    return read_mask(rle, one.get("score", 1.0), image_id, truth)


def _text(prompt_type: str) -> tuple[InstructionLevel | None, int | None]:
    """Return the level and the number of a text; no number where none is written."""
    if not prompt_type:
        return None, 0
    if prompt_type in _LEVELS:
        return _LEVELS[prompt_type], None
    key, _, number = prompt_type.rpartition("_")
    if key not in _LEVELS:
        raise ValueError(f"the prompt type {prompt_type!r} is none of {', '.join(_LEVELS)}")
    return _LEVELS[key], int(number)


def sam3i_entries(
    answers: Sequence[Answer], truth: GroundTruth, level: InstructionLevel | None = None
) -> list[dict[str, Any]]:
    """Return answers as SAM3-I's entries; those to an image without annotations name number -1.

    Args:
        answers: to texts.
        truth: whose images they are about.
        level: of the texts whose answers do not say it.

    Raises:
        ValueError: an answer does not say its level, and its image has texts of several.
    """
    return [_entry(one, truth, level) for one in by_annotation(answers, truth)]


def _entry(answer: Answer, truth: GroundTruth, level: InstructionLevel | None) -> dict[str, Any]:
    record = truth.images[answer.image_id]
    level = answer.level or level or only_level(record.texts)
    texts = record.texts.get(level, ())
    return {
        "annotation_id": answer.annotation_id,
        "image_id": answer.image_id,
        "file_name": record.file_name,
        "prompt": texts[answer.number] if answer.number < len(texts) else "",
        "prompt_type": f"{TEXT_LISTS[level]}_{answer.number}",
        "predictions": [
            {
                "rle": {"size": list(one.rle["size"]), "counts": one.rle["counts"].decode()},
                "score": one.score,
            }
            for one in answer.masks
        ],
    }


def only_level(texts: dict[InstructionLevel, tuple[str, ...]]) -> InstructionLevel:
    """Return the level of an image's texts.

    Raises:
        ValueError: it has texts of several levels, or none.
    """
    if len(texts) != 1:
        raise ValueError(f"its image has texts of {' and '.join(texts) or 'no level'}")
    return next(iter(texts))
