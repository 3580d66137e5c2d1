"""What a generated scene shows and a text means, and which candidates are of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam3i_agent.agent.candidates import Candidate
from sam3i_agent.agent.language.side import View
from sam3i_agent.core.masks import Masks, mask_ious

RIGHT_IOU = 0.5
"""A mask that overlaps an object more shows it."""


@dataclass(frozen=True)
class KnownObject:
    """An object of a scene, and its words from the most exact to the plainest."""

    words: tuple[str, ...]
    counts: str
    """COCO's compressed counts of its mask."""


@dataclass(frozen=True)
class Truth:
    """What a scene shows, and which of it an instruction means."""

    objects: tuple[KnownObject, ...]
    targets: tuple[int, ...]
    """Positions among the objects; none where what is asked for is absent."""
    vocabulary: tuple[str, ...]
    """Phrases for things of this kind of scene, to err with."""
    plan: tuple[Mapping[str, Any], ...] = ()
    """Parts of the plan (`agent.planner.worded.PlanPart`) that the words alone give; none where
    they give none."""

    def overlaps(self, candidates: Sequence[Candidate], view: View) -> NDArray[np.float64]:
        """Return (objects, candidates) mask IoUs."""
        size = view.photo.size_hw
        return mask_ious(
            Masks(size, (one.counts for one in self.objects)),
            Masks(size, (one.counts for one in candidates)),
        )

    def is_right(self, one: Candidate, view: View) -> bool:
        """Whether a candidate shows a target."""
        targets = np.array(self.targets, dtype=np.intp)
        return bool((self.overlaps([one], view)[targets] >= RIGHT_IOU).any())

    def best_masks(self, view: View) -> list[int]:
        """Return the number of the best mask of each target that has one."""
        overlaps = self.overlaps(view.candidates, view)
        return [
            int(overlaps[target].argmax()) + 1
            for target in self.targets
            if overlaps.shape[1] and overlaps[target].max() >= RIGHT_IOU
        ]

    def unmatched_targets(self, view: View) -> tuple[int, ...]:
        """Return the targets that no candidate shows."""
        overlaps = self.overlaps(view.candidates, view)
        return tuple(
            target
            for target in self.targets
            if not overlaps.shape[1] or overlaps[target].max() < RIGHT_IOU
        )

    def unmatched(self, view: View) -> list[str]:
        """Return their words."""
        return [self.objects[one].words[0] for one in self.unmatched_targets(view)]
