"""When the auto route does not trust a direct answer and hands the request to the agent."""

from collections.abc import Mapping

from sam3i_agent.agent.contracts import RoutingPolicy
from sam3i_agent.agent.plan import Plan
from sam3i_agent.segmodel.instances import Instances
from sam3i_agent.segmodel.levels import InstructionLevel
from sam3i_agent.segmodel.masks import union_iou


def reason_to_escalate(
    level: InstructionLevel,
    answers: Mapping[InstructionLevel, Instances],
    plan: Plan | None,
    policy: RoutingPolicy,
) -> str | None:
    """Return why the direct answer at `level` is doubtful, or None where it is not.

    Args:
        level: of the answer.
        answers: by level, that one among them.
        plan: the offline planner's reading of the instruction; None means that it takes reasoning.
        policy: the thresholds.
    """
    answer = answers[level]
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
