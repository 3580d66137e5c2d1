"""What is asked about one picture: texts by level, and the objects they mean."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sam3i_agent.segmodel.levels import InstructionLevel
from sam3i_agent.training.corrections import draw_corrections
from sam3i_agent.training.instructions import draw_instructions
from sam3i_agent.training.phrases import Concept, draw_concepts
from sam3i_agent.training.reasoning import draw_complex_instructions
from sam3i_agent.training.scenes import Scene
from sam3i_agent.training.stages import Stage

_POOL = 6
"""Simple instructions drawn per wanted pair; most complex targets find a partner among them."""


@dataclass(frozen=True)
class Sample:
    """One target set of a picture and the texts that mean it."""

    texts: dict[InstructionLevel, str]
    indices: tuple[int, ...]
    """Of the picture's objects; none where the texts ask for something absent."""
    granularity: str = "1to1"
    examples: tuple[tuple[int, bool], ...] = ()
    """Objects pointed out by a box, and whether each is a positive example."""


def draw_samples(rng: np.random.Generator, scene: Scene, stage: Stage, count: int) -> list[Sample]:
    """Draw up to `count` samples for a training step of `stage`."""
    match stage:
        case Stage.CONCEPT:
            return [
                Sample({InstructionLevel.CONCEPT: target.phrase}, target.indices)
                for target in draw_concepts(rng, scene, count)
            ]
        case Stage.EXEMPLARS:
            return [
                Sample({InstructionLevel.CONCEPT: one.phrase}, one.indices, examples=one.examples)
                for one in draw_corrections(rng, scene, count)
            ]
        case Stage.SIMPLE:
            wishes = draw_instructions(rng, scene, count)
            return [
                Sample({InstructionLevel.SIMPLE: wish.text}, wish.indices, wish.granularity)
                for wish in wishes
            ]
        case Stage.COMPLEX:
            wishes = draw_complex_instructions(rng, scene, count)
            return [
                Sample({InstructionLevel.COMPLEX: wish.text}, wish.indices, wish.granularity)
                for wish in wishes
            ]
        case Stage.ALIGN:
            return draw_pairs(rng, scene, count)


def draw_pairs(rng: np.random.Generator, scene: Scene, count: int) -> list[Sample]:
    """Draw up to `count` targets that a simple and a complex instruction both mean.

    The concept of a sample is a noun phrase of its first object, with shape and colour; for absent
    targets it is the words of the simple instruction.
    """
    simple: dict[tuple[int, ...], list[str]] = {}
    for wish in draw_instructions(rng, scene, _POOL * count):
        simple.setdefault(wish.indices, []).append(wish.text)
    for concept in draw_concepts(rng, scene, count):
        if concept.indices:
            words = f"all {concept.phrase}" if len(concept.indices) > 1 else f"the {concept.phrase}"
            simple.setdefault(concept.indices, []).append(words)
    samples: list[Sample] = []
    for wish in draw_complex_instructions(rng, scene, 2 * count):
        partners = simple.get(wish.indices)
        if not partners or len(samples) == count:
            continue
        partner = partners.pop(int(rng.integers(len(partners))))
        texts = {
            InstructionLevel.CONCEPT: _concept_of(scene, wish.indices, partner),
            InstructionLevel.SIMPLE: partner,
            InstructionLevel.COMPLEX: wish.text,
        }
        samples.append(Sample(texts, wish.indices, wish.granularity))
    return samples


def _concept_of(scene: Scene, indices: Sequence[int], otherwise: str) -> str:
    if not indices:
        return otherwise
    item = scene.objects[indices[0]]
    return Concept(item.shape, item.colour).phrase()
