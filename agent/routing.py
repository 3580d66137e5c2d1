"""Which route and level answer a request."""

from dataclasses import dataclass

from sam3i_agent.agent.contracts import LevelChoice, Route, RouteChoice, SegmentRequest
from sam3i_agent.agent.instructions import classify_level
from sam3i_agent.segmodel.levels import InstructionLevel
from sam3i_agent.segmodel.tokenization import CONTEXT_LENGTH


@dataclass(frozen=True)
class Decision:
    """Where a request goes, and why in one line."""

    route: Route
    level: InstructionLevel
    reason: str
    joint: bool = False
    """Ask at all levels; `level` is only what the words suggest."""
    warnings: tuple[str, ...] = ()


def decide(request: SegmentRequest, levels: tuple[InstructionLevel, ...], tokens: int) -> Decision:
    """Choose the route and level that `request` leaves open.

    `auto` takes the direct route where the model has the instruction's level and the text fits its
    context, else the agent.

    Args:
        request: what is asked.
        levels: that the loaded model answers.
        tokens: that the instruction needs.
    """
    joint = request.level is LevelChoice.JOINT
    guessed = joint or request.level is LevelChoice.AUTO
    wanted = classify_level(request.instruction) if guessed else InstructionLevel(request.level)
    fits = tokens <= CONTEXT_LENGTH
    if request.route is RouteChoice.AUTO:
        route = Route.DIRECT if wanted in levels and fits else Route.AGENT
        if route is Route.DIRECT:
            reason = f"auto: a {wanted} instruction, which the model answers directly"
        elif not fits:
            reason = f"auto: {tokens} tokens do not fit the model's {CONTEXT_LENGTH}"
        else:
            reason = f"auto: a {wanted} instruction, and the model has no head for that level"
        return Decision(route, wanted, reason, joint)
    route = Route(request.route)
    reason = f"{route} as asked, {wanted} instruction"
    if route is Route.AGENT:
        return Decision(route, wanted, reason)
    warnings: list[str] = []
    if guessed and not joint and wanted not in levels:
        warnings.append(
            f"the model has no head for {wanted} instructions; this one was read as a concept"
        )
        wanted = InstructionLevel.CONCEPT
    if not fits:
        warnings.append(
            f"the instruction has {tokens} tokens; the model read the first {CONTEXT_LENGTH}"
        )
    return Decision(route, wanted, reason, joint, tuple(warnings))
