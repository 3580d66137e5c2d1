"""How a run ends without a selection: out of budget, for want of a language model, with nothing."""

from typing import Any, Final

from langgraph.types import Command

from sam3i_agent.agent.language.side import Decision, Role, roles_of
from sam3i_agent.agent.state import State, Workspace
from sam3i_agent.agent.views import open_positions
from sam3i_agent.core.contracts import Route, RunStatus
from sam3i_agent.core.errors import LanguageError

FINISH: Final = "__end__"
"""`langgraph.graph.END`, whose type is any string."""


def end_exhausted(state: State, workspace: Workspace, why: str) -> Command[Any]:
    """End with the best answer so far: chosen before, else accepted, else not judged."""
    chosen = list(state.get("chosen", ()))
    if not chosen:
        helpers = {
            key for key, role in roles_of(state.get("tried", ())).items() if role is Role.HELPER
        }
        verdicts = state.get("verdicts", {})
        targets = [
            position
            for position in open_positions(state, workspace)
            if workspace.candidates[position].key not in helpers
        ]
        accepted = [
            position
            for position in targets
            if str(position) in verdicts and verdicts[str(position)].decision is Decision.ACCEPT
        ]
        chosen = accepted or targets
    if not workspace.language.keeps_unselected():
        chosen = []
    return Command(
        goto=FINISH,
        update={
            "status": RunStatus.BUDGET_EXHAUSTED,
            "chosen": chosen,
            "presence": max(state.get("presences", {}).values(), default=0.0),
            "trace": [f"finish: {why}"],
            "warnings": [f"{why}; {len(chosen)} instances are the best so far"],
        },
    )


def end_failed(state: State, error: LanguageError) -> Command[Any]:
    """End for want of a language model; a direct answer, where there is one, stands."""
    update: dict[str, Any] = {"trace": [f"language: {error.message}"], "warnings": [str(error)]}
    if "status" in state:
        update["warnings"].append("the direct answer is returned, the agent could not check it")
        return Command(goto=FINISH, update={**update, "route": Route.DIRECT})
    return Command(goto=FINISH, update={**update, "status": RunStatus.FAILED})


def end_absent(state: State, workspace: Workspace, reason: str) -> Command[Any]:
    """End because the language side is sure that it is not there."""
    return end_with_nothing(state, f"{workspace.language.name} says it is not there: {reason}")


def end_with_nothing(state: State, reason: str) -> Command[Any]:
    """End because the photo does not show what is asked for, as far as anybody can tell."""
    keys = {one.phrase.key: one.found for one in state.get("tried", ())}
    missing = [key for key, found in keys.items() if not found]
    because = (
        f"nothing found for {', '.join(map(repr, missing))}" if missing else "no candidate fits"
    )
    return Command(
        goto=FINISH,
        update={
            "status": RunStatus.NO_TARGET,
            "chosen": [],
            "presence": min(state.get("presences", {}).values(), default=0.0),
            "trace": [f"finish: {because}; {reason}"],
        },
    )
