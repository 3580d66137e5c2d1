"""A plan as a language model words it: flat parts, read as the planner's own `Plan`."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from sam3i_agent.agent.planner.parsing import relation_of
from sam3i_agent.agent.planner.plan import (
    Axis,
    Constraint,
    Excluding,
    HasColour,
    HasRelation,
    InRegion,
    NounPhrase,
    Plan,
    RankByPosition,
    RankBySize,
    Relation,
    Target,
)

MAX_PARTS = 8
MAX_NESTING = 3
"""Helpers of helpers of a target."""
_MIDDLE = "middle"


def _as_relation(value: Any) -> Any:
    """Return the planner's own words for a relation that is worded otherwise."""
    if not isinstance(value, str):
        return value
    found = relation_of(value)
    return value if found is None else str(found)


_Text = Annotated[str, Field(min_length=1, max_length=80)]


class PlanPart(BaseModel):
    """What is said of the things that one phrase names; empty fields say nothing."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    phrase: _Text
    relation: Annotated[
        Literal[
            "", "left of", "right of", "above", "below", "inside", "nearest to", "farthest from",
            "next to", "touching",
        ],
        BeforeValidator(_as_relation),
    ] = ""  # fmt: skip
    to: Annotated[str, Field(max_length=80)] = ""
    order: Literal["", "left", "right", "top", "bottom"] = ""
    size: Literal["", "largest", "smallest"] = ""
    rank: Annotated[int, Field(ge=1, le=20)] = 1
    side: Literal[
        "", "left", "right", "top", "bottom", "top left", "top right", "bottom left",
        "bottom right", "middle",
    ] = ""  # fmt: skip
    colour: Literal[
        "", "red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black",
        "brown", "grey",
    ] = ""  # fmt: skip
    number: Annotated[int, Field(ge=0, le=100)] = 0
    without: Annotated[list[_Text], Field(max_length=MAX_PARTS)] = []

    @model_validator(mode="before")
    @classmethod
    def _forgive(cls, value: Any) -> Any:
        """Take null for nothing said, and words in any case."""
        if not isinstance(value, dict):
            return value
        said = {name: one for name, one in value.items() if one is not None}
        return {
            name: " ".join(one.lower().split()) if isinstance(one, str) else one
            for name, one in said.items()
        }

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.relation and not self.to:
            raise ValueError(f"{self.relation!r} needs `to`, the phrase of the other thing")
        return self


def as_parts(value: Any) -> Any:
    """Return a list where one part stands for it, and nothing for null."""
    if value is None:
        return []
    return [value] if isinstance(value, dict) else value


def read_parts(parts: Sequence[PlanPart], targets: Sequence[str]) -> Plan | None:
    """Return the plan that parts say; None where they say no more than the names of things.

    Args:
        parts: of targets, and of helpers that parts of targets name in `to`.
        targets: phrases of what is asked for.
    """
    wanted = {one.lower() for one in targets}
    anchors = {one.to for one in parts if one.to} - wanted
    described = {one.phrase: one for one in parts}
    of_targets = [one for one in parts if one.phrase not in anchors] or list(parts)
    number = of_targets[0].number if len(of_targets) == 1 else 0
    found = tuple(_target(one, described, 0) for one in of_targets)
    if not number and not any(one.constraints for one in found):
        return None  # nothing to measure: the phrases have said it
    return Plan(targets=found, count=number or None)


def _target(part: PlanPart, described: dict[str, PlanPart], nesting: int) -> Target:
    narrowing: list[Constraint] = []
    ranks: list[Constraint] = []
    if part.colour:
        narrowing.append(HasColour(colour=part.colour))
    if part.side:
        sides = () if part.side == _MIDDLE else tuple(map(Axis, part.side.split()))
        narrowing.append(InRegion(sides=sides))
    if part.relation:
        of_anchor = described.get(part.to)
        if of_anchor is None or nesting >= MAX_NESTING or of_anchor.phrase == part.phrase:
            anchor = Target(phrase=_noun(part.to))
        else:
            anchor = _target(of_anchor, described, nesting + 1)
        relation = Relation(part.relation)
        ranked = relation in (Relation.NEAREST, Relation.FARTHEST)
        (ranks if ranked else narrowing).append(HasRelation(relation=relation, anchor=anchor))
    narrowing += [Excluding(phrase=_noun(one)) for one in part.without]
    if part.size:
        ranks.append(RankBySize(largest_first=part.size == "largest", rank=part.rank))
    if part.order:
        ranks.append(RankByPosition(end=Axis(part.order), rank=part.rank))
    return Target(phrase=_noun(part.phrase), constraints=tuple(narrowing + ranks))


def _noun(text: str) -> NounPhrase:
    return NounPhrase(text=text, head=text.split()[-1])
