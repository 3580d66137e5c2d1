"""The graph's nodes that judge candidates: inspect, select, weigh and verify."""

from dataclasses import replace
from typing import Any, Literal

from langgraph.runtime import Runtime
from langgraph.types import Command

from sam3i_agent.agent.endings import (
    end_absent,
    end_exhausted,
    end_failed,
    end_planned,
    end_selected,
)
from sam3i_agent.agent.language.side import Decision, Role, Verdict, roles_of
from sam3i_agent.agent.planning import asks_once, carry_out
from sam3i_agent.agent.state import State, Workspace
from sam3i_agent.agent.views import view_of
from sam3i_agent.agent.weighing.belief import ABSENT_WEIGHT, Planned, Statement, Vote
from sam3i_agent.agent.weighing.evidence import same_things
from sam3i_agent.agent.weighing.standing import (
    beliefs_of,
    believed,
    evidence_in,
    open_positions,
    shown_positions,
    target_positions,
)
from sam3i_agent.core.errors import BudgetError, LanguageError, LanguageReplyError

SURE_ALONE = 0.75
"""Belief at which nobody is asked about the only candidate, or what plan and head agree on."""
MAX_LOOKS = 3
"""Verdicts on what is open, in a round."""


async def inspect(
    state: State, runtime: Runtime[Workspace]
) -> Command[Literal["select", "propose", "__end__"]]:
    """Sort out what needs no question: doubles, what can be measured, one sure answer."""
    workspace = runtime.context
    language, roles = workspace.language, roles_of(state.get("tried", ()))
    hidden: list[int] = []
    planned, lines = carry_out(state, workspace)
    state = {**state, "planned": planned}
    shown = shown_positions(state, workspace)
    helpers = [one for one in shown if roles.get(workspace.candidates[one].key) is Role.HELPER]
    for some in ([one for one in shown if one not in helpers], helpers):
        doubles = language.doubles([workspace.candidates[one] for one in some])
        hidden += [some[index] for index in sorted(doubles)]
    if hidden:
        what = "1 mask is a double" if len(hidden) == 1 else f"{len(hidden)} masks are doubles"
        lines.append(f"inspect: {what}")
    verdicts: dict[str, Verdict] = {}
    view = view_of(state, workspace, state["round"], shown)  # weighs all evidence: once
    for position, one, known in zip(shown, view.candidates, view.known, strict=True):
        if position in hidden or str(position) in state.get("verdicts", {}):
            continue
        verdict = language.inspect(replace(view, candidates=(one,), known=(known,)))
        if verdict is not None:
            verdicts[str(position)] = verdict
            if verdict.decision is Decision.REJECT:
                hidden.append(position)
    update: dict[str, Any] = {
        "planned": planned,
        "hidden": hidden,
        "verdicts": verdicts,
        "looks": 0,
        "trace": [*lines, *verdict_lines(workspace, verdicts)],
    }
    after: State = {**state, "hidden": [*state.get("hidden", []), *hidden]}
    if asks_once(state, workspace):
        return end_planned(after, workspace, update)
    if not target_positions(after, workspace):
        update["trace"].append("inspect: no candidate is left")
        return Command(goto="propose", update=update)
    if max(shown_positions(after, workspace)) < state.get("selected_from", 0):
        update["trace"].append("inspect: nothing new to select from")
        return Command(goto="propose", update=update)
    sure = _sure_alone(after, workspace) or _sure_by_plan(after, workspace)
    if not sure:
        return Command(goto="select", update=update)
    line = f"inspect: the head agrees on {len(sure)}; nobody needs to be asked"
    update["trace"].append(line)
    return end_selected(after, workspace, sure, update)


def _sure_alone(state: State, workspace: Workspace) -> list[int]:
    """Return the one candidate that phrase and head both found, where nothing else was found."""
    targets = target_positions(state, workspace)
    if len(targets) != 1 or state.get("votes") or not workspace.language.keeps_unselected():
        return []
    (alone,) = targets
    agreed = evidence_in(state, workspace)[alone].by_head
    return [alone] if agreed and beliefs_of(state, workspace)[alone] >= SURE_ALONE else []


def _sure_by_plan(state: State, workspace: Workspace) -> list[int]:
    """Return what a plan takes, where that is exactly what the head found.

    Every phrase for what is asked for must have found some of it, if it found anything.
    """
    if not state.get("planned") or state.get("votes"):
        return []
    evidence, found = evidence_in(state, workspace), beliefs_of(state, workspace)
    targets, roles = target_positions(state, workspace), roles_of(state.get("tried", ()))
    taken = [one for one in targets if evidence[one].planned is Planned.TAKEN]
    agreed = [one for one in targets if evidence[one].by_head]
    same = same_things(workspace.candidates)
    keys = [one.key for one in workspace.candidates]
    named = {key for key in keys if roles.get(key) is Role.TARGET}
    agreeing = {key for i, key in enumerate(keys) if same[i, taken].any()}
    sure = all(found[one] >= SURE_ALONE for one in taken)
    return taken if sure and taken == agreed and named <= agreeing else []


async def select_instances(
    state: State, runtime: Runtime[Workspace]
) -> Command[Literal["weigh", "propose", "__end__"]]:
    """Ask which of the shown candidates are the answer; the choice is a vote on each."""
    workspace = runtime.context
    positions = shown_positions(state, workspace)
    await workspace.keep_picture(f"round-{state['round']}", positions)
    try:
        workspace.meter.check_time()
        selection = await workspace.language.select(
            view_of(state, workspace, state["round"], positions)
        )
    except LanguageReplyError as error:
        line = f"select: round {state['round']} failed: {error.message}"
        return Command(goto="propose", update={"trace": [line]})
    except BudgetError as error:
        return end_exhausted(state, workspace, str(error))
    except LanguageError as error:
        return end_failed(state, error)
    chosen = {positions[number - 1] for number in selection.numbers}
    targets = target_positions(state, workspace)
    # What was not chosen because a better mask of the same thing was, is not thereby rejected.
    same, taken = same_things(workspace.candidates), sorted(chosen)
    left = [one for one in targets if one not in chosen and not same[one, taken].any()]
    votes = [Vote(candidate=one, accepts=True) for one in taken]
    if not selection.absent:
        votes += [Vote(candidate=one, accepts=False) for one in left]
    absent = [Statement(there=False, weight=ABSENT_WEIGHT)] if selection.absent else []
    marks = ", ".join(map(str, selection.numbers)) or "none"
    lines = [f"select: {marks} of {len(positions)}: {selection.reason}".rstrip(": ")]
    if selection.missing:
        lines.append(f"select: missing: {selection.missing}")
    return Command(
        goto="weigh",
        update={
            "votes": votes,
            "statements": absent,
            "selected_from": len(workspace.candidates),
            "missing": selection.missing,
            "said_absent": selection.absent,
            "trace": lines,
            "warnings": list(selection.warnings),
        },
    )


async def weigh(
    state: State, runtime: Runtime[Workspace]
) -> Command[Literal["verify", "propose", "__end__"]]:
    """Weigh all evidence: look again where it is open, end where it is not."""
    workspace = runtime.context
    found = beliefs_of(state, workspace)
    targets = target_positions(state, workspace)
    shown = ", ".join(f"{one + 1}: {found[one]:.2f}" for one in targets)
    line = f"weigh: {shown}"
    if positions := _next_look(state, workspace):
        return Command(goto="verify", update={"looked_at": positions, "trace": [line]})
    chosen = believed(state, workspace)
    if state.get("missing") or not (chosen or state.get("said_absent")):
        return Command(goto="propose", update={"trace": [line], "chosen": chosen})
    if not chosen:
        return end_absent(state, workspace, "no mask fits")
    return end_selected(state, workspace, chosen, {"trace": [line]})


def _next_look(state: State, workspace: Workspace) -> list[int]:
    """Return the positions that the next verdicts are to be about; none where none is needed."""
    positions = open_positions(state, workspace) if state.get("looks", 0) < MAX_LOOKS else []
    if positions and not state.get("looks", 0):
        # One sheet shows them all as well, and tells how far the side's word goes.
        return target_positions(state, workspace)
    return positions


async def verify(state: State, runtime: Runtime[Workspace]) -> Command[Literal["weigh", "__end__"]]:
    """Ask for verdicts on what `weigh` wants looked at."""
    workspace, positions = runtime.context, state["looked_at"]
    looks = state.get("looks", 0) + 1
    view = view_of(state, workspace, state["round"], positions)
    try:
        workspace.meter.check_time()
        verdicts = await workspace.language.verify(view, looks)
    except (LanguageReplyError, BudgetError) as error:
        line = f"verify: no verdict: {error.message}"
        return Command(goto="weigh", update={"looks": MAX_LOOKS, "trace": [line]})
    except LanguageError as error:
        return end_failed(state, error)
    by_position = {str(one): verdict for one, verdict in zip(positions, verdicts, strict=True)}
    votes = [
        Vote(candidate=int(one), accepts=verdict.decision is Decision.ACCEPT)
        for one, verdict in by_position.items()
        if verdict.decision is not Decision.UNJUDGED
    ]
    return Command(
        goto="weigh",
        update={
            "looks": looks if votes else MAX_LOOKS,
            "verdicts": by_position,
            "votes": votes,
            "trace": verdict_lines(workspace, by_position),
        },
    )


def verdict_lines(workspace: Workspace, verdicts: dict[str, Verdict]) -> list[str]:
    """Return one line per kind of verdict."""
    groups: dict[tuple[str, Decision, str], int] = {}
    for position, verdict in verdicts.items():
        key = (workspace.candidates[int(position)].found_by, verdict.decision, verdict.reason)
        groups[key] = groups.get(key, 0) + 1
    return [
        f"verify: {decision} {count} of {found_by}" + (f": {reason}" if reason else "")
        for (found_by, decision, reason), count in groups.items()
    ]
