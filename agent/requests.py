"""Requests, put together from what a caller gives."""

from typing import TypedDict, Unpack

from sam3i_agent.agent.instructions import check_instruction
from sam3i_agent.core.contracts import (
    Budgets,
    LevelChoice,
    RouteChoice,
    RoutingPolicy,
    SegmentRequest,
)
from sam3i_agent.core.photo import Photo


class RequestOptions(TypedDict, total=False):
    """What a caller may choose; all else has the defaults of `SegmentRequest`."""

    route: RouteChoice
    """Direct, agent, or auto."""
    level: LevelChoice
    """How the direct route reads the words; auto and joint choose a level."""
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
        instruction: English text.
        **options: see `RequestOptions`.

    Raises:
        InputError: the instruction cannot be used.
    """
    return SegmentRequest(
        image_sha256=photo.sha256, instruction=check_instruction(instruction), **options
    )
