"""How sure a number or a difference is: bootstrap over images, Holm's correction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sam3i_agent.evaluation.compare.scoring import Scored

BOOTSTRAP_ROUNDS = 2000
_ROUNDS_AT_ONCE = 20
BOOTSTRAP_SEED = 20_26
_PERCENTILES = (2.5, 97.5)
PERCENT = 100.0
SIGNIFICANCE = 0.05
"""Corrected p-values below it count as evidence."""


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % bootstrap interval over images."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Route minus other route, on the same cases; in percent."""

    route: str
    other: str
    cases: int
    """That both answered."""
    giou: Interval
    p: float
    """Two-sided, of no difference, from the same resampling as the interval."""
    p_corrected: float = 1.0
    """By Holm's method, over all differences of a comparison."""

    @property
    def significant(self) -> bool:
        """Whether the corrected p-value is small enough to count as evidence."""
        return self.p_corrected < SIGNIFICANCE


def interval(answers: Sequence[Scored], values: NDArray[np.float64]) -> Interval:
    """Return the mean of a value per answer, with its interval."""
    return interval_of(_by_image(answers, values))


def difference(
    route: str, other: str, ours: Sequence[Scored], theirs: Sequence[Scored]
) -> Difference:
    """Compare two routes on the cases that both answered; the p-value is not corrected yet."""
    by_case = {one.case.id: one.iou for one in theirs}
    both = [one for one in ours if one.case.id in by_case]
    if not both:
        return Difference(route, other, 0, Interval(0.0, 0.0, 0.0), 1.0)
    gaps = np.array([one.iou - by_case[one.case.id] for one in both])
    table = _by_image(both, gaps)
    means = _resampled_means(table)
    below, above = (means <= 0).sum(), (means >= 0).sum()
    p = min(1.0, 2 * (min(int(below), int(above)) + 1) / (len(means) + 1))
    return Difference(route, other, len(both), _interval(table, means), p)


def holm(values: Iterable[float]) -> list[float]:
    """Return p-values corrected for how many there are, in their order."""
    given = list(values)
    corrected = [1.0] * len(given)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(given)), key=given.__getitem__)):
        largest = max(largest, min(1.0, (len(given) - rank) * given[index]))
        corrected[index] = largest
    return corrected


def interval_of(table: NDArray[np.float64]) -> Interval:
    """Return the mean of all values, in percent, with its interval.

    Args:
        table: (images, 2), the sum of each image's values and how many there are.
    """
    return _interval(table, _resampled_means(table))


def _interval(table: NDArray[np.float64], means: NDArray[np.float64]) -> Interval:
    total = table.sum(axis=0)
    low, high = np.percentile(means, _PERCENTILES)
    return Interval(
        PERCENT * float(total[0] / total[1]), PERCENT * float(low), PERCENT * float(high)
    )


def _by_image(answers: Sequence[Scored], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (images, 2): the sum of each image's values and how many there are."""
    index: dict[str, int] = {}
    rows = [index.setdefault(one.case.record.file_name, len(index)) for one in answers]
    table = np.zeros((len(index), 2))
    np.add.at(table, rows, np.stack([values, np.ones_like(values)], axis=1))
    return table


def _resampled_means(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Resample images, since the cases of one image are no independent draws."""
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    # Some rounds at a time: all draws for many images would fill the memory.
    sums = np.concatenate(
        [
            table[rng.integers(len(table), size=(_ROUNDS_AT_ONCE, len(table)))].sum(axis=1)
            for _ in range(BOOTSTRAP_ROUNDS // _ROUNDS_AT_ONCE)
        ]
    )
    return sums[:, 0] / sums[:, 1]
