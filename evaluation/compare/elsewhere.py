"""Predictions from elsewhere, as a further route of a comparison."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from sam3i_agent.core.contracts import RouteChoice
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.journal import Journal
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.data.records import Record
from sam3i_agent.evaluation.compare.cases import Case, Prediction
from sam3i_agent.evaluation.forms.answers import Answer
from sam3i_agent.evaluation.forms.files import LINES_SUFFIX, read_answers
from sam3i_agent.evaluation.forms.form import PredictionForm
from sam3i_agent.evaluation.forms.own_lines import own_lines
from sam3i_agent.evaluation.metrics.truth import GroundTruth

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def parse_prediction_files(texts: Sequence[str]) -> dict[str, Path]:
    """Read `NAME=FILE` arguments.

    Raises:
        InputError: one is not of that form, its name is a route's or no plain word, or is given
            twice.
    """
    files: dict[str, Path] = {}
    for text in texts:
        name, _, path = text.partition("=")
        if not path or not _NAME.fullmatch(name):
            raise InputError(
                f"--predictions takes NAME=FILE, not {text!r}", "a name of letters and digits"
            )
        if name in files or name in tuple(RouteChoice):
            raise InputError(f"there is a route called {name!r} already", "choose another name")
        files[name] = Path(path)
    return files


def read_elsewhere(name: str, path: Path, cases: Sequence[Case]) -> list[Prediction]:
    """Return what a file answers to the cases.

    Args:
        name: what the answers are called in the comparison.
        path: a file of any form of `evaluation.forms`; COCO results answer all cases (an image
            without any was answered with nothing), the others those that they name.
        cases: what is asked; answers to other texts are left out.

    Raises:
        InputError: the file cannot be used, answers no case, or does not say which level's texts
            it answers where the cases have several.
    """
    if path.suffix == LINES_SUFFIX:
        predictions = _lines(name, path)
    else:
        predictions = _answers(name, path, cases)
    known = {case.id for case in cases}
    found = {one.case: one for one in predictions if one.case in known}
    if not found:
        raise InputError(f"{path.name!r} answers no case of the comparison")
    if missing := len(known) - len(found):
        logger.warning("%s does not answer %d of %d cases", path.name, missing, len(known))
    return [found[case.id] for case in cases if case.id in found]


def _lines(name: str, path: Path) -> list[Prediction]:
    """Read the lines of another comparison, with what the answers cost."""
    if not path.is_file():
        raise InputError(f"{str(path)!r} cannot be read: there is no such file")
    every = list(Journal(path, Prediction))
    routes = dict.fromkeys(one.route for one in every)
    if name not in routes and len(routes) > 1:
        raise InputError(
            f"{path.name!r} has answers of several routes",
            f"call yours as one of them: {', '.join(routes)}",
        )
    wanted = name if name in routes else next(iter(routes), name)
    return [one.model_copy(update={"route": name}) for one in every if one.route == wanted]


def _answers(name: str, path: Path, cases: Sequence[Case]) -> list[Prediction]:
    records: dict[int, Record] = {case.record.id: case.record for case in cases}
    file = read_answers(path, GroundTruth.of(list(records.values())))
    level = _level_of(path, file.answers, cases)
    answers = file.answers
    if file.form is PredictionForm.COCO:
        answered = {one.image_id for one in answers}
        answers = answers + [Answer(id_, ()) for id_ in records if id_ not in answered]
    return own_lines(answers, records, name, level)


def _level_of(
    path: Path, answers: Sequence[Answer], cases: Sequence[Case]
) -> InstructionLevel | None:
    """Return the level of the answers that do not say theirs; None where all do."""
    levels = dict.fromkeys(case.level for case in cases)
    if len(levels) == 1:
        return next(iter(levels))
    if all(one.level is not None for one in answers) and answers:
        return None
    raise InputError(
        f"{path.name!r} does not say which of the {' and '.join(levels)} texts it answers",
        "compare one level at a time: --levels",
    )
