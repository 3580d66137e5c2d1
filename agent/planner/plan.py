"""What an instruction asks for, as the offline planner understands it."""

from enum import StrEnum
from typing import Literal

from sam3i_agent.core.contracts import Frozen


class Axis(StrEnum):
    """A direction from the far end of which instances are counted."""

    LEFT = "left"
    RIGHT = "right"
    TOP = "top"
    BOTTOM = "bottom"


class Relation(StrEnum):
    """How a target lies to an anchor; each is read on mask boxes or masks."""

    LEFT_OF = "left of"
    RIGHT_OF = "right of"
    ABOVE = "above"
    BELOW = "below"
    INSIDE = "inside"
    NEAREST = "nearest to"
    FARTHEST = "farthest from"
    NEXT_TO = "next to"
    TOUCHING = "touching"


class NounPhrase(Frozen):
    """A concept prompt and what its words say about colour."""

    text: str
    """As sent to the model: modifiers and a singular noun."""
    head: str
    """Its noun alone."""
    colour: str | None = None


class RankBySize(Frozen):
    """A rank by area: `largest`, `second smallest`."""

    kind: Literal["size"] = "size"
    largest_first: bool
    rank: int = 1


class RankByPosition(Frozen):
    """A rank by place: `leftmost`, `second from the right`."""

    kind: Literal["position"] = "position"
    end: Axis
    rank: int = 1


class InRegion(Frozen):
    """`on the left side`, `in the top right corner`, `in the middle`."""

    kind: Literal["region"] = "region"
    sides: tuple[Axis, ...]
    """Halves that the centre must be in; none means the middle."""


class HasRelation(Frozen):
    """A relation to other objects: `left of the blue box`, `nearest to the star`."""

    kind: Literal["relation"] = "relation"
    relation: Relation
    anchor: "Target"


class HasColour(Frozen):
    """A colour that the pixels have, whatever the phrase says."""

    kind: Literal["colour"] = "colour"
    colour: str


class Excluding(Frozen):
    """`except the red one`, `that are not striped`: drop what this phrase finds."""

    kind: Literal["excluding"] = "excluding"
    phrase: NounPhrase


Constraint = RankBySize | RankByPosition | InRegion | HasRelation | HasColour | Excluding


class Target(Frozen):
    """One described set of instances."""

    phrase: NounPhrase
    constraints: tuple[Constraint, ...] = ()
    """Applied in this order: sets are narrowed first, ranks come last."""

    @property
    def phrases(self) -> tuple[NounPhrase, ...]:
        """All noun phrases that must be segmented for it, its own first."""
        found = [self.phrase]
        for constraint in self.constraints:
            match constraint:
                case HasRelation(anchor=anchor):
                    found.extend(anchor.phrases)
                case Excluding(phrase=phrase):
                    found.append(phrase)
                case _:
                    pass
        return tuple(found)


class Plan(Frozen):
    """The whole instruction."""

    targets: tuple[Target, ...]
    """Their results are united: `the red circle and the blue squares`."""
    count: int | None = None
    """How many the instruction says there are: `the two circles` (with one target only)."""
    singular: bool = False
    """`the circle`: one is meant."""

    @property
    def phrases(self) -> tuple[NounPhrase, ...]:
        """All noun phrases that must be segmented, each once, targets first."""
        unique = {phrase.text: phrase for target in self.targets for phrase in target.phrases}
        return tuple(unique.values())

    @property
    def is_plain_concept(self) -> bool:
        """Whether the instruction is one bare noun phrase."""
        return len(self.targets) == 1 and not self.targets[0].constraints and self.count is None

    def describe(self) -> str:
        """Return the plan in one readable line."""
        parts = [
            ", ".join([repr(target.phrase.text), *map(_describe, target.constraints)])
            for target in self.targets
        ]
        return " and ".join(parts) + (f" (count {self.count})" if self.count is not None else "")


def _describe(constraint: Constraint) -> str:
    match constraint:
        case RankBySize(largest_first=largest_first, rank=rank):
            return f"number {rank} from the {'largest' if largest_first else 'smallest'}"
        case RankByPosition(end=end, rank=rank):
            return f"number {rank} from the {end}"
        case InRegion(sides=sides):
            return f"in the {' '.join(sides) or 'middle'}"
        case HasRelation(relation=relation, anchor=anchor):
            return f"{relation} {anchor.phrase.text!r}"
        case HasColour(colour=colour):
            return f"of the colour {colour}"
        case Excluding(phrase=phrase):
            return f"except {phrase.text!r}"
