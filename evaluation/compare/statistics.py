"""What predictions say together: numbers per route and level, over all levels, and by kind."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from sam3i_agent.core.contracts import Usage
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.evaluation.compare.cases import Case, Prediction
from sam3i_agent.evaluation.compare.scoring import HIT_IOU, Failure, Scored, score_answers
from sam3i_agent.evaluation.compare.significance import (
    PERCENT,
    Difference,
    Interval,
    difference,
    holm,
    interval,
)
from sam3i_agent.evaluation.metrics.coco_ap import coco_metrics
from sam3i_agent.evaluation.metrics.concept_f1 import ConceptCounts
from sam3i_agent.evaluation.metrics.truth import GroundTruth

ALL_LEVELS = "all"
PRECISION_LIMITS = (0.5, 0.6, 0.7, 0.8, 0.9)
NEAR = 1.0
"""Points of gIoU within which a cheaper way will do."""
COSTS = ("seconds", "image_encodings", "prompts", "mllm_calls", "tokens", "pictures", "rounds")


@dataclass(frozen=True)
class Summary:
    """A route on the cases of one level; percentages but for counts, seconds and the MAE."""

    route: str
    level: str
    """`ALL_LEVELS` for all of them together."""
    cases: int
    metrics: dict[str, float]
    giou: Interval
    costs: dict[str, float]
    """Means per case; empty where the answers do not say what they cost."""
    failures: dict[str, int]


@dataclass(frozen=True)
class KindSummary:
    """A route on the texts of one kind, of all levels; in percent."""

    kind: str
    route: str
    cases: int
    giou: Interval
    precision: float
    """P@0.50."""
    costs: dict[str, float]
    """Means per case; empty where the answers do not say what they cost."""


@dataclass(frozen=True)
class BestWay:
    """Which route is best on the texts of one kind."""

    kind: str
    cases: int
    route: str
    giou: float
    """Percent."""
    cheaper: str
    """A route that is within `NEAR` of it and asks fewer questions; empty where there is none."""


@dataclass(frozen=True)
class Comparison:
    """All numbers of a comparison, and the answers they come from."""

    summaries: list[Summary]
    """Per level and route."""
    overall: list[Summary]
    """Per route, over all levels; empty where there is one level."""
    differences: list[tuple[str, Difference]]
    """With the level they are about."""
    overall_differences: list[Difference]
    kinds: list[KindSummary]
    """Empty where the dataset says no kinds."""
    answers: dict[tuple[str, str], list[Scored]]
    """By level and route."""

    def summary(self, level: InstructionLevel, route: str) -> Summary:
        """Return the numbers of a route on the texts of a level.

        Raises:
            KeyError: it answered none.
        """
        found = {(one.level, one.route): one for one in self.summaries}
        return found[level, route]

    def by_level(self) -> dict[str, list[Summary]]:
        """Return the routes' numbers of each level, and of all together last."""
        levels: dict[str, list[Summary]] = {}
        for one in [*self.summaries, *self.overall]:
            levels.setdefault(one.level, []).append(one)
        return levels


def compare_answers(cases: Sequence[Case], predictions: Iterable[Prediction]) -> Comparison:
    """Score predictions and compare routes level by level, and over all levels.

    Raises:
        InputError: there is nothing to compare.
    """
    answers: dict[tuple[str, str], list[Scored]] = {}
    by_route: dict[str, list[Scored]] = {}
    for one in score_answers(cases, predictions):
        answers.setdefault((str(one.case.level), one.prediction.route), []).append(one)
        by_route.setdefault(one.prediction.route, []).append(one)
    if not answers:
        raise InputError("there are no predictions to report on")
    levels = list(dict.fromkeys(level for level, _ in answers))
    several = len(levels) > 1
    found = [
        (level, one)
        for level in levels
        for one in _differences(
            {route: some for (its, route), some in answers.items() if its == level}
        )
    ]
    over_all = _differences(by_route) if several else []
    corrected = holm(one.p for one in [*(one for _, one in found), *over_all])
    final = [replace(one, p_corrected=p) for (_, one), p in zip(found, corrected, strict=False)]
    return Comparison(
        summaries=[summarise_route(route, level, some) for (level, route), some in answers.items()],
        overall=[summarise_route(route, ALL_LEVELS, some) for route, some in by_route.items()]
        if several
        else [],
        differences=[(level, one) for (level, _), one in zip(found, final, strict=True)],
        overall_differences=[
            replace(one, p_corrected=p)
            for one, p in zip(over_all, corrected[len(found) :], strict=True)
        ],
        kinds=_by_kind(by_route),
        answers=answers,
    )


def _differences(routes: dict[str, list[Scored]]) -> list[Difference]:
    return [
        difference(route, other, routes[route], routes[other])
        for other, route in combinations(routes, 2)
    ]


def summarise_route(route: str, level: str, answers: Sequence[Scored]) -> Summary:
    """Reduce a route's answers to numbers."""
    ious = np.array([one.iou for one in answers])
    names = [one.failure for one in answers if one.failure is not None]
    return Summary(
        route=str(route),
        level=level,
        cases=len(answers),
        metrics=_metrics(answers),
        giou=interval(answers, ious),
        costs=_mean_costs(answers),
        failures={str(name): names.count(name) for name in Failure if name in names},
    )


def _mean_costs(answers: Sequence[Scored]) -> dict[str, float]:
    usages = [one.prediction.usage for one in answers]
    if all(usage == Usage() for usage in usages):
        return {}
    return {name: float(np.mean([getattr(usage, name) for usage in usages])) for name in COSTS}


def best_ways(kinds: Sequence[KindSummary]) -> list[BestWay]:
    """Return by kind of instruction the route with the highest gIoU, and a cheaper one as good.

    Only routes that answered all cases of a kind are compared.
    """
    by_kind: dict[str, list[KindSummary]] = {}
    for one in kinds:
        by_kind.setdefault(one.kind, []).append(one)
    return [_best_way(by_kind[kind]) for kind in sorted(by_kind)]


def _best_way(routes: Sequence[KindSummary]) -> BestWay:
    most = max(one.cases for one in routes)
    full = [one for one in routes if one.cases == most]
    best = max(full, key=lambda one: one.giou.value)
    near = [
        one
        for one in full
        if one.giou.value >= best.giou.value - NEAR and _price(one) < _price(best)
    ]
    cheapest = min(near, key=_price, default=None)
    return BestWay(
        best.kind, most, best.route, best.giou.value, "" if cheapest is None else cheapest.route
    )


def _price(one: KindSummary) -> tuple[float, float]:
    """Return questions and seconds; a route that does not say what it costs is no bargain."""
    return one.costs.get("mllm_calls", np.inf), one.costs.get("seconds", np.inf)


def _metrics(answers: Sequence[Scored]) -> dict[str, float]:
    ious = np.array([one.iou for one in answers])
    absent = [one for one in answers if not one.truths]
    gaps = np.array([one.instance_ious.shape[0] - one.truths for one in answers])
    concepts = ConceptCounts.of(one.instance_ious for one in answers)
    full, loose, tight = (concepts.scores(limit) for limit in (None, HIT_IOU, 0.75))
    shared, union = sum(one.shared for one in answers), sum(one.union for one in answers)
    metrics = {
        "gIoU": PERCENT * float(ious.mean()),
        "gIoU by text": PERCENT * _macro_over_texts(answers),
        "cIoU": PERCENT * shared / union if union else 0.0,
        **{f"P@{limit:.2f}": PERCENT * float((ious >= limit).mean()) for limit in PRECISION_LIMITS},
        "cgF1": PERCENT * full.cgf1,
        "cgF1@0.5": PERCENT * loose.cgf1,
        "cgF1@0.75": PERCENT * tight.cgf1,
        "positive_micro_F1": PERCENT * full.positive_micro_f1,
        "positive_micro_F1@0.5": PERCENT * loose.positive_micro_f1,
        "IL_MCC": PERCENT * full.il_mcc,
        **_average_precision(answers),
        "count accuracy": PERCENT * float((gaps == 0).mean()),
        "count MAE": float(np.abs(gaps).mean()),
    }
    if absent:
        right = [one.instance_ious.shape[0] == 0 for one in absent]
        metrics["right nothing"] = PERCENT * float(np.mean(right))
    return metrics


def _macro_over_texts(answers: Sequence[Scored]) -> float:
    """Return the mean IoU where each wording counts once, however many photos it is asked about."""
    texts: dict[str, list[float]] = {}
    for one in answers:
        texts.setdefault(one.case.text, []).append(one.iou)
    return float(np.mean([np.mean(some) for some in texts.values()]))


def _average_precision(answers: Sequence[Scored]) -> dict[str, float]:
    """Return AP and AR over the cases, each an image of its own; empty where all are absent."""
    if not any(one.truths for one in answers):
        return {}
    truths = {
        number: GroundTruth.of([one.case.record]).masks[one.case.record.id]
        for number, one in enumerate(answers)
    }
    found = [
        (number, rle, score) for number, one in enumerate(answers) for rle, score in one.found()
    ]
    return coco_metrics(truths, found)


def _by_kind(routes: dict[str, list[Scored]]) -> list[KindSummary]:
    summaries: list[KindSummary] = []
    for route, answers in routes.items():
        kinds: dict[str, list[Scored]] = {}
        for one in answers:
            if kind := one.case.record.kinds.get(one.case.level):
                kinds.setdefault(kind, []).append(one)
        for kind, some in sorted(kinds.items()):
            ious = np.array([one.iou for one in some])
            precision = PERCENT * float((ious >= HIT_IOU).mean())
            spread, costs = interval(some, ious), _mean_costs(some)
            summaries.append(KindSummary(kind, route, len(some), spread, precision, costs))
    return summaries
