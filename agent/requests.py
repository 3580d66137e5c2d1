"""Requests, put together from what a caller gives."""

from sam3i_agent.agent.contracts import (
    DEFAULT_BUDGETS,
    DEFAULT_POLICY,
    Budgets,
    LevelChoice,
    RouteChoice,
    RoutingPolicy,
    SegmentRequest,
)
from sam3i_agent.agent.instructions import check_instruction
from sam3i_agent.segmodel.photo import Photo


def make_request(
    photo: Photo,
    instruction: str,
    *,
    route: RouteChoice = RouteChoice.AUTO,
    level: LevelChoice = LevelChoice.AUTO,
    max_instances: int | None = None,
    budgets: Budgets = DEFAULT_BUDGETS,
    policy: RoutingPolicy = DEFAULT_POLICY,
) -> SegmentRequest:
    """Check the instruction and put a request together.

    Args:
        photo: the picture, upright.
        instruction: English text.
        route: direct, agent, or auto.
        level: how the direct route reads the words; auto and joint choose a level.
        max_instances: keep at most so many, best first; None keeps all.
        budgets: what the agent may spend.
        policy: when the auto route hands a direct answer to the agent.

    Raises:
        InputError: the instruction cannot be used.
    """
    return SegmentRequest(
        image_sha256=photo.sha256,
        instruction=check_instruction(instruction),
        route=route,
        level=level,
        max_instances=max_instances,
        budgets=budgets,
        policy=policy,
    )
