"""What a reader who cannot see makes of a generated scene's text: phrases, and a plan.

Simple texts are read by the planner's rules; complex ones are undone the way they were made. What
takes a look at the photo ("the odd one out") has no plan.
"""

import re
from collections.abc import Sequence
from typing import Any

from sam3i_agent.agent.instructions import try_plan
from sam3i_agent.agent.planner.plan import (
    Excluding,
    HasColour,
    HasRelation,
    InRegion,
    RankByPosition,
    RankBySize,
    Target,
)
from sam3i_agent.data.complex_texts import PROPERTIES, Property
from sam3i_agent.data.phrases import GENERIC_NOUNS

Part = dict[str, Any]
"""Of a plan, as a model writes it (`agent.planner.worded.PlanPart`)."""

_THING = GENERIC_NOUNS[0]
_BY_PREDICATE = {said: one for one in PROPERTIES for said in one.predicates}
_P = "|".join(sorted(map(re.escape, _BY_PREDICATE), key=len, reverse=True))
_ASKED = re.compile(
    rf"(?:what|something that|whatever|anything that|which of these|I need something that) "
    rf"(?P<p>{_P})(?: and (?P<q>{_P}))?\??"
)
_WITHOUT = re.compile(rf".*(?:except what|take away what|removing whatever) (?P<p>{_P})")
_SIZED = re.compile(
    rf"(?:of all that (?P<p>{_P}), )?the one that (?:(?P<most>takes up the most space"
    r"|could hide any of the others)|takes up the least space|is the easiest to overlook)"
)
_RELATED = re.compile(
    r"(?P<how>everything to the left|everything to the right|all that is above|all that is below"
    r"|whatever is nearest|the closest neighbour|what keeps close)(?: of| to)? "
    rf"the thing that (?P<p>{_P})"
)
_RELATIONS = {
    "everything to the left": "left of", "everything to the right": "right of",
    "all that is above": "above", "all that is below": "below",
}  # fmt: skip
_ORDERS = {
    "the first one you meet when reading across": "left",
    "what comes first, going rightwards": "left",
    "the last one you meet when reading across": "right",
    "what comes last, going rightwards": "right",
    "the one that would fall the farthest": "top", "what hangs highest": "top",
    "the one closest to the ground": "bottom", "what sits deepest": "bottom",
}  # fmt: skip


def parts_of(text: str) -> list[Part]:
    """Return the parts of a text's plan; none where the words alone do not say what is meant."""
    return _of_complex(text) or _of_simple(text)


def _of_simple(text: str) -> list[Part]:
    plan = try_plan(text)
    if plan is None:
        return []
    parts = [part for target in plan.targets for part in _parts(target)]
    if plan.count is not None:
        parts[0]["number"] = plan.count
    return parts


def _parts(target: Target) -> list[Part]:
    part: Part = {"phrase": target.phrase.text}
    others: list[Part] = []
    for constraint in target.constraints:
        match constraint:
            case RankBySize(largest_first=largest_first, rank=rank):
                part |= {"size": "largest" if largest_first else "smallest", "rank": rank}
            case RankByPosition(end=end, rank=rank):
                part |= {"order": str(end), "rank": rank}
            case InRegion(sides=sides):
                part["side"] = " ".join(sides) or "middle"
            case HasRelation(relation=relation, anchor=anchor):
                part |= {"relation": str(relation), "to": anchor.phrase.text}
                others += _parts(anchor) if anchor.constraints else []
            case HasColour(colour=colour):
                part["colour"] = colour
            case Excluding(phrase=phrase):
                part.setdefault("without", []).append(phrase.text)
    return [part, *others]


def _of_complex(text: str) -> list[Part]:
    if text in _ORDERS:
        return [{"phrase": _THING, "order": _ORDERS[text]}]
    if found := _ASKED.fullmatch(text):
        both = [_BY_PREDICATE[one] for one in (found["p"], found["q"]) if one]
        return [{"phrase": phrase} for phrase in _phrases(both)]
    if found := _WITHOUT.fullmatch(text):
        return [{"phrase": _THING, "without": _phrases([_BY_PREDICATE[found["p"]]])}]
    if found := _SIZED.fullmatch(text):
        size = "largest" if found["most"] else "smallest"
        phrases = _phrases([_BY_PREDICATE[found["p"]]]) if found["p"] else [_THING]
        return [{"phrase": phrases[0], "size": size}] if len(phrases) == 1 else []
    if found := _RELATED.fullmatch(text):
        phrases = _phrases([_BY_PREDICATE[found["p"]]])
        relation = _RELATIONS.get(found["how"], "nearest to")
        if len(phrases) == 1:
            return [{"phrase": _THING, "relation": relation, "to": phrases[0]}]
    return []


def _phrases(properties: Sequence[Property]) -> list[str]:
    """Return the noun phrases of things that have all of the properties."""
    words = [str(word) for one in properties for word in sorted([*one.textures, *one.colours])]
    shapes = next((sorted(map(str, one.shapes)) for one in properties if one.shapes), [_THING])
    return [" ".join([*words, shape]) for shape in shapes]
