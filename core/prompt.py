"""What the model is asked: a text, example boxes, or both; and clicks on one instance."""

from dataclasses import dataclass

from sam3i_agent.core.levels import InstructionLevel

VISUAL = "visual"
"""What the model reads where only boxes are given, as in the official predictor."""

SCORE_THRESHOLD = 0.5
"""Scores of instances are above it where nobody says otherwise, as in the official predictor."""


@dataclass(frozen=True)
class Exemplar:
    """A box around an example."""

    box_xyxy: tuple[float, float, float, float]
    """Pixels of the upright photo."""
    positive: bool = True
    """More like this, or not like this."""


@dataclass(frozen=True)
class Prompt:
    """A text and the level it is read at, with examples if there are any."""

    text: str
    """Empty where the exemplars say it all."""
    level: InstructionLevel = InstructionLevel.CONCEPT
    exemplars: tuple[Exemplar, ...] = ()
    min_score: float = SCORE_THRESHOLD
    """Instances with higher scores are returned, 0..1."""

    @property
    def words(self) -> str:
        """What the text encoder reads."""
        return self.text or VISUAL


@dataclass(frozen=True)
class Click:
    """A point on the instance, or on what does not belong to it."""

    point_xy: tuple[float, float]
    """Pixels of the upright photo."""
    positive: bool = True
