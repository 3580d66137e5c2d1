"""What the model found for a prompt or for clicks, in the photo's pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sam3i_agent.core.masks import Masks


@dataclass(frozen=True)
class Instances:
    """N instances and how sure the model is that the prompt's concept is there at all."""

    masks: Masks
    """N of H x W pixels."""
    boxes_xyxy: NDArray[np.float32]
    """(N, 4), pixels of the upright photo, inside it."""
    scores: NDArray[np.float32]
    """(N,), probabilities, highest first."""
    presence: float
    """Probability 0..1 that at least one instance exists."""

    def __post_init__(self) -> None:
        """Check that the parts belong together."""
        counts = (len(self.masks), len(self.boxes_xyxy), len(self.scores))
        if len(set(counts)) != 1 or self.boxes_xyxy.shape[1:] != (4,):
            raise ValueError(
                f"instances need N masks, boxes (N, 4) and scores (N,), got "
                f"{self.masks.shape}, {self.boxes_xyxy.shape}, {self.scores.shape}"
            )

    def __len__(self) -> int:
        """Return the number of instances."""
        return len(self.scores)


@dataclass(frozen=True)
class ClickMasks:
    """The masks that clicks may mean: a click on a wheel may mean the wheel, or the car."""

    masks: Masks
    """The surest first; 3, or 1 where one was asked for."""
    scores: NDArray[np.float32]
    """(M,), the IoU that the model expects of each, 0..1."""
    presence: float
    """Probability that there is an object at all."""
