"""Complex instructions about a scene: function, likeness, elimination, comparison.

None of them names its target: what is meant has to be worked out from what a thing does, what it
looks like, or how it stands to the others. As in `instructions`, each is drawn only where its
answer is clear by a margin.
"""

from dataclasses import dataclass

import numpy as np

from sam3i_agent.data.kinds import InstructionKind, SceneStyle
from sam3i_agent.data.scenes import (
    Colour,
    Noun,
    Scene,
    SceneObject,
    Shape,
    Texture,
)
from sam3i_agent.data.silhouettes import Thing
from sam3i_agent.data.simple_texts import (
    AREA_RATIO,
    MARGIN_PX,
    NOT_FAVOURED,
    Favoured,
    InstructionTarget,
    clear_order,
    granularity_of,
)

_ABSENT_SHARE = 0.6
"""How often a turn that found nothing in the scene is kept as a question without an answer."""
_TRIES = 12


@dataclass(frozen=True)
class Property:
    """Something true of objects of certain shapes, colours or textures, said without naming them.

    Exactly one of the three sets is given.
    """

    predicates: tuple[str, ...]
    """Each continues "something that"."""
    shapes: frozenset[Noun] = frozenset()
    colours: frozenset[Colour] = frozenset()
    textures: frozenset[Texture] = frozenset()

    @property
    def kind(self) -> str:
        """What it speaks of: shape, colour or texture."""
        return "shape" if self.shapes else "colour" if self.colours else "texture"

    def matches(self, item: SceneObject) -> bool:
        """Whether it is true of `item`."""
        return (
            item.shape in self.shapes
            or item.colour in self.colours
            or item.texture in self.textures
        )

    def find(self, scene: Scene) -> tuple[int, ...]:
        """Return the indices into `scene.objects` of all that it is true of."""
        return tuple(i for i, item in enumerate(scene.objects) if self.matches(item))


def _shapes(shapes: tuple[Noun, ...], *predicates: str) -> Property:
    return Property(predicates, shapes=frozenset(shapes))


def _colour(colour: Colour, *predicates: str) -> Property:
    return Property(predicates, colours=frozenset({colour}))


PROPERTIES: tuple[Property, ...] = (
    _shapes((Shape.CIRCLE, Shape.RING),
            "would roll down a slope", "could serve as a wheel", "rolls away when pushed"),
    _shapes((Shape.RING,), "fits on a finger", "has a hole to look through"),
    _shapes((Shape.ARROW,), "shows the way", "tells people where to go"),
    _shapes((Shape.CRESCENT,), "looks like the new moon", "looks like a banana"),
    _shapes((Shape.STAR, Shape.CRESCENT), "belongs in the night sky", "shines at night"),
    _shapes((Shape.STAR,), "goes on top of a christmas tree", "is given for top marks"),
    _shapes((Shape.HEART,), "stands for love", "belongs on a valentine card"),
    _shapes((Shape.CROSS,), "marks a first aid kit", "is the sign for adding numbers"),
    _shapes((Shape.SQUARE,), "could be a building block", "looks like a window pane"),
    _shapes((Shape.TRIANGLE,), "would make a roof for a house", "has just three corners"),
    _shapes((Shape.DIAMOND,), "flies like a kite", "looks like a cut gem"),
    _colour(Colour.RED, "would warn of danger", "has the colour of blood"),
    _colour(Colour.ORANGE, "has the colour of a carrot", "matches a pumpkin"),
    _colour(Colour.YELLOW, "has the colour of a lemon", "matches the sun"),
    _colour(Colour.GREEN, "has the colour of grass", "matches fresh leaves"),
    _colour(Colour.BLUE, "has the colour of the sea", "matches a clear sky"),
    _colour(Colour.PURPLE, "has the colour of a plum", "matches ripe grapes"),
    _colour(Colour.PINK, "has the colour of a flamingo", "matches bubble gum"),
    _colour(Colour.WHITE, "has the colour of snow", "matches milk"),
    _colour(Colour.BLACK, "has the colour of coal", "matches the night"),
    Property(("is patterned like a zebra", "has lines all over"),
             textures=frozenset({Texture.STRIPED})),
    Property(("is patterned like a ladybird", "has spots all over"),
             textures=frozenset({Texture.DOTTED})),
)  # fmt: skip

_THING_PROPERTIES: tuple[Property, ...] = (
    _shapes((Thing.CUP,), "holds hot coffee", "you drink tea from"),
    _shapes((Thing.BOTTLE,), "is closed with a cork", "keeps wine for years"),
    _shapes((Thing.CUP, Thing.BOTTLE), "can hold water", "helps against thirst"),
    _shapes((Thing.KEY,), "opens a lock", "you must not lose when the door is shut"),
    _shapes((Thing.LEAF,), "falls down in autumn", "a caterpillar would eat"),
    _shapes((Thing.FISH,), "lives under water", "breathes through gills"),
    _shapes((Thing.BIRD,), "lays eggs in a nest", "sings in the morning"),
    _shapes((Thing.CAT,), "purrs when stroked", "catches mice"),
    _shapes((Thing.FISH, Thing.BIRD, Thing.CAT), "is an animal", "needs to be fed"),
    _shapes((Thing.CAR,), "drives on the road", "needs petrol and a driver"),
    _shapes((Thing.BOAT,), "floats on a lake", "takes you across the water"),
    _shapes((Thing.CAR, Thing.BOAT), "carries people from place to place", "you can travel in"),
    _shapes((Thing.HOUSE,), "people live in", "has rooms and a door"),
    _shapes((Thing.UMBRELLA,), "keeps the rain off", "you open when it rains"),
    _shapes((Thing.CLOUD,), "brings rain", "drifts across the sky"),
    _shapes((Thing.TREE,), "grows tall in a forest", "has a trunk and branches"),
    _shapes((Thing.FLOWER,), "smells sweet in a garden", "bees visit for nectar"),
    _shapes((Thing.TREE, Thing.FLOWER, Thing.MUSHROOM), "grows out of the ground"),
    _shapes((Thing.MUSHROOM,), "may be poisonous", "pops up in damp woods"),
    _shapes((Thing.APPLE,), "is healthy to bite into", "can be pressed into juice"),
    _shapes((Thing.HAT,), "sits on a head", "shades your face"),
    _shapes((Thing.BOOT,), "protects a foot", "is worn in deep mud"),
    _shapes((Thing.SHIRT,), "has two sleeves", "you iron and button up"),
    _shapes((Thing.HAT, Thing.BOOT, Thing.SHIRT), "you can wear", "belongs in a wardrobe"),
    _shapes((Thing.SPOON,), "stirs soup", "you eat porridge with"),
    _shapes((Thing.HAMMER,), "drives nails into wood", "a carpenter swings"),
    _shapes((Thing.LAMP,), "gives light to read by", "needs a bulb"),
    _shapes((Thing.BELL,), "rings when swung", "calls people to church"),
    _shapes((Thing.CHAIR,), "you sit on", "offers a rest to tired legs"),
)  # fmt: skip
"""Of the things in everyday scenes, besides `PROPERTIES`."""


def properties_of(style: SceneStyle) -> tuple[Property, ...]:
    """Return what can be said of the objects of a style's scenes."""
    return PROPERTIES if style is SceneStyle.SHAPES else (*PROPERTIES, *_THING_PROPERTIES)


_ASKING = (
    "what {}?",
    "something that {}",
    "whatever {}",
    "anything that {}",
    "which of these {}?",
    "I need something that {}",
)
_SUBJECTS = frozenset({"you", "people", "bees", "a"})
"""First words of clauses that say who does something with the thing."""
_ASKING_WITH_SUBJECT = tuple(form for form in _ASKING if not form.endswith("{}?"))


def draw_complex_instructions(
    rng: np.random.Generator, scene: Scene, count: int, favoured: Favoured = NOT_FAVOURED
) -> list[InstructionTarget]:
    """Draw up to `count` different complex instructions about `scene`, some kinds more often."""
    makers = (
        _by_property, _by_property, _by_two_properties, _by_elimination, _by_room_taken,
        _by_place, _by_neighbour, _by_side_of, _by_oddness,
    )  # fmt: skip
    makers = [one for one in makers for _ in range(favoured.get(_KINDS[one], 1))]
    found: dict[str, InstructionTarget] = {}
    for _ in range(_TRIES * count):
        if len(found) == count or not scene.objects:
            break
        maker = makers[int(rng.integers(len(makers)))]
        target = maker(rng, scene)
        if target is None or (not target.indices and rng.random() > _ABSENT_SHARE):
            continue
        found.setdefault(target.text, target.of_kind(_KINDS[maker]))
    return list(found.values())


def _any_property(rng: np.random.Generator, scene: Scene) -> Property:
    """Draw a property: in half the turns of an object that is there."""
    known = properties_of(scene.style)
    if rng.random() < 0.5:
        item = scene.objects[int(rng.integers(len(scene.objects)))]
        true_of_it = [one for one in known if one.matches(item)]
        return true_of_it[int(rng.integers(len(true_of_it)))]
    return known[int(rng.integers(len(known)))]


def _say(rng: np.random.Generator, one: Property) -> str:
    return str(rng.choice(one.predicates))


def _ask(rng: np.random.Generator, clause: str) -> str:
    has_subject = clause.split()[0] in _SUBJECTS
    return str(rng.choice(_ASKING_WITH_SUBJECT if has_subject else _ASKING)).format(clause)


def _by_property(rng: np.random.Generator, scene: Scene) -> InstructionTarget | None:
    one = _any_property(rng, scene)
    indices = one.find(scene)
    text = _ask(rng, _say(rng, one))
    kind = InstructionKind.COLOUR if one.kind == "colour" else InstructionKind.FUNCTION
    return InstructionTarget(text, indices, granularity_of(indices, indices), kind)


def _by_two_properties(rng: np.random.Generator, scene: Scene) -> InstructionTarget | None:
    first, second = _any_property(rng, scene), _any_property(rng, scene)
    if first.kind == second.kind:
        return None
    firsts, seconds = first.find(scene), second.find(scene)
    indices = tuple(index for index in firsts if index in seconds)
    text = _ask(rng, f"{_say(rng, first)} and {_say(rng, second)}")
    return InstructionTarget(text, indices, granularity_of(indices, firsts))


def _by_elimination(rng: np.random.Generator, scene: Scene) -> InstructionTarget | None:
    one = _any_property(rng, scene)
    dropped = one.find(scene)
    chosen = tuple(i for i in range(len(scene.objects)) if i not in dropped)
    if not dropped or not chosen:
        return None
    forms = (
        "everything except what {}",
        "all that is left once you take away what {}",
        "the rest, after removing whatever {}",
    )
    text = str(rng.choice(forms)).format(_say(rng, one))
    return InstructionTarget(text, chosen, granularity_of(chosen, tuple(range(len(scene.objects)))))


def _by_room_taken(rng: np.random.Generator, scene: Scene) -> InstructionTarget | None:
    """Compare sizes, of all things or of those with a property."""
    one = _any_property(rng, scene) if rng.random() < 0.4 else None
    indices = tuple(range(len(scene.objects))) if one is None else one.find(scene)
    order = clear_order(
        scene, indices, lambda item: float(np.log(item.area)), float(np.log(AREA_RATIO))
    )
    if len(indices) < 2 or order is None:
        return None
    most = rng.random() < 0.5
    clauses = (
        ("takes up the most space", "could hide any of the others")
        if most
        else ("takes up the least space", "is the easiest to overlook")
    )
    clause = str(rng.choice(clauses))
    chosen = order[-1] if most else order[0]
    text = f"the one that {clause}"
    if one is not None:
        text = f"of all that {_say(rng, one)}, {text}"
    return InstructionTarget(text, (chosen,), "1to1")


_PLACES: tuple[tuple[int, int, tuple[str, str]], ...] = (
    (0, -1, ("the first one you meet when reading across", "what comes first, going rightwards")),
    (0, 1, ("the last one you meet when reading across", "what comes last, going rightwards")),
    (1, -1, ("the one that would fall the farthest", "what hangs highest")),
    (1, 1, ("the one closest to the ground", "what sits deepest")),
)
"""Axis, sign of the wanted end, wordings."""


def _by_place(rng: np.random.Generator, scene: Scene) -> InstructionTarget | None:
    axis, sign, wordings = _PLACES[int(rng.integers(len(_PLACES)))]
    indices = tuple(range(len(scene.objects)))
    order = clear_order(scene, indices, lambda item: sign * item.centre_xy[axis], MARGIN_PX)
    if len(indices) < 2 or order is None:
        return None
    return InstructionTarget(str(rng.choice(wordings)), (order[-1],), "1to1")


def _unnamed_anchor(rng: np.random.Generator, scene: Scene) -> tuple[str, int] | None:
    """Describe one object by something that is true of it alone."""
    one = _any_property(rng, scene)
    indices = one.find(scene)
    return (f"the thing that {_say(rng, one)}", indices[0]) if len(indices) == 1 else None


def _by_neighbour(rng: np.random.Generator, scene: Scene) -> InstructionTarget | None:
    anchor = _unnamed_anchor(rng, scene)
    if anchor is None or len(scene.objects) < 3:
        return None
    text, index = anchor
    place = np.array(scene.objects[index].centre_xy)
    others = tuple(i for i in range(len(scene.objects)) if i != index)
    order = clear_order(
        scene,
        others,
        lambda item: float(np.hypot(*(np.array(item.centre_xy) - place))),
        MARGIN_PX,
    )
    if order is None:
        return None
    forms = ("whatever is nearest to {}", "the closest neighbour of {}", "what keeps close to {}")
    return InstructionTarget(str(rng.choice(forms)).format(text), (order[0],), "1to1")


_SIDES: tuple[tuple[int, int, str], ...] = (
    (0, -1, "everything to the left of {}"),
    (0, 1, "everything to the right of {}"),
    (1, -1, "all that is above {}"),
    (1, 1, "all that is below {}"),
)


def _by_side_of(rng: np.random.Generator, scene: Scene) -> InstructionTarget | None:
    anchor = _unnamed_anchor(rng, scene)
    if anchor is None or len(scene.objects) < 2:
        return None
    text, index = anchor
    axis, sign, form = _SIDES[int(rng.integers(len(_SIDES)))]
    reference = scene.objects[index].centre_xy[axis]
    others = tuple(i for i in range(len(scene.objects)) if i != index)
    gaps = {i: sign * (scene.objects[i].centre_xy[axis] - reference) for i in others}
    if any(abs(gap) < MARGIN_PX for gap in gaps.values()):
        return None
    chosen = tuple(i for i, gap in gaps.items() if gap > 0)
    return InstructionTarget(form.format(text), chosen, granularity_of(chosen, others))


def _by_oddness(rng: np.random.Generator, scene: Scene) -> InstructionTarget | None:
    """Ask for the only one without a companion, where only shape or only colour tells it apart."""
    if len(scene.objects) < 3:
        return None
    loners = {
        index for attribute in ("shape", "colour") for index in _without_companion(scene, attribute)
    }
    if len(loners) != 1:
        return None
    forms = (
        "the odd one out",
        "which one does not belong with the others?",
        "the one that does not fit in",
    )
    return InstructionTarget(str(rng.choice(forms)), (loners.pop(),), "1to1")


def _without_companion(scene: Scene, attribute: str) -> list[int]:
    """Return the one object that differs where all others share a value; else nothing."""
    values = [getattr(item, attribute) for item in scene.objects]
    counts = {value: values.count(value) for value in values}
    if len(counts) != 2 or 1 not in counts.values():
        return []
    return [index for index, value in enumerate(values) if counts[value] == 1]


_KINDS = {
    _by_property: InstructionKind.FUNCTION,
    _by_two_properties: InstructionKind.FUNCTION,
    _by_elimination: InstructionKind.EXCEPTION,
    _by_room_taken: InstructionKind.SIZE,
    _by_place: InstructionKind.ORDER,
    _by_neighbour: InstructionKind.RELATION,
    _by_side_of: InstructionKind.RELATION,
    _by_oddness: InstructionKind.EXCEPTION,
}
