"""Candidate instances of the noun phrases of one run.

They stay outside the graph's state: the state names them by id, the store holds the pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sam3i_agent.segmodel.instances import Instances


@dataclass(frozen=True)
class Candidate:
    """One instance that the model found for a noun phrase."""

    phrase: str
    mask: NDArray[np.bool_]
    """(H, W), not empty."""
    box_xyxy: tuple[float, float, float, float]
    """Pixels."""
    score: float

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(self.mask.sum())

    @property
    def centre_xy(self) -> tuple[float, float]:
        """Centre of the box, in pixels."""
        x0, y0, x1, y1 = self.box_xyxy
        return (x0 + x1) / 2, (y0 + y1) / 2


def candidates_of(phrase: str, instances: Instances) -> list[Candidate]:
    """Return the instances of `phrase` that have any pixel, best first."""
    return [
        Candidate(phrase, mask, (x0, y0, x1, y1), score)
        for mask, (x0, y0, x1, y1), score in zip(
            instances.masks, instances.boxes_xyxy.tolist(), instances.scores.tolist(), strict=True
        )
        if mask.any()
    ]


def mask_iou(a: Candidate, b: Candidate) -> float:
    """Return the intersection over union of two masks, 0..1."""
    union = np.logical_or(a.mask, b.mask).sum()
    return float(np.logical_and(a.mask, b.mask).sum() / union)


def without_doubles(candidates: list[Candidate], max_iou: float) -> list[Candidate]:
    """Drop each candidate that overlaps a better-scored one by more than `max_iou`."""
    kept: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda one: -one.score):
        if all(mask_iou(candidate, better) <= max_iou for better in kept):
            kept.append(candidate)
    return kept
