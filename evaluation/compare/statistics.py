"""What predictions say: scores per case, means with intervals, paired differences."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sam3i_agent.core.contracts import RunStatus
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.rle import as_rle, iou_matrix
from sam3i_agent.evaluation.compare.cases import Case, Prediction
from sam3i_agent.evaluation.metrics.concept_f1 import MIN_SCORE, concept_f1, match_ious
from sam3i_agent.evaluation.metrics.overlaps import iou_of_pixels, overlap_without

HIT_IOU = 0.5
BOOTSTRAP_ROUNDS = 2000
_ROUNDS_AT_ONCE = 20
_SEED = 20_26
_PERCENTILES = (2.5, 97.5)
PERCENT = 100.0


class Failure(StrEnum):
    """Why an answer is wrong, the first that applies."""

    BUDGET = "budget"
    """The budget was used up."""
    FAILED = "not answered"
    """The route could not work on the text."""
    NOTHING = "nothing found"
    FALSE_ALARM = "found though absent"
    WRONG_INSTANCE = "wrong instance"
    TOO_MANY = "too many"
    TOO_FEW = "too few"
    BOUNDARY = "poor boundary"
    """The right instances, covered badly."""


@dataclass(frozen=True)
class Scored:
    """One answer against its truth."""

    case: Case
    prediction: Prediction
    iou: float
    """Of the united masks; 1 for a right nothing."""
    shared: int
    union: int
    """Pixels."""
    instance_ious: NDArray[np.float64]
    """(predictions, truths)."""
    failure: Failure | None

    @property
    def truths(self) -> int:
        """Annotated instances."""
        return self.instance_ious.shape[1]


def score_answers(cases: Sequence[Case], predictions: Iterable[Prediction]) -> list[Scored]:
    """Score every prediction whose case is known."""
    by_id = {case.id: case for case in cases}
    return [_score(by_id[one.case], one) for one in predictions if one.case in by_id]


def _score(case: Case, prediction: Prediction) -> Scored:
    size = (case.record.height, case.record.width)
    wanted = [as_rle(size, counts) for counts in case.record.encoded_masks]
    ignored = [as_rle(size, counts) for counts in case.record.encoded_ignored]
    found = [
        as_rle(size, mask.counts)
        for mask, score in zip(prediction.masks, prediction.scores, strict=True)
        if score >= MIN_SCORE
    ]
    shared, union = overlap_without(found, wanted, ignored)
    ious = iou_matrix(found, wanted)
    iou = iou_of_pixels(shared, union, empty=1.0)
    failure = _failure(prediction, iou, ious)
    return Scored(case, prediction, iou, shared, union, ious, failure)


def _failure(prediction: Prediction, iou: float, ious: NDArray[np.float64]) -> Failure | None:
    found, wanted = ious.shape
    hits = int((match_ious(ious) >= HIT_IOU).sum()) if ious.size else 0
    if iou >= HIT_IOU and (hits == found == wanted or iou == 1.0):
        return None
    if prediction.status is RunStatus.BUDGET_EXHAUSTED:
        return Failure.BUDGET
    if prediction.status is RunStatus.FAILED:
        return Failure.FAILED
    if not found:
        return Failure.NOTHING
    if not wanted:
        return Failure.FALSE_ALARM
    touched = int((ious.max(axis=0) > 0.1).sum())
    if hits == 0:
        return Failure.BOUNDARY if touched == wanted == found else Failure.WRONG_INSTANCE
    if found > wanted:
        return Failure.TOO_MANY
    return Failure.TOO_FEW if found < wanted else Failure.WRONG_INSTANCE


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % bootstrap interval over images."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Route minus other route, on the same cases."""

    route: str
    other: str
    giou: Interval

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.giou.low > 0 or self.giou.high < 0


@dataclass(frozen=True)
class Summary:
    """A route on the cases of one level; percentages but for counts, seconds and the MAE."""

    route: str
    level: str
    cases: int
    metrics: dict[str, float]
    giou: Interval
    costs: dict[str, float]
    """Means per case."""
    failures: dict[str, int]


@dataclass(frozen=True)
class Comparison:
    """All numbers of a comparison, and the answers they come from."""

    summaries: list[Summary]
    differences: list[tuple[str, Difference]]
    """With the level they are about."""
    answers: dict[tuple[str, str], list[Scored]]
    """By level and route."""

    def summary(self, level: InstructionLevel, route: str) -> Summary:
        """Return the numbers of a route on the texts of a level.

        Raises:
            KeyError: it answered none.
        """
        found = {(one.level, one.route): one for one in self.summaries}
        return found[level, route]


def compare_answers(cases: Sequence[Case], predictions: Iterable[Prediction]) -> Comparison:
    """Score predictions and compare routes level by level.

    Raises:
        InputError: there is nothing to compare.
    """
    answers: dict[tuple[str, str], list[Scored]] = {}
    for one in score_answers(cases, predictions):
        answers.setdefault((str(one.case.level), one.prediction.route), []).append(one)
    if not answers:
        raise InputError("there are no predictions to report on")
    summaries = [summarise_route(route, level, some) for (level, route), some in answers.items()]
    differences: list[tuple[str, Difference]] = []
    for level in dict.fromkeys(level for level, _ in answers):
        routes = {route: some for (its, route), some in answers.items() if its == level}
        for other, route in combinations(routes, 2):
            differences.append((level, difference(route, other, routes)))
    return Comparison(summaries, differences, answers)


def summarise_route(route: str, level: str, answers: Sequence[Scored]) -> Summary:
    """Reduce a route's answers to numbers."""
    ious = np.array([one.iou for one in answers])
    pairs = [one.instance_ious for one in answers]
    absent = [one for one in answers if not one.truths]
    counts = np.array([one.instance_ious.shape[0] - one.truths for one in answers])
    loose, full = concept_f1(pairs, (HIT_IOU,)), concept_f1(pairs)
    shared, union = sum(one.shared for one in answers), sum(one.union for one in answers)
    metrics = {
        "gIoU": PERCENT * float(ious.mean()),
        "cIoU": PERCENT * shared / union if union else 0.0,
        "P@0.50": PERCENT * float((ious >= HIT_IOU).mean()),
        "cgF1": PERCENT * full.cgf1,
        "cgF1@0.5": PERCENT * loose.cgf1,
        "positive_micro_F1@0.5": PERCENT * loose.positive_micro_f1,
        "IL_MCC": PERCENT * loose.il_mcc,
        "count accuracy": PERCENT * float((counts == 0).mean()),
        "count MAE": float(np.abs(counts).mean()),
    }
    if absent:
        right = [one.instance_ious.shape[0] == 0 for one in absent]
        metrics["right nothing"] = PERCENT * float(np.mean(right))
    usages = [one.prediction.usage for one in answers]
    costs = {
        name: float(np.mean([getattr(usage, name) for usage in usages]))
        for name in ("seconds", "image_encodings", "prompts", "mllm_calls", "tokens", "rounds")
    }
    names = [one.failure for one in answers if one.failure is not None]
    return Summary(
        route=route,
        level=level,
        cases=len(answers),
        metrics=metrics,
        giou=_interval(_by_image(answers, ious)),
        costs=costs,
        failures={str(name): names.count(name) for name in Failure if name in names},
    )


def difference(route: str, other: str, answers: Mapping[str, Sequence[Scored]]) -> Difference:
    """Compare two routes on the cases that both answered."""
    theirs = {one.case.id: one.iou for one in answers[other]}
    both = [one for one in answers[route] if one.case.id in theirs]
    gaps = np.array([one.iou - theirs[one.case.id] for one in both])
    return Difference(route, other, _interval(_by_image(both, gaps)))


def _by_image(answers: Sequence[Scored], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (images, 2): the sum of each image's values and how many there are."""
    index: dict[str, int] = {}
    rows = [index.setdefault(one.case.record.file_name, len(index)) for one in answers]
    table = np.zeros((len(index), 2))
    np.add.at(table, rows, np.stack([values, np.ones_like(values)], axis=1))
    return table


def _interval(table: NDArray[np.float64]) -> Interval:
    """Resample images, since the cases of one image are no independent draws."""
    rng = np.random.default_rng(_SEED)
    total = table.sum(axis=0)
    # Some rounds at a time: all draws for many images would fill the memory.
    sums = np.concatenate(
        [
            table[rng.integers(len(table), size=(_ROUNDS_AT_ONCE, len(table)))].sum(axis=1)
            for _ in range(BOOTSTRAP_ROUNDS // _ROUNDS_AT_ONCE)
        ]
    )
    low, high = np.percentile(sums[:, 0] / sums[:, 1], _PERCENTILES)
    return Interval(
        PERCENT * float(total[0] / total[1]), PERCENT * float(low), PERCENT * float(high)
    )
