"""What is wrong with the entries of a prediction file, counted by kind."""

import math
from typing import Any

from sam3i_agent.core.contracts import CompressedMask
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.rle import as_rle, encode_segmentation
from sam3i_agent.evaluation.forms.answers import FoundMask
from sam3i_agent.evaluation.metrics.truth import GroundTruth

ENTRY_ERRORS = (KeyError, TypeError, ValueError, AttributeError)
"""What a reader meets where an entry lacks something or holds something else."""


class UnknownImageError(ValueError):
    """A prediction about no image of the ground truth."""


class ScoreError(ValueError):
    """A score that is no number."""


class Problems:
    """Collects what cannot be used, so that one message says all.

    Args:
        name: of the file.
        total: entries in it.
    """

    def __init__(self, name: str, total: int) -> None:
        self._name = name
        self._total = total
        self._kinds: dict[str, list[str]] = {}

    def add(self, index: int, error: Exception) -> None:
        """Note that entry `index` cannot be used."""
        words = f"no {error}" if isinstance(error, KeyError) else str(error)
        self._kinds.setdefault(_kind_of(error), []).append(f"number {index}: {words}")

    def raise_any(self) -> None:
        """Raise an error if something was noted.

        Raises:
            InputError: it counts the entries by kind and names the first of each.
        """
        if self._kinds:
            said = "; ".join(
                f"{len(some)} of {self._total} predictions {kind} (first: {some[0]})"
                for kind, some in self._kinds.items()
            )
            raise InputError(f"{self._name!r} cannot be scored: {said}")


def _kind_of(error: Exception) -> str:
    match error:
        case UnknownImageError():
            return "are about unknown images"
        case ScoreError():
            return "have no finite score"
        case _:
            return "cannot be read"


def known_image(image_id: Any, truth: GroundTruth) -> int:
    """Return the id of an image of the ground truth.

    Raises:
        UnknownImageError: it is none.
    """
    if image_id not in truth.images:
        raise UnknownImageError(f"image {image_id!r} is not in the ground truth")
    return image_id


def read_mask(segmentation: Any, score: Any, image_id: int, truth: GroundTruth) -> FoundMask:
    """Return a predicted mask of an image.

    Raises:
        ValueError: it is no mask, or of another size.
        ScoreError: the score is no number.
    """
    size = truth.size_hw(image_id)
    value = float(score)
    if not math.isfinite(value):
        raise ScoreError(f"image {image_id!r}, score {value}")
    if isinstance(segmentation, CompressedMask):
        segmentation = segmentation.model_dump()
    return FoundMask(as_rle(size, encode_segmentation(segmentation, *size)), value)
