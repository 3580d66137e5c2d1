"""Choosing the level by asking at all of them.

Asking at L levels costs one batch of L rows over one image encoding; the answer of the level
that is surest wins. Slower than reading the level off the words (`classify_level`), and useful
where the words mislead.

Measured on generated scenes with a first head, it was worse than the words (cgF1@0.5 of 39.5
against 64.9 on noun phrases): a level that was trained on few absent objects is too sure of
itself. Hence it is a choice and not the default.
"""

from collections.abc import Mapping

from sam3i_agent.segmodel.instances import Instances
from sam3i_agent.segmodel.levels import InstructionLevel


def certainty(found: Instances) -> float:
    """Return how sure an answer is that it found what was asked for, 0..1.

    Presence times the mean score: scores already contain presence once, which favours answers
    whose every instance is good. Nothing found is 0.
    """
    return found.presence * float(found.scores.mean()) if len(found) else 0.0


def surest_level(answers: Mapping[InstructionLevel, Instances]) -> InstructionLevel:
    """Return the level with the highest certainty; where nothing was found, the most present.

    Args:
        answers: by level, not empty; ties go to the level that comes first.
    """
    return max(answers, key=lambda level: (certainty(answers[level]), answers[level].presence))
