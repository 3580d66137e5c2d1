"""Arguments that several tools take: their types, and what a model reads about them.

What is clearly meant is taken: one value where a list is wanted, a box or a point as an object.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from sam3i_agent.core.contracts import MAX_INSTRUCTION_CHARACTERS, LevelChoice
from sam3i_agent.tools.results.outputs import Include

_BOX_KEYS = (
    ("x0", "y0", "x1", "y1"), ("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"), ("left", "top", "right", "bottom"),
)  # fmt: skip
_SIZED_BOX_KEYS = (("x", "y", "width", "height"), ("x", "y", "w", "h"))
_POINT_KEYS = (("x", "y"),)


def as_list(value: Any) -> Any:
    """Return a list where one value stands for it, or words with commas between."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else value


def as_boxes(value: Any) -> Any:
    """Return a list of lists of four numbers where boxes are clearly meant."""
    return _as_places(value, 4, _box_of)


def as_points(value: Any) -> Any:
    """Return a list of pairs where points are clearly meant."""
    return _as_places(value, 2, lambda one: _picked(one, _POINT_KEYS))


def _as_places(value: Any, count: int, convert: Any) -> Any:
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, Sequence) or isinstance(value, str):
        return value
    if len(value) == count and all(isinstance(one, int | float) for one in value):
        value = [value]
    return [convert(one) if isinstance(one, dict) else one for one in value]


def _box_of(value: dict[str, Any]) -> Any:
    found = _picked(value, _SIZED_BOX_KEYS)
    if isinstance(found, list) and all(isinstance(one, int | float) for one in found):
        x, y, width, height = found
        return [x, y, x + width, y + height]
    return _picked(value, _BOX_KEYS)


def _picked(value: dict[str, Any], known: Sequence[tuple[str, ...]]) -> Any:
    """Return the values under the first known set of keys, or the object as it is."""
    for keys in known:
        if set(keys) == set(value):
            return [value[key] for key in keys]
    return value


ImageArgument = Annotated[
    str,
    Field(
        description="Path or file:// URI on the server's machine, data URI, https URL (if "
        "allowed), or a result_id.",
        min_length=1,
    ),
]
ImageAgain = Annotated[str, Field(description="As in segment.", min_length=1)]
InstructionArgument = Annotated[
    str,
    Field(description="English noun phrase or instruction.", max_length=MAX_INSTRUCTION_CHARACTERS),
]
RouteArgument = Annotated[
    Literal["auto", "direct", "agent"],  # of `RouteChoice`; the others are for experiments
    Field(
        description="auto is right for most; direct: one pass of the model; agent: noun phrases, "
        "filtered by position, size, relation, colour."
    ),
]
LevelArgument = Annotated[
    LevelChoice, Field(description="How direct reads the words; joint tries all.")
]
Includes = Annotated[list[Include], BeforeValidator(as_list)]
IncludeArgument = Annotated[
    Includes,
    Field(
        description="overlay: picture with numbers; masks, polygons: inline, long; links: URIs of "
        "masks and exports; details: trace, usage."
    ),
]
IncludeAgain = Annotated[Includes, Field(description="As in segment.")]
ResultArgument = Annotated[str, Field(description="result_id of an answer.")]
Coordinates4 = Annotated[list[float], Field(min_length=4, max_length=4)]
Coordinates2 = Annotated[list[float], Field(min_length=2, max_length=2)]
BoxesArgument = Annotated[
    list[Coordinates4],
    BeforeValidator(as_boxes),
    Field(description="Examples [x0, y0, x1, y1] in pixels."),
]
PointsArgument = Annotated[
    list[Coordinates2],
    BeforeValidator(as_points),
    Field(description="Clicks [x, y] in pixels, about one instance."),
]
InstancesArgument = Annotated[
    list[int], BeforeValidator(as_list), Field(description="Their numbers; all if left out.")
]
