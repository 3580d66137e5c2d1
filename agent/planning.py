"""Plans that a language model gives in words, carried out on the candidates by geometry."""

from collections.abc import Sequence

from sam3i_agent.agent.candidates import Candidate
from sam3i_agent.agent.planner.selection import select
from sam3i_agent.agent.state import State, Workspace
from sam3i_agent.core.contracts import Route

MIN_SCORE = 0.5
"""Of a mask that is counted and measured; weaker ones only where a phrase has no other."""


def carry_out(state: State, workspace: Workspace) -> tuple[list[int], list[str]]:
    """Return the positions of the candidates that the run's plan means, best first, and a line."""
    plan = state.get("plan")
    if plan is None:
        return [], []
    by_key: dict[str, list[Candidate]] = {}
    for one in workspace.candidates:
        by_key.setdefault(one.key.lower(), []).append(one)
    found = {
        phrase.text: _worth_measuring(by_key.get(phrase.text.lower(), ()))
        for phrase in plan.phrases
    }
    chosen = select(plan, found, workspace.photo.pixels)
    positions = {id(one): position for position, one in enumerate(workspace.candidates)}
    planned = [positions[id(one)] for one in chosen]
    marks = ", ".join(str(one + 1) for one in planned) or "nothing"
    return planned, [f"inspect: by the plan: {marks}"]


def _worth_measuring(candidates: Sequence[Candidate]) -> list[Candidate]:
    return [one for one in candidates if one.score >= MIN_SCORE] or list(candidates)


def asks_once(state: State, workspace: Workspace) -> bool:
    """Whether the run ends with what one proposal and geometry come to."""
    return state["route"] is Route.AGENT_PLAN and workspace.language.keeps_unselected()
