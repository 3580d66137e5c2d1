"""A photo that the model has seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput

from sam3i_agent.core.instances import Instances
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.segmodel.postprocessing import SCORE_THRESHOLD

Answer = Callable[
    [Sam3VisionEncoderOutput, tuple[int, int], Sequence[Prompt], float], list[Instances]
]
"""Answers prompts about features, given the photo's size and the least score."""


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

    def segment(
        self, prompts: Sequence[Prompt], score_threshold: float = SCORE_THRESHOLD
    ) -> list[Instances]:
        """Return the instances of each prompt; see `segmenter.EncodedImage`.

        Args:
            prompts: any number; different levels may be mixed.
            score_threshold: scores must be above it, 0..1.
        """
        return self.answer(self.vision, self.size_hw, prompts, score_threshold)
