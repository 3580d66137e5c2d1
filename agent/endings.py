"""How a run ends: with what is believed, out of budget, for want of a language model, with nothing.

| the agent | the answer is |
|---|---|
| has selected | what is believed |
| has nothing left to propose, or says it is absent | what is believed all the same, else nothing |
| is rules, and has found nothing | the direct answer, where a head is sure of it |
| has used up a budget | what is believed so far, else the direct answer, else the best mask |
| has failed | the direct answer, where a head gave one |
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from langgraph.types import Command

from sam3i_agent.agent.candidates import HEAD_KEYS
from sam3i_agent.agent.state import State, Workspace
from sam3i_agent.agent.weighing.standing import believed, best_doubted, direct_answer
from sam3i_agent.core.contracts import Route, RunStatus
from sam3i_agent.core.errors import LanguageError

FINISH: Final = "__end__"
"""`langgraph.graph.END`, whose type is any string."""


def end_selected(
    state: State, workspace: Workspace, chosen: Sequence[int], update: Mapping[str, Any]
) -> Command[Any]:
    """End with an answer."""
    presences = state["presences"]
    return Command(
        goto=FINISH,
        update={
            **update,
            "status": RunStatus.SELECTED,
            "chosen": list(chosen),
            "presence": max(presences[workspace.candidates[one].key] for one in chosen),
        },
    )


def end_exhausted(state: State, workspace: Workspace, why: str) -> Command[Any]:
    """End with the best answer so far; nobody has said that there is nothing."""
    chosen = believed(state, workspace) or best_doubted(state, workspace)
    return Command(
        goto=FINISH,
        update={
            "status": RunStatus.BUDGET_EXHAUSTED,
            "chosen": chosen,
            "presence": max(_phrase_presences(state), default=0.0),
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


def end_unplanned(state: State, line: str) -> Command[Any]:
    """End with the direct answer, where a head gave one, for want of a plan."""
    update: dict[str, Any] = {"trace": [line]}
    if "status" in state:
        return Command(goto=FINISH, update={**update, "route": Route.DIRECT})
    update["warnings"] = ["the language model named nothing, and no head has a direct answer"]
    return Command(goto=FINISH, update={**update, "status": RunStatus.FAILED})


def end_absent(state: State, workspace: Workspace, reason: str) -> Command[Any]:
    """End because the language side is sure that it is not there."""
    said = f"{workspace.language.name} says it is not there: {reason}"
    return end_with_nothing(state, workspace, said)


def end_planned(state: State, workspace: Workspace, update: Mapping[str, Any]) -> Command[Any]:
    """End with what is believed once a plan was carried out; nobody is asked about it."""
    chosen = believed(state, workspace)
    if chosen:
        return end_selected(state, workspace, chosen, update)
    return _end_empty(state, workspace, "nobody else is asked", update)


def end_with_nothing(state: State, workspace: Workspace, reason: str) -> Command[Any]:
    """End because there is no more to try; what is believed all the same stands."""
    chosen = believed(state, workspace)
    if chosen:
        line = f"finish: {reason}; {len(chosen)} masks are believed all the same"
        return end_selected(state, workspace, chosen, {"trace": [line]})
    return _end_empty(state, workspace, reason, {"trace": []})


def _end_empty(
    state: State, workspace: Workspace, reason: str, update: Mapping[str, Any]
) -> Command[Any]:
    keys = {one.phrase.key: one.found for one in state.get("tried", ())}
    missing = [key for key, found in keys.items() if not found]
    because = (
        f"nothing found for {', '.join(map(repr, missing))}" if missing else "no candidate fits"
    )
    line = f"finish: {because}; {reason}"
    direct = _trusted_direct(state, workspace)
    if direct:
        line += "; the direct answer is sure, and stands"
        trace = [*update["trace"], line]
        update = {**update, "route": Route.DIRECT, "trace": trace}
        return end_selected(state, workspace, direct, update)
    return Command(
        goto=FINISH,
        update={
            **update,
            "status": RunStatus.NO_TARGET,
            "chosen": [],
            "presence": min(_phrase_presences(state), default=0.0),
            "trace": [*update["trace"], line],
        },
    )


def _trusted_direct(state: State, workspace: Workspace) -> list[int]:
    """Return the positions of a direct answer that stands against rules which found nothing.

    Rules overlook what a text says otherwise; a model weighs the head's presence itself.
    """
    key = HEAD_KEYS[state["level"]]
    presence = state.get("presences", {}).get(key, 0.0)
    if workspace.language.keeps_unselected() or presence < state["request"].policy.trusted_presence:
        return []
    return direct_answer(state, workspace)


def _phrase_presences(state: State) -> list[float]:
    """Return the presences of noun phrases, or of the whole instruction where none was asked."""
    presences = state.get("presences", {})
    phrases = [value for key, value in presences.items() if key not in HEAD_KEYS.values()]
    return phrases or list(presences.values())
