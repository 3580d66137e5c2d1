"""Requests, put together from what a caller gives."""

from collections.abc import Sequence
from typing import TypedDict, Unpack

from sam3i_agent.agent.instructions import check_instruction
from sam3i_agent.core.contracts import (
    Budgets,
    LevelChoice,
    RouteChoice,
    RoutingPolicy,
    SegmentRequest,
)
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Exemplar


class RequestOptions(TypedDict, total=False):
    """What a caller may choose; all else has the defaults of `SegmentRequest`."""

    route: RouteChoice
    """Direct, agent, or auto."""
    exemplars: tuple[Exemplar, ...]
    """Boxes around examples and counterexamples, in pixels."""
    level: LevelChoice
    """How the direct route reads the words; auto and joint choose a level."""
    use_head: bool
    """Let the direct answer be a candidate of the agent."""
    max_instances: int | None
    """Keep at most so many, best first; None keeps all."""
    budgets: Budgets
    """What the agent may spend."""
    policy: RoutingPolicy
    """When the auto route hands a direct answer to the agent."""


def make_request(
    photo: Photo, instruction: str, **options: Unpack[RequestOptions]
) -> SegmentRequest:
    """Check the instruction and put a request together.

    Args:
        photo: the picture, upright.
        instruction: English text; may be empty where there are example boxes.
        **options: see `RequestOptions`.

    Raises:
        InputError: the instruction cannot be used, or an example box contradicts another option.
    """
    exemplars = options.get("exemplars", ())
    if exemplars:
        _check_exemplars(exemplars, options)
    text = check_instruction(instruction) if instruction or not exemplars else ""
    return SegmentRequest(image_sha256=photo.sha256, instruction=text, **options)


def _check_exemplars(exemplars: Sequence[Exemplar], options: RequestOptions) -> None:
    boxes = {one.box_xyxy for one in exemplars if one.positive}
    contradictions = boxes & {one.box_xyxy for one in exemplars if not one.positive}
    if contradictions:
        raise InputError(f"the box {list(contradictions.pop())} is both an example and none")
    route = options.get("route", RouteChoice.AUTO)
    if route.by_agent:
        raise InputError(
            "example boxes are answered directly, not by the agent", f"leave out --route {route}"
        )
    if options.get("level", LevelChoice.AUTO) not in (LevelChoice.AUTO, LevelChoice.CONCEPT):
        raise InputError(
            "example boxes go with noun phrases alone", "leave out --level, or take concept"
        )
