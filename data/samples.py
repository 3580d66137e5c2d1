"""What is asked about one picture: texts by level, and the objects they mean."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.data.complex_texts import draw_complex_instructions
from sam3i_agent.data.kinds import InstructionKind
from sam3i_agent.data.phrases import Concept, draw_concepts
from sam3i_agent.data.rewording import reword
from sam3i_agent.data.scenes import Scene
from sam3i_agent.data.simple_texts import draw_instructions

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
    kinds: dict[InstructionLevel, InstructionKind] = field(default_factory=dict)
    """What the texts take, of levels where it is known."""


def draw_pairs(rng: np.random.Generator, scene: Scene, count: int) -> list[Sample]:
    """Draw up to `count` targets that a simple and a complex instruction both mean.

    The concept of a sample is a noun phrase of its first object, with shape and colour; for absent
    targets it is the words of the simple instruction.
    """
    simple: dict[tuple[int, ...], list[tuple[str, InstructionKind | None]]] = {}
    for wish in draw_instructions(rng, scene, _POOL * count):
        simple.setdefault(wish.indices, []).append((wish.text, wish.kind))
    for concept in draw_concepts(rng, scene, count):
        if concept.indices:
            words = f"all {concept.phrase}" if len(concept.indices) > 1 else f"the {concept.phrase}"
            simple.setdefault(concept.indices, []).append((words, None))
    samples: list[Sample] = []
    for wish in draw_complex_instructions(rng, scene, 2 * count):
        partners = simple.get(wish.indices)
        if not partners or len(samples) == count:
            continue
        partner, partner_kind = partners.pop(int(rng.integers(len(partners))))
        texts = {
            InstructionLevel.CONCEPT: _concept_of(scene, wish.indices, partner),
            InstructionLevel.SIMPLE: reword(rng, scene, partner, InstructionLevel.SIMPLE),
            InstructionLevel.COMPLEX: reword(rng, scene, wish.text, InstructionLevel.COMPLEX),
        }
        kinds = {InstructionLevel.SIMPLE: partner_kind, InstructionLevel.COMPLEX: wish.kind}
        known = {level: kind for level, kind in kinds.items() if kind is not None}
        samples.append(Sample(texts, wish.indices, wish.granularity, kinds=known))
    return samples


def _concept_of(scene: Scene, indices: Sequence[int], otherwise: str) -> str:
    if not indices:
        return otherwise
    item = scene.objects[indices[0]]
    return Concept(item.shape, item.colour).phrase()
