"""What is asked by example boxes: more like this, not like this, with a phrase or without.

Two objects are alike when their shapes and colours are the same.
"""

from dataclasses import dataclass

import numpy as np

from sam3i_agent.core.prompt import VISUAL
from sam3i_agent.data.phrases import Concept, draw_concepts
from sam3i_agent.data.scenes import Colour, Noun, Scene, SceneObject

_WITHOUT_WORDS = 0.6
"""Share of prompts that are boxes alone."""
_SECOND_BOX = 0.35
_PLURAL = 0.5
_REJECTED = 0.65
"""Share of phrases of which one kind is rejected, where a phrase can name several."""


@dataclass(frozen=True)
class Correction:
    """A phrase or "visual", objects pointed out by boxes, and the objects that are meant."""

    phrase: str
    examples: tuple[tuple[int, bool], ...]
    """Index of an object, and whether it is a positive example."""
    indices: tuple[int, ...]


def draw_corrections(rng: np.random.Generator, scene: Scene, count: int) -> list[Correction]:
    """Draw up to `count` prompts with example boxes for `scene`."""
    if not scene.objects:
        return []
    return [
        _by_boxes(rng, scene) if rng.random() < _WITHOUT_WORDS else _by_phrase(rng, scene)
        for _ in range(count)
    ]


def _by_boxes(rng: np.random.Generator, scene: Scene) -> Correction:
    """Ask for all objects like one or two; sometimes another kind is rejected as well."""
    first = int(rng.integers(len(scene.objects)))
    wanted = _alike(scene, first)
    others = [i for i in range(len(scene.objects)) if i not in wanted]
    examples = [(first, True)]
    if len(wanted) > 1 and rng.random() < _SECOND_BOX:
        examples.append((int(rng.choice([i for i in wanted if i != first])), True))
    if others and rng.random() < _SECOND_BOX:
        examples.append((int(rng.choice(others)), False))
    return Correction(VISUAL, tuple(examples), wanted)


def _by_phrase(rng: np.random.Generator, scene: Scene) -> Correction:
    """Ask for what a phrase names, confirmed by a box, or without the kind that a box rejects."""
    if rng.random() < _REJECTED:
        broad = [one for one in _broad_concepts(scene) if _kinds(scene, one.find(scene)) > 1]
        if broad:
            concept = broad[int(rng.integers(len(broad)))]
            named = concept.find(scene)
            rejected = int(rng.choice(named))
            left = tuple(i for i in named if i not in _alike(scene, rejected))
            phrase = concept.phrase(rng, plural=rng.random() < _PLURAL)
            return Correction(phrase, ((rejected, False),), left)
    targets = draw_concepts(rng, scene, 1, negative_share=0)
    if not targets:
        return _by_boxes(rng, scene)
    target = targets[0]
    others = [i for i in range(len(scene.objects)) if i not in target.indices]
    if others and rng.random() < _SECOND_BOX:
        return Correction(target.phrase, ((int(rng.choice(others)), False),), target.indices)
    confirmed = int(rng.choice(target.indices))
    return Correction(target.phrase, ((confirmed, True),), target.indices)


def _broad_concepts(scene: Scene) -> list[Concept]:
    """Return the shapes and the colours in a scene, each as a concept of its own."""
    shapes = dict.fromkeys(item.shape for item in scene.objects)
    colours = dict.fromkeys(item.colour for item in scene.objects)
    return [Concept(shape=one) for one in shapes] + [Concept(colour=one) for one in colours]


def _alike(scene: Scene, index: int) -> tuple[int, ...]:
    wanted = _kind(scene.objects[index])
    return tuple(i for i, item in enumerate(scene.objects) if _kind(item) == wanted)


def _kinds(scene: Scene, indices: tuple[int, ...]) -> int:
    return len({_kind(scene.objects[i]) for i in indices})


def _kind(item: SceneObject) -> tuple[Noun, Colour]:
    return item.shape, item.colour
