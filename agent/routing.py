"""Which route and level answer a request, and when the agent takes over.

Asking at L levels (`joint`) costs one batch of L rows over one image encoding; the answer of the
level that is surest wins. Slower than reading the level off the words (`classify_level`), and
useful where the words mislead. Measured on generated scenes with a first head, it was worse than
the words (cgF1@0.5 of 39.5 against 64.9 on noun phrases): a level that was trained on few absent
objects is too sure of itself. Hence it is a choice and not the default.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sam3i_agent.agent.instructions import classify_level, kind_of, try_plan
from sam3i_agent.core.contracts import (
    LevelChoice,
    Route,
    RouteChoice,
    RoutingPolicy,
    SegmentRequest,
)
from sam3i_agent.core.instances import Instances
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import union_iou


@dataclass(frozen=True)
class Routing:
    """Where a request goes, and why in one line."""

    route: Route
    level: InstructionLevel
    reason: str
    joint: bool = False
    """Ask at all levels; `level` is only what the words suggest."""
    warnings: tuple[str, ...] = ()
    fits: bool = True
    """Whether the model reads all of the text."""


def decide(
    request: SegmentRequest,
    levels: tuple[InstructionLevel, ...],
    tokens: int,
    context_length: int,
) -> Routing:
    """Choose the route and level that `request` leaves open.

    `auto` takes the direct route where the model has the instruction's level and the text fits its
    context, else the agent.

    Args:
        request: what is asked.
        levels: that the loaded model answers.
        tokens: that the instruction needs.
        context_length: tokens that the model reads.
    """
    if request.exemplars:
        reason = "example boxes, which the model answers directly"
        return Routing(Route.DIRECT, InstructionLevel.CONCEPT, reason)
    joint = request.level is LevelChoice.JOINT
    guessed = joint or request.level is LevelChoice.AUTO
    wanted = classify_level(request.instruction) if guessed else InstructionLevel(request.level)
    fits = tokens <= context_length
    if request.route is RouteChoice.AUTO:
        route = Route.DIRECT if wanted in levels and fits else Route.AGENT
        if route is Route.DIRECT:
            reason = f"auto: a {wanted} instruction, which the model answers directly"
        elif not fits:
            reason = f"auto: {tokens} tokens do not fit the model's {context_length}"
        else:
            reason = f"auto: a {wanted} instruction, and the model has no head for that level"
        return Routing(route, wanted, reason, joint, fits=fits)
    route = Route(request.route)
    reason = f"{route} as asked, {wanted} instruction"
    if route.by_agent:
        return Routing(route, wanted, reason, fits=fits)
    warnings: list[str] = []
    if guessed and not joint and wanted not in levels:
        warnings.append(
            f"the model has no head for {wanted} instructions; this one was read as a concept"
        )
        wanted = InstructionLevel.CONCEPT
    if not fits:
        warnings.append(
            f"the instruction has {tokens} tokens; the model read the first {context_length}"
        )
    return Routing(route, wanted, reason, joint, tuple(warnings))


def reason_to_hand_over(instruction: str, policy: RoutingPolicy) -> str | None:
    """Return why the agent answers whatever the head says; None where that depends on it."""
    kind = kind_of(instruction)
    if kind not in policy.agent_kinds:
        return None
    return f"a text of {kind}, which the agent measured better at"


def reason_to_escalate(
    level: InstructionLevel,
    answers: Mapping[InstructionLevel, Instances],
    instruction: str,
    policy: RoutingPolicy,
) -> str | None:
    """Return why the direct answer at `level` is doubtful, or None where it is not.

    Args:
        level: of the answer.
        answers: by level, that one among them.
        instruction: its text.
        policy: the thresholds.
    """
    answer, plan = answers[level], try_plan(instruction)  # None: it takes reasoning
    wanted = policy.min_reasoning_presence if plan is None else policy.min_presence
    if answer.presence < wanted:
        why = " for an instruction that takes reasoning" if plan is None else ""
        return f"presence {answer.presence:.2f} is below {wanted:g}{why}"
    if plan is not None and plan.count is not None and len(answer) != plan.count:
        return f"the instruction speaks of {plan.count}, {len(answer)} were found"
    if plan is not None and plan.singular and not plan.is_plain_concept and len(answer) > 1:
        return f"the instruction speaks of one, {len(answer)} were found"
    for other, its_answer in answers.items():
        if other is level:
            continue
        agreement = union_iou(answer.masks, its_answer.masks)
        if agreement < policy.min_agreement:
            return f"levels {level} and {other} agree by {agreement:.2f} only"
    return None


def certainty(found: Instances) -> float:
    """Return how sure an answer is that it found what was asked for, 0..1.

    Presence times the mean score: scores already contain presence once, which favours answers
    whose every instance is good. Nothing found is 0.
    """
    return found.presence * float(found.scores.mean()) if len(found) else 0.0


def surest_level(answers: Mapping[InstructionLevel, Instances]) -> InstructionLevel:
    """Return the level with the highest certainty; where nothing was found, the most present.

    Args:
        answers: by level, not empty; ties go to the level that comes first.
    """
    return max(answers, key=lambda level: (certainty(answers[level]), answers[level].presence))
