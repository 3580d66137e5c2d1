"""Candidate instances of the noun phrases of one run.

They stay outside the graph's state: the state names them by id, the store holds the pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sam3i_agent.core.instances import Instances
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks, mask_ious

HEAD_KEYS = {level: f"<{level}>" for level in InstructionLevel}
"""Keys of what the direct route found for the whole instruction, by the level it was read at."""


@dataclass(frozen=True)
class Candidate:
    """One instance that the model found for a noun phrase, or for the whole instruction."""

    key: str
    """What the phrase that found it stands for (`ProposedPhrase.key`), or one of `HEAD_KEYS`."""
    masks: Masks
    """One, not empty."""
    box_xyxy: tuple[float, float, float, float]
    """Pixels."""
    score: float

    @property
    def by_head(self) -> bool:
        """Whether the whole instruction found it, not a noun phrase."""
        return self.key in HEAD_KEYS.values()

    @property
    def found_by(self) -> str:
        """By what, in words for a model."""
        return "a head that reads the whole request" if self.by_head else f'"{self.key}"'

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W), decoded each time."""
        return self.masks[0]

    @property
    def counts(self) -> str:
        """COCO's compressed counts of the mask."""
        return self.masks.counts[0]

    @cached_property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(self.masks.areas[0])

    @property
    def centre_xy(self) -> tuple[float, float]:
        """Centre of the box, in pixels."""
        x0, y0, x1, y1 = self.box_xyxy
        return (x0 + x1) / 2, (y0 + y1) / 2


def candidates_of(key: str, instances: Instances) -> list[Candidate]:
    """Return the instances found under `key` that have any pixel, best first."""
    return [
        Candidate(key, instances.masks[[index]], (x0, y0, x1, y1), score)
        for index, ((x0, y0, x1, y1), score, area) in enumerate(
            zip(
                instances.boxes_xyxy.tolist(),
                instances.scores.tolist(),
                instances.masks.areas.tolist(),
                strict=True,
            )
        )
        if area
    ]


def mask_iou(a: Candidate, b: Candidate) -> float:
    """Return the intersection over union of two masks, 0..1."""
    return float(mask_ious(a.masks, b.masks)[0, 0])


def doubles_of(candidates: Sequence[Candidate], max_iou: float) -> frozenset[int]:
    """Return the positions of candidates that overlap an earlier one by more than `max_iou`.

    Only candidates that are no doubles themselves have any.
    """
    if not candidates:
        return frozenset()
    masks = Masks(candidates[0].masks.size_hw, (one.counts for one in candidates))
    ious = mask_ious(masks, masks)
    kept: list[int] = []
    for position in range(len(candidates)):
        if (ious[position, kept] <= max_iou).all():
            kept.append(position)
    return frozenset(range(len(candidates))) - frozenset(kept)


def without_doubles(candidates: Sequence[Candidate], max_iou: float) -> list[Candidate]:
    """Drop each candidate that overlaps a better-scored one by more than `max_iou`."""
    best_first = sorted(candidates, key=lambda candidate: -candidate.score)
    doubles = doubles_of(best_first, max_iou)
    return [one for i, one in enumerate(best_first) if i not in doubles]
