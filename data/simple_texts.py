"""Simple instructions about a scene: attribute, position, size, relation, exception.

Each is drawn only where its answer is clear by a margin, so a near tie never becomes a wrong label.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from sam3i_agent.data.kinds import InstructionKind
from sam3i_agent.data.phrases import Concept, negative_concept, plural_of
from sam3i_agent.data.scenes import CANVAS_SIZE, Colour, Noun, Scene, SceneObject

Favoured = Mapping[InstructionKind, int]
"""How many times as many turns as others the texts of a kind get."""
NOT_FAVOURED: Favoured = {}

Granularity = Literal["1to1", "1toN", "1toAll"]

MARGIN_PX = 0.06 * CANVAS_SIZE
"""Centres that are compared differ at least by this."""
AREA_RATIO = 1.3
"""Areas that are compared differ at least by this factor."""
_ABSENT_SHARE = 0.3
"""How often a turn to ask for something absent is taken."""
_TRIES = 12


@dataclass(frozen=True)
class InstructionTarget:
    """An instruction and the objects it means; none where nothing fits it."""

    text: str
    indices: tuple[int, ...]
    granularity: Granularity
    kind: InstructionKind | None = None
    """None where the way it was drawn says it."""

    def of_kind(self, kind: InstructionKind) -> "InstructionTarget":
        """Return it with a kind: absent where nothing fits, its own if it has one, else `kind`."""
        return replace(self, kind=(self.kind or kind) if self.indices else InstructionKind.ABSENT)


def draw_instructions(
    rng: np.random.Generator, scene: Scene, count: int, favoured: Favoured = NOT_FAVOURED
) -> list[InstructionTarget]:
    """Draw up to `count` different simple instructions about `scene`, some kinds more often."""
    makers = (
        _by_end, _by_size, _by_relation, _by_distance, _by_exception, _by_side, _of_the_absent,
    )  # fmt: skip
    makers = [one for one in makers for _ in range(favoured.get(_KINDS[one], 1))]
    found: dict[str, InstructionTarget] = {}
    for _ in range(_TRIES * count):
        if len(found) == count or not scene.objects:
            break
        maker = makers[int(rng.integers(len(makers)))]
        target = maker(rng, scene)
        if target is not None:
            found.setdefault(target.text, target.of_kind(_KINDS[maker]))
    return list(found.values())


def _group(rng: np.random.Generator, scene: Scene) -> tuple[Concept, tuple[int, ...]]:
    """Draw a concept that names one object or more, without texture."""
    item = scene.objects[int(rng.integers(len(scene.objects)))]
    form = rng.random()
    shape: Noun | None = item.shape if form < 0.75 else None
    colour: Colour | None = item.colour if form > 0.35 else None
    concept = Concept(shape, colour)
    return concept, concept.find(scene)


def clear_order(
    scene: Scene, indices: tuple[int, ...], key: Callable[[SceneObject], float], gap: float
) -> list[int] | None:
    """Sort by `key` upwards; None where neighbours are closer than `gap`."""
    order = sorted(indices, key=lambda index: key(scene.objects[index]))
    values = [key(scene.objects[index]) for index in order]
    clear = all(b - a >= gap for a, b in pairwise(values))
    return order if clear else None


def _by_end(rng: np.random.Generator, scene: Scene) -> InstructionTarget | None:
    concept, indices = _group(rng, scene)
    if len(indices) < 2:
        return None
    end = str(rng.choice(["left", "right", "top", "bottom"]))
    axis = 0 if end in ("left", "right") else 1
    order = clear_order(scene, indices, lambda item: item.centre_xy[axis], MARGIN_PX)
    if order is None:
        return None
    if end in ("right", "bottom"):
        order.reverse()
    noun = concept.phrase(rng)
    if len(order) > 2 and rng.random() < 0.35:
        return InstructionTarget(f"the second {noun} from the {end}", (order[1],), "1to1")
    words = {"left": "leftmost", "right": "rightmost", "top": "topmost", "bottom": "lowest"}
    forms = (f"the {words[end]} {noun}", f"the first {noun} from the {end}")
    return InstructionTarget(str(rng.choice(forms)), (order[0],), "1to1")


def _by_size(rng: np.random.Generator, scene: Scene) -> InstructionTarget | None:
    concept, indices = _group(rng, scene)
    order = clear_order(
        scene, indices, lambda item: float(np.log(item.area)), float(np.log(AREA_RATIO))
    )
    if len(indices) < 2 or order is None:
        return None
    largest = rng.random() < 0.5
    if len(indices) == 2 and rng.random() < 0.5:
        word = "larger" if largest else "smaller"
    else:
        word = str(rng.choice(["largest", "biggest"])) if largest else "smallest"
    chosen = order[-1] if largest else order[0]
    return InstructionTarget(f"the {word} {concept.phrase(rng)}", (chosen,), "1to1")


_SIDES: dict[str, tuple[int, int]] = {
    "to the left of": (0, -1),
    "left of": (0, -1),
    "to the right of": (0, 1),
    "right of": (0, 1),
    "above": (1, -1),
    "below": (1, 1),
    "under": (1, 1),
}
"""Wording to (axis, sign of target minus anchor)."""


def _anchor(rng: np.random.Generator, scene: Scene, target: Concept) -> tuple[str, int] | None:
    """Draw a phrase that names one object, which `target` does not name."""
    index = int(rng.integers(len(scene.objects)))
    item = scene.objects[index]
    colour = item.colour if rng.random() < 0.6 else None
    concept = Concept(item.shape, colour)
    if target.matches(item) or len(concept.find(scene)) != 1:
        return None
    return concept.phrase(rng), index


def _by_relation(rng: np.random.Generator, scene: Scene) -> InstructionTarget | None:
    concept, indices = _group(rng, scene)
    anchor = _anchor(rng, scene, concept)
    if anchor is None:
        return None
    words = str(rng.choice(list(_SIDES)))
    axis, sign = _SIDES[words]
    reference = scene.objects[anchor[1]].centre_xy[axis]
    gaps = {i: sign * (scene.objects[i].centre_xy[axis] - reference) for i in indices}
    if any(abs(gap) < MARGIN_PX for gap in gaps.values()):
        return None
    chosen = tuple(index for index, gap in gaps.items() if gap > 0)
    noun = concept.phrase(rng, plural=len(chosen) > 1)
    link = str(rng.choice(["", "that is "])) if len(chosen) == 1 else ""
    determiner = "the" if len(chosen) <= 1 else str(rng.choice(["the", "all", "all the"]))
    if not chosen and rng.random() < 0.6:
        return None  # a relation that nothing satisfies is a hard negative, but not too often
    text = f"{determiner} {noun} {link}{words} the {anchor[0]}"
    return InstructionTarget(text, chosen, granularity_of(chosen, indices))


def _by_distance(rng: np.random.Generator, scene: Scene) -> InstructionTarget | None:
    concept, indices = _group(rng, scene)
    anchor = _anchor(rng, scene, concept)
    if anchor is None or len(indices) < 2:
        return None
    place = np.array(scene.objects[anchor[1]].centre_xy)
    order = clear_order(
        scene,
        indices,
        lambda item: float(np.hypot(*(np.array(item.centre_xy) - place))),
        2 * MARGIN_PX,
    )
    if order is None:
        return None
    near = rng.random() < 0.65
    words = str(rng.choice(["nearest to", "closest to"])) if near else "farthest from"
    text = f"the {concept.phrase(rng)} {words} the {anchor[0]}"
    return InstructionTarget(text, (order[0] if near else order[-1],), "1to1")


def _by_exception(rng: np.random.Generator, scene: Scene) -> InstructionTarget | None:
    item = scene.objects[int(rng.integers(len(scene.objects)))]
    concept = Concept(shape=item.shape)
    indices = concept.find(scene)
    dropped = Concept(item.shape, item.colour).find(scene)
    chosen = tuple(index for index in indices if index not in dropped)
    if not chosen:
        return None
    nouns = plural_of(str(item.shape))
    ones = "ones" if len(dropped) > 1 else "one"
    forms = (
        f"all {nouns} except the {item.colour} {ones}",
        f"the {nouns} that are not {item.colour}",
        f"every {item.shape} but the {item.colour} {ones}",
    )
    return InstructionTarget(str(rng.choice(forms)), chosen, granularity_of(chosen, indices))


def _by_side(rng: np.random.Generator, scene: Scene) -> InstructionTarget | None:
    concept, indices = _group(rng, scene)
    side = str(rng.choice(["left", "right", "top", "bottom"]))
    axis, sign = (0 if side in ("left", "right") else 1), (-1 if side in ("left", "top") else 1)
    gaps = {i: sign * (scene.objects[i].centre_xy[axis] - CANVAS_SIZE / 2) for i in indices}
    chosen = tuple(index for index, gap in gaps.items() if gap > 0)
    if not chosen or any(abs(gap) < MARGIN_PX for gap in gaps.values()):
        return None
    noun = concept.phrase(rng, plural=len(chosen) > 1)
    where = {"left": "on the left side", "right": "on the right side"}.get(side, f"at the {side}")
    return InstructionTarget(f"the {noun} {where}", chosen, granularity_of(chosen, indices))


def _of_the_absent(rng: np.random.Generator, scene: Scene) -> InstructionTarget | None:
    """Ask for something near the scene's contents that is not there."""
    concept = negative_concept(rng, scene)
    # The other makers often find nothing to say and this one never does.
    if concept is None or rng.random() > _ABSENT_SHARE:
        return None
    noun = concept.phrase(rng)
    anchor = _anchor(rng, scene, concept)
    forms = [f"the leftmost {noun}", f"the largest {noun}", f"the {noun} on the right side"]
    if anchor is not None:
        forms += [f"the {noun} left of the {anchor[0]}", f"the {noun} nearest to the {anchor[0]}"]
    return InstructionTarget(str(rng.choice(forms)), (), "1to1")


def granularity_of(chosen: tuple[int, ...], group: tuple[int, ...]) -> Granularity:
    """Name how much of `group`, all that the words could mean, is chosen."""
    if len(chosen) == len(group) and len(chosen) > 1:
        return "1toAll"
    return "1to1" if len(chosen) <= 1 else "1toN"


_KINDS = {
    _by_end: InstructionKind.ORDER,
    _by_size: InstructionKind.SIZE,
    _by_relation: InstructionKind.RELATION,
    _by_distance: InstructionKind.RELATION,
    _by_exception: InstructionKind.EXCEPTION,
    _by_side: InstructionKind.POSITION,
    _of_the_absent: InstructionKind.ABSENT,
}
