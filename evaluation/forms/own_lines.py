"""The lines of a comparison: one JSON object per case and route."""

from collections.abc import Iterable, Mapping, Sequence

from sam3i_agent.core.contracts import CompressedMask, RunStatus, Usage
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.data.records import Record
from sam3i_agent.evaluation.compare.cases import Prediction, case_id, parse_case_id
from sam3i_agent.evaluation.forms.answers import Answer, Selection, by_image
from sam3i_agent.evaluation.forms.problems import ENTRY_ERRORS, Problems, known_image, read_mask
from sam3i_agent.evaluation.forms.sam3i_entries import only_level
from sam3i_agent.evaluation.metrics.truth import GroundTruth


def read_own_lines(
    lines: Iterable[Prediction], truth: GroundTruth, name: str, selection: Selection
) -> list[Answer]:
    """Return the answers of one route.

    Args:
        lines: of a comparison.
        truth: whose images they are about.
        name: of the file.
        selection: whose `route` may be left out where there is one alone.

    Raises:
        InputError: it has answers of several routes, or none of the one asked for; or some cannot
            be used.
    """
    every = list(lines)
    routes = dict.fromkeys(one.route for one in every)
    route = selection.route or (next(iter(routes)) if len(routes) == 1 else None)
    if route not in routes:
        asked = f"no answers of {route!r}" if route else "answers of several routes"
        raise InputError(
            f"{name!r} has {asked}", f"name one with --route: {', '.join(routes) or 'it is empty'}"
        )
    chosen = [one for one in every if one.route == route]
    answers: list[Answer] = []
    problems = Problems(name, len(chosen))
    for index, one in enumerate(chosen):
        try:
            answers.append(answer_of(one, truth))
        except ENTRY_ERRORS as error:
            problems.add(index, error)
    problems.raise_any()
    return answers


def answer_of(prediction: Prediction, truth: GroundTruth) -> Answer:
    """Return a prediction as an answer.

    Raises:
        ValueError: its case or a mask is none of the ground truth's.
    """
    record, level = parse_case_id(prediction.case)
    image_id = known_image(record, truth)
    pairs = zip(prediction.masks, prediction.scores, strict=True)
    masks = tuple(read_mask(mask, score, image_id, truth) for mask, score in pairs)
    return Answer(image_id, masks, level=level)


def own_lines(
    answers: Sequence[Answer],
    records: Mapping[int, Record],
    route: str,
    level: InstructionLevel | None = None,
) -> list[Prediction]:
    """Return answers as lines of a comparison, each to the first text of its level.

    Args:
        answers: to texts; those to further texts of a level are no cases, and left out.
        records: by id.
        route: what the answers are called there.
        level: of the texts whose answers do not say it.

    Raises:
        ValueError: an answer does not say its level, and its image has texts of several.
    """
    return [
        _line(one, route, one.level or level or only_level(records[one.image_id].texts))
        for one in by_image(answers)
        if one.number == 0
    ]


def _line(answer: Answer, route: str, level: InstructionLevel) -> Prediction:
    scores = [one.score for one in answer.masks]
    return Prediction(
        case=case_id(answer.image_id, level),
        route=route,
        status=RunStatus.SELECTED if answer.masks else RunStatus.NO_TARGET,
        answered_by=route,
        presence=max(scores, default=0.0),
        scores=scores,
        masks=[
            CompressedMask(size=tuple(one.rle["size"]), counts=one.rle["counts"].decode())
            for one in answer.masks
        ],
        usage=Usage(),
        trace=[],
        warnings=[],
    )
