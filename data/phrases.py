"""Noun phrases for a scene: what is there, and hard negatives for what is not.

A hard negative names something near the scene's contents: one attribute changed, or the colour of
one object with the shape of another. They teach a model to say "nothing" (SAM 3, data engine).
"""

from dataclasses import dataclass, replace

import numpy as np

from sam3i_agent.data.kinds import SceneStyle
from sam3i_agent.data.rewording import FOREIGN_NOUNS
from sam3i_agent.data.scenes import (
    Colour,
    Combinations,
    Noun,
    Scene,
    SceneObject,
    Texture,
    is_withheld,
)

GENERIC_NOUNS = ("thing", "object", "shape")
_NEGATIVE_TRIES = 20
_FOREIGN_SHARE = 0.2
"""Of the negatives of everyday scenes: things that no scene shows."""
_IRREGULAR_PLURALS = {"leaf": "leaves", "fish": "fish"}


@dataclass(frozen=True)
class Concept:
    """Attributes that an object must have; None leaves one open."""

    shape: Noun | None = None
    colour: Colour | None = None
    texture: Texture | None = None
    foreign: str | None = None
    """A noun that names nothing in any scene, in place of `shape`."""

    def matches(self, item: SceneObject) -> bool:
        """Whether `item` has every attribute."""
        return (
            self.foreign is None
            and (self.shape is None or item.shape is self.shape)
            and (self.colour is None or item.colour is self.colour)
            and (self.texture is None or item.texture is self.texture)
        )

    def find(self, scene: Scene) -> tuple[int, ...]:
        """Return the indices into `scene.objects` of all that match."""
        return tuple(i for i, item in enumerate(scene.objects) if self.matches(item))

    def phrase(self, rng: np.random.Generator | None = None, *, plural: bool = False) -> str:
        """Put the concept in words; without `rng` in the plainest ones."""
        if self.foreign is not None:
            noun = self.foreign
        elif self.shape is not None:
            noun = str(self.shape)
        else:
            noun = GENERIC_NOUNS[0] if rng is None else str(rng.choice(GENERIC_NOUNS))
        words = [str(word) for word in (self.texture, self.colour) if word is not None]
        if rng is not None and rng.random() < 0.5:
            words.reverse()
        return " ".join([*words, plural_of(noun) if plural else noun])


@dataclass(frozen=True)
class ConceptTarget:
    """A phrase and the objects it names; none for a negative."""

    concept: Concept
    phrase: str
    indices: tuple[int, ...]


def plural_of(noun: str) -> str:
    """Return the plural of a scene noun."""
    return _IRREGULAR_PLURALS.get(noun) or noun + ("es" if noun.endswith("s") else "s")


def positive_concept(rng: np.random.Generator, item: SceneObject) -> Concept:
    """Return a concept that `item` matches, naming at least its shape or its colour."""
    form = rng.random()
    full = Concept(item.shape, item.colour, item.texture)
    if form < 0.45:
        return replace(full, texture=None)
    if form < 0.65:
        return replace(full, colour=None, texture=None)
    if form < 0.80:
        return replace(full, shape=None, texture=None)
    if form < 0.90:
        return replace(full, colour=None)
    return full


def negative_concept(
    rng: np.random.Generator, scene: Scene, combinations: Combinations = "trained"
) -> Concept | None:
    """Return a concept near the scene that matches nothing in it; None when none was found."""
    if scene.style is SceneStyle.EVERYDAY and rng.random() < _FOREIGN_SHARE:
        coloured = rng.random() < 0.5
        colour = Colour(rng.choice(list(Colour))) if coloured else None
        return Concept(colour=colour, foreign=str(rng.choice(FOREIGN_NOUNS)))
    for _ in range(_NEGATIVE_TRIES):
        concept = Concept(_any_noun(rng, scene), Colour(rng.choice(list(Colour))))
        if scene.objects:
            concept = positive_concept(rng, scene.objects[int(rng.integers(len(scene.objects)))])
            concept = _change_one(rng, scene, concept)
        withheld = is_withheld(concept.colour, concept.shape)
        if not concept.find(scene) and not (withheld and combinations == "trained"):
            return concept
    return None


def _any_noun(rng: np.random.Generator, scene: Scene) -> Noun:
    return scene.nouns[int(rng.choice(len(scene.nouns)))]


def _change_one(rng: np.random.Generator, scene: Scene, concept: Concept) -> Concept:
    """Change one named attribute, preferably to one that another object has."""
    other = scene.objects[int(rng.integers(len(scene.objects)))]
    from_other = rng.random() < 0.5
    named = [name for name in ("shape", "colour", "texture") if getattr(concept, name) is not None]
    match rng.choice(named):
        case "shape":
            shape = other.shape if from_other else _any_noun(rng, scene)
            return replace(concept, shape=shape)
        case "colour":
            colour = other.colour if from_other else Colour(rng.choice(list(Colour)))
            return replace(concept, colour=colour)
        case _:
            return replace(concept, texture=Texture(rng.choice(list(Texture))))


def draw_concepts(
    rng: np.random.Generator,
    scene: Scene,
    count: int,
    *,
    negative_share: float = 0.45,
    combinations: Combinations = "trained",
) -> list[ConceptTarget]:
    """Draw up to `count` different concepts for `scene`, positives and hard negatives mixed.

    Args:
        rng: source of chance.
        scene: what to talk about.
        count: how many to try; doubles and impossible negatives are left out.
        negative_share: probability that one is a negative.
        combinations: whether a negative may name a withheld colour-shape pair.
    """
    targets: dict[Concept, ConceptTarget] = {}
    for _ in range(count):
        concept: Concept | None = None
        if scene.objects and rng.random() >= negative_share:
            item = scene.objects[int(rng.integers(len(scene.objects)))]
            concept = positive_concept(rng, item)
        else:
            concept = negative_concept(rng, scene, combinations)
        if concept is None or concept in targets:
            continue
        indices = concept.find(scene)
        plural = rng.random() < (0.6 if len(indices) > 1 else 0.1)
        targets[concept] = ConceptTarget(concept, concept.phrase(rng, plural=plural), indices)
    return list(targets.values())
