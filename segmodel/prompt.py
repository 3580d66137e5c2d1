"""A text prompt."""

from dataclasses import dataclass

from sam3i_agent.segmodel.levels import InstructionLevel


@dataclass(frozen=True)
class Prompt:
    """A text and the level it is read at."""

    text: str
    level: InstructionLevel = InstructionLevel.CONCEPT
