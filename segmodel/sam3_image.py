"""A photo that the model has seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sam3i_agent.core.instances import Instances
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.segmodel.network.photo_features import PhotoFeatures

Answer = Callable[[PhotoFeatures, tuple[int, int], Sequence[Prompt]], list[Instances]]
"""Answers prompts about features, given the photo's size."""


@dataclass(frozen=True)
class Sam3Image:
    """The features of one photo, computed once, that answer any number of prompts."""

    answer: Answer
    features: PhotoFeatures
    size_hw: tuple[int, int]
    """Of the photo, in pixels."""
    encodings: int = 1
    """Passes through the encoder that it took."""

    @property
    def nbytes(self) -> int:
        """Bytes of the features."""
        return self.features.nbytes

    def segment(self, prompts: Sequence[Prompt]) -> list[Instances]:
        """Return the instances of each prompt; see `segmenter.EncodedImage`."""
        return self.answer(self.features, self.size_hw, prompts)
