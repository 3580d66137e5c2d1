"""Prediction files of any form: read, written, and turned into one another."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sam3i_agent.core.contracts import PictureAnswer
from sam3i_agent.core.errors import InputError, StorageError
from sam3i_agent.core.files import read_json, write_whole
from sam3i_agent.core.journal import Journal
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.evaluation.compare.cases import Prediction
from sam3i_agent.evaluation.forms.answers import (
    EVERYTHING,
    Answer,
    Selection,
)
from sam3i_agent.evaluation.forms.coco_results import coco_results, read_coco_results
from sam3i_agent.evaluation.forms.folder_lines import has_folder_lines, read_folder_lines
from sam3i_agent.evaluation.forms.form import PredictionForm
from sam3i_agent.evaluation.forms.own_lines import own_lines, read_own_lines
from sam3i_agent.evaluation.forms.sam3i_entries import (
    is_sam3i_entry,
    read_sam3i_entries,
    sam3i_entries,
)
from sam3i_agent.evaluation.metrics.truth import GroundTruth

LINES_SUFFIX = ".jsonl"


@dataclass(frozen=True)
class PredictionFile:
    """The answers of a file, and what form it has."""

    form: PredictionForm
    answers: list[Answer]

    @property
    def repeats(self) -> int:
        """Masks that the answer they belong to has already."""
        return sum(
            len(one.masks) - len({mask.rle["counts"] for mask in one.masks}) for one in self.answers
        )


def read_answers(
    path: Path, truth: GroundTruth, selection: Selection = EVERYTHING
) -> PredictionFile:
    """Read a prediction file; its form is told by what is in it.

    Args:
        path: COCO results, SAM3-I's predictions, or the lines of a comparison or of a folder
            (`.jsonl`).
        truth: whose images they are about.
        selection: which answers; those that do not say their level are taken as of any.

    Raises:
        InputError: it cannot be read, is of no such form, or has none of the answers; or some
            entries cannot be used: are about unknown images, have masks of another size, or scores
            that are no numbers. The message counts them by kind and names the first.
        StorageError: a whole line of a comparison is damaged.
    """
    form, answers = _read(path, truth, selection)
    if selection.level is not None:
        found = [one for one in answers if one.level in (None, selection.level)]
        if answers and not found:
            raise InputError(f"{path.name!r} has no answers to {selection.level} texts")
        answers = found
    return PredictionFile(form, answers)


def _read(
    path: Path, truth: GroundTruth, selection: Selection
) -> tuple[PredictionForm, list[Answer]]:
    if path.suffix == LINES_SUFFIX:
        if not path.is_file():
            raise InputError(f"{str(path)!r} cannot be read: there is no such file")
        if has_folder_lines(path):
            about = Journal(path, PictureAnswer)
            return PredictionForm.JSONL, read_folder_lines(about, truth, path.name)
        lines = Journal(path, Prediction)
        return PredictionForm.JSONL, read_own_lines(lines, truth, path.name, selection)
    content = read_json(path)
    if isinstance(content, dict) and "annotations" in content:
        content = content["annotations"]
    if not isinstance(content, list):
        raise InputError(
            f"{path.name!r} is no list of COCO results or of SAM3-I's predictions",
            f"the lines of a comparison are called *{LINES_SUFFIX}",
        )
    if any(is_sam3i_entry(one) for one in content):
        return PredictionForm.SAM3I, read_sam3i_entries(content, truth, path.name)
    return PredictionForm.COCO, read_coco_results(content, truth, path.name)


def write_answers(
    answers: Sequence[Answer],
    truth: GroundTruth,
    form: PredictionForm,
    out: Path,
    *,
    route: str = "",
    level: InstructionLevel | None = None,
) -> None:
    """Write a prediction file.

    Args:
        answers: to write.
        truth: whose images they are about.
        form: of the file.
        out: the file; missing folders are made.
        route: what the answers are called in a comparison's lines; the file's name if empty.
        level: of the texts whose answers do not say it.

    Raises:
        InputError: the form needs levels that neither the answers nor the dataset say, or holds
            one level alone and the answers are to several.
        StorageError: it cannot be written.
    """
    try:
        text = _text(answers, truth, form, route or out.stem, level)
    except ValueError as error:
        raise InputError(
            f"an answer does not say which text it is to: {error}", "name its level with --level"
        ) from error
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, text)
    except OSError as error:
        raise StorageError(f"{str(out)!r} cannot be written: {error.strerror}") from error


def _text(
    answers: Sequence[Answer],
    truth: GroundTruth,
    form: PredictionForm,
    route: str,
    level: InstructionLevel | None,
) -> str:
    match form:
        case PredictionForm.COCO:
            texts = {(one.level, one.number) for one in answers}
            if len(texts) > 1:
                raise InputError(
                    "COCO results hold answers to one text of each image, these are to several",
                    "choose with --level",
                )
            return json.dumps(coco_results(answers, truth))
        case PredictionForm.SAM3I:
            return json.dumps(sam3i_entries(answers, truth, level))
        case PredictionForm.JSONL:
            lines = own_lines(answers, truth.images, route, level)
            return "".join(one.model_dump_json() + "\n" for one in lines)
