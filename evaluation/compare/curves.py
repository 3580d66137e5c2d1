"""Curves of a comparison: the score's threshold, trust in presence, quality against cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sam3i_agent.evaluation.compare.scoring import HIT_IOU, Scored
from sam3i_agent.evaluation.compare.significance import PERCENT
from sam3i_agent.evaluation.compare.statistics import Comparison, Summary
from sam3i_agent.evaluation.metrics.concept_f1 import MIN_SCORE, ConceptCounts

_LEFT, _RIGHT, _TOP, _BOTTOM = 50.0, 390.0, 34.0, 230.0
"""Of a plot's frame, in the units of its drawing."""
_THRESHOLDS = tuple(np.round(np.arange(MIN_SCORE, 1.0, 0.05), 2).tolist())
_BINS = 10
_HEADROOM = 1.25
"""Of the axis of seconds."""


@dataclass(frozen=True)
class Line:
    """One route in a plot."""

    route: str
    number: int
    """Of the route, which chooses its colour."""
    points: list[tuple[float, float]]


@dataclass(frozen=True)
class Plot:
    """Where things lie in a drawing of 410 x 280."""

    title: str
    x_title: str
    y_title: str
    x_ticks: list[dict[str, Any]]
    y_ticks: list[dict[str, Any]]
    lines: list[Line]
    diagonal: bool = False
    """Whether a line shows where both axes agree."""


def curves(comparison: Comparison) -> list[Plot]:
    """Return the plots of thresholds and of calibration, over all levels."""
    routes: dict[str, list[Scored]] = {}
    for (_, route), some in comparison.answers.items():
        routes.setdefault(str(route), []).extend(some)
    by_threshold = {
        route: [(limit, PERCENT * _f1_from(some, limit)) for limit in _THRESHOLDS]
        for route, some in routes.items()
    }
    calibrated = {route: calibration(some) for route, some in routes.items()}
    return [
        _plot(
            "Threshold of the score", "score from", "F1 of instances, %", by_threshold, MIN_SCORE
        ),
        _plot("Presence", "presence said", "target there, %", calibrated, 0.0, diagonal=True),
    ]


def _f1_from(answers: Sequence[Scored], limit: float) -> float:
    """Return the micro F1 at IoU 0.5 over all cases, of predictions from a score on."""
    pairs = []
    for one in answers:
        kept = np.array([score for score in one.prediction.scores if score >= MIN_SCORE])
        pairs.append(one.instance_ious[kept >= limit])
    return ConceptCounts.of(pairs, (HIT_IOU,)).scores().f1


def calibration(answers: Sequence[Scored]) -> list[tuple[float, float]]:
    """Return, for each tenth of presence that was said, its mean and how often a target was there.

    The second is in percent.
    """
    return [(said, PERCENT * there) for said, there, _ in _tenths(answers)]


def calibration_error(answers: Sequence[Scored]) -> float:
    """Return by how many percent points presence misses how often a target is there, on average.

    The expected calibration error over tenths: 0 where what is said is as often true.
    """
    tenths = _tenths(answers)
    total = sum(count for _, _, count in tenths)
    return PERCENT * sum(abs(said - there) * count for said, there, count in tenths) / total


def _tenths(answers: Sequence[Scored]) -> list[tuple[float, float, int]]:
    """Return mean presence, share of targets that were there, and count, of each tenth used."""
    said = np.array([one.prediction.presence for one in answers])
    there = np.array([one.truths > 0 for one in answers])
    bins = np.minimum((said * _BINS).astype(int), _BINS - 1)
    return [
        (
            float(said[bins == one].mean()),
            float(there[bins == one].mean()),
            int((bins == one).sum()),
        )
        for one in np.unique(bins)
    ]


def _plot(
    title: str,
    x_title: str,
    y_title: str,
    values: dict[str, list[tuple[float, float]]],
    x_low: float,
    *,
    diagonal: bool = False,
) -> Plot:
    def x(value: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * (value - x_low) / (1 - x_low), 1)

    ticks = np.linspace(x_low, 1.0, 6)
    return Plot(
        title=title,
        x_title=x_title,
        y_title=y_title,
        x_ticks=[{"at": x(float(one)), "label": f"{one:.1f}"} for one in ticks],
        y_ticks=_percent_ticks(),
        lines=[
            Line(route, number, [(x(a), percent_y(b)) for a, b in points])
            for number, (route, points) in enumerate(values.items())
        ],
        diagonal=diagonal,
    )


def percent_y(percent: float) -> float:
    """Return the height of a value in percent."""
    return round(_BOTTOM - (_BOTTOM - _TOP) * percent / 100, 1)


def _percent_ticks() -> list[dict[str, Any]]:
    return [{"at": percent_y(value), "label": value} for value in range(0, 101, 20)]


def cost_plots(comparison: Comparison) -> list[dict[str, Any]]:
    """Return where the dots of quality against seconds lie, per level, on one axis for all.

    Empty where no answer says what it cost.
    """
    costly = {
        level: [one for one in some if one.costs] for level, some in comparison.by_level().items()
    }
    most = max((one.costs["seconds"] for some in costly.values() for one in some), default=0.0)
    return [_cost_plot(level, some, most) for level, some in costly.items() if some]


def _cost_plot(level: str, summaries: Sequence[Summary], most_seconds: float) -> dict[str, Any]:
    most = most_seconds * _HEADROOM or 1.0

    def x(seconds: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * seconds / most, 1)

    ordered = sorted(summaries, key=lambda one: one.costs["seconds"])
    return {
        "level": level,
        "x_ticks": [{"at": x(most * i / 4), "label": f"{most * i / 4:.2g}"} for i in range(5)],
        "y_ticks": _percent_ticks(),
        "dots": [
            {
                "x": x(one.costs["seconds"]),
                "y": percent_y(one.giou.value),
                "low": percent_y(one.giou.low),
                "high": percent_y(one.giou.high),
                "label": str(one.route),
                # Above and below in turn, so that neighbours' names do not meet.
                "label_y": percent_y(one.giou.high) - 8
                if index % 2
                else percent_y(one.giou.low) + 16,
            }
            for index, one in enumerate(ordered)
        ],
    }
