"""From what a model answers to what is segmented: its phrases, and those that its plan needs."""

from sam3i_agent.agent.language.replies import ProposeReply
from sam3i_agent.agent.language.side import Proposal, ProposedPhrase, Role, View
from sam3i_agent.agent.planner.worded import PlanPart, read_parts


def proposal_of(reply: ProposeReply, view: View) -> Proposal:
    """Return the phrases that have not been tried, each once, and the plan.

    Phrases that only the plan names are segmented as well: those of targets as a pool to choose
    from, the others as helpers.
    """
    targets = [tidy(one) for one in reply.targets]
    helpers = [tidy(one) for one in reply.helpers]
    plan = None if reply.absent else read_parts([_tidied(one) for one in reply.plan], targets)
    pool = [] if plan is None else [one.phrase.text for one in plan.targets]
    needed = [] if plan is None else [one.text for one in plan.phrases]
    unique: dict[str, ProposedPhrase] = {}
    for role, texts in (
        (Role.TARGET, targets), (Role.POOL, pool), (Role.HELPER, [*helpers, *needed])
    ):  # fmt: skip
        for text in texts:
            if text and text.lower() not in view.tried_texts:
                unique.setdefault(text.lower(), ProposedPhrase(text=text, role=role))
    return Proposal(
        phrases=tuple(unique.values()),
        plan=plan,
        absent=reply.absent,
        reason=reply.reason,
        thought=reply.thought,
    )


def tidy(phrase: str) -> str:
    """Drop white space, quotes, a leading article and a full stop."""
    words = phrase.strip().strip("\"'.").split()
    if len(words) > 1 and words[0].lower() in ("a", "an", "the"):
        words = words[1:]
    return " ".join(words)


def _tidied(part: PlanPart) -> PlanPart:
    return part.model_copy(
        update={
            "phrase": tidy(part.phrase),
            "to": tidy(part.to),
            "without": [tidy(one) for one in part.without],
        }
    )
