"""A photo that the model has seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput

from sam3i_agent.core.instances import Instances
from sam3i_agent.core.prompt import Prompt

Answer = Callable[[Sam3VisionEncoderOutput, tuple[int, int], Sequence[Prompt]], list[Instances]]
"""Answers prompts about features, given the photo's size."""


@dataclass(frozen=True)
class Sam3Image:
    """The features of one photo, computed once, that answer any number of prompts."""

    answer: Answer
    vision: Sam3VisionEncoderOutput
    size_hw: tuple[int, int]
    """Of the photo, in pixels."""
    encodings: int = 1
    """Passes through the encoder that it took."""

    @property
    def nbytes(self) -> int:
        """Bytes of the features."""
        vision = self.vision
        maps = (*vision.fpn_hidden_states, *vision.fpn_position_encoding, vision.last_hidden_state)
        return sum(one.nbytes for one in maps if one is not None)

    def segment(self, prompts: Sequence[Prompt]) -> list[Instances]:
        """Return the instances of each prompt; see `segmenter.EncodedImage`."""
        return self.answer(self.vision, self.size_hw, prompts)
