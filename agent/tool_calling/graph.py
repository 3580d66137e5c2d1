"""The graph of one conversation: a model calls functions until it returns masks, or none.

begin ─► converse ──► segment_phrase ──┐   select_masks_and_return, report_no_mask ─► END
            ▲    └──► examine_each_mask┤
            └──────────────────────────┘

The masks of a call replace those of the one before, as in the SAM 3 Agent (Carion et al., 2025);
budgets, words, recording and resumption are those of the other agent.
"""

import operator
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any, Literal

from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command

from sam3i_agent.agent.candidates import candidates_of
from sam3i_agent.agent.endings import FINISH, end_failed, end_selected
from sam3i_agent.agent.instructions import classify_level
from sam3i_agent.agent.judging import verdict_lines
from sam3i_agent.agent.language.proposals import tidy
from sam3i_agent.agent.language.side import Decision, ProposedPhrase, TriedPhrase, View
from sam3i_agent.agent.state import Agent, InputState, State, Workspace
from sam3i_agent.agent.tool_calling.calls import (
    ExamineEachMask,
    SegmentPhrase,
    SelectMasksAndReturn,
    ToolCallingSide,
    Turn,
)
from sam3i_agent.core.contracts import Route, RunStatus
from sam3i_agent.core.errors import BudgetError, InputError, LanguageError, LanguageReplyError
from sam3i_agent.core.prompt import Prompt

CALLS_PER_ROUND = 4
"""Of the model, that a round of the budget stands for: as many questions as the other agent asks in
one. Two unusable replies in a row cost a whole round there, and here."""
_CLOSER_LOOK = 2
"""At which a side judges each mask by itself."""
_STEPS_PER_CALL = 2
_STEPS_AROUND = 4


class ToolState(State, total=False):
    """What the nodes pass on, beside what those of the other agent do."""

    turns: Annotated[list[Turn], operator.add]
    """Calls that were carried out."""
    asked: int
    """Questions what to call next."""
    spent: int
    """Calls of the budget that these took; an unusable reply takes those of a round."""
    reason: str
    """Of the call that is carried out."""


async def begin(state: ToolState, runtime: Runtime[Workspace]) -> dict[str, Any]:
    """Say who answers.

    Raises:
        InputError: the language side is none to talk to.
    """
    _side(runtime.context)
    level = classify_level(state["request"].instruction)
    line = f"route: {Route.AGENT_TOOLS}, {level} instruction"
    return {"route": Route.AGENT_TOOLS, "level": level, "trace": [line], "warnings": []}


def _side(workspace: Workspace) -> ToolCallingSide:
    side = workspace.language
    if isinstance(side, ToolCallingSide) and side.judges:
        return side
    raise InputError(
        f"the agent that calls tools needs a language model that sees, not {side.name}",
        "name one by --mllm-url and --mllm-model, without --mllm-text-only",
    )


async def converse(
    state: ToolState, runtime: Runtime[Workspace]
) -> Command[Literal["converse", "segment_phrase", "examine_each_mask", "__end__"]]:
    """Ask what to call next; calls that end the conversation end it."""
    workspace = runtime.context
    number, spent = state.get("asked", 0) + 1, state.get("spent", 0)
    rounds = state["request"].budgets.max_rounds
    if spent >= rounds * CALLS_PER_ROUND:
        return _end_exhausted(state, workspace, f"the budget of {rounds} rounds is used up")
    view, turns = _view(state, workspace, number), state.get("turns", [])
    try:
        workspace.meter.check_time()
        call = await _side(workspace).next_call(view, turns, number)
    except LanguageReplyError as error:
        line = f"call: {number} failed: {error.message}"
        spent += CALLS_PER_ROUND
        update = {"asked": number, "spent": spent, "round": _round(spent), "trace": [line]}
        return Command(goto="converse", update=update)
    except BudgetError as error:
        return _end_exhausted(state, workspace, str(error))
    except LanguageError as error:
        return end_failed(state, error)
    spent += 1
    because = f": {call.reason}" if call.reason else ""
    update: dict[str, Any] = {"asked": number, "spent": spent, "round": _round(spent)}
    match call:
        case SegmentPhrase():
            phrase = ProposedPhrase(text=tidy(call.phrase))
            line = f"call: segment_phrase {phrase.text!r}{because}"
            update |= {"phrases": [phrase], "reason": call.reason, "trace": [line]}
            return Command(goto="segment_phrase", update=update)
        case ExamineEachMask():
            update |= {"reason": call.reason, "trace": [f"call: examine_each_mask{because}"]}
            return Command(goto="examine_each_mask", update=update)
        case SelectMasksAndReturn():
            numbers = list(dict.fromkeys(call.masks))
            marks = ", ".join(map(str, numbers))
            update["trace"] = [f"call: select_masks_and_return {marks}{because}"]
            shown = turns[-1].shown
            return end_selected(state, workspace, [shown[one - 1] for one in numbers], update)
        case _:
            update["trace"] = [f"call: report_no_mask{because}"]
            presences = state.get("presences", {}).values()
            update |= {"status": RunStatus.NO_TARGET, "chosen": []}
            return Command(goto=FINISH, update={**update, "presence": min(presences, default=0.0)})


async def segment_phrase(state: ToolState, runtime: Runtime[Workspace]) -> dict[str, Any]:
    """Ask the segmenter; what it finds is all that there is from now on."""
    workspace, (phrase,) = runtime.context, state["phrases"]
    language = workspace.language
    (answer,), encodings = await workspace.ask([Prompt(phrase.text, min_score=language.min_score)])
    found = candidates_of(phrase.key, answer)
    known = state.get("candidate_count", 0)
    positions = workspace.add_candidates(known, found[: language.max_candidates])
    if positions:
        await workspace.keep_picture(f"call-{state['asked']}", positions)
    turn = Turn(
        phrase=phrase.text, reason=state["reason"], before=len(found), shown=tuple(positions)
    )
    return {
        "turns": [turn],
        "candidate_count": len(workspace.candidates),
        "tried": [TriedPhrase(phrase=phrase, found=len(found))],
        "presences": {phrase.key: answer.presence},
        "image_encodings": encodings,
        "prompts": 1,
        "trace": [f"segment: {len(found)} for {phrase.text!r}"],
    }


async def examine_each_mask(
    state: ToolState, runtime: Runtime[Workspace]
) -> Command[Literal["converse", "__end__"]]:
    """Ask for a verdict on each mask by itself; the rejected ones are gone."""
    workspace, number, shown = runtime.context, state["asked"], state["turns"][-1].shown
    view = _view(state, workspace, number)
    view = replace(view, candidates=tuple(view.candidates[one] for one in shown))
    try:
        verdicts = await workspace.language.verify(view, _CLOSER_LOOK)
    except LanguageError as error:
        return end_failed(state, error)
    by_position = {str(one): verdict for one, verdict in zip(shown, verdicts, strict=True)}
    kept = [one for one in shown if by_position[str(one)].decision is not Decision.REJECT]
    if kept:
        await workspace.keep_picture(f"call-{number}", kept)
    turn = Turn(reason=state["reason"], before=len(shown), shown=tuple(kept))
    lines = verdict_lines(workspace, by_position)
    update = {"turns": [turn], "verdicts": by_position, "trace": lines}
    return Command(goto="converse", update=update)


def _view(state: ToolState, workspace: Workspace, number: int) -> View:
    """Return what there is to see, with all candidates so far."""
    return View(
        photo=workspace.photo,
        instruction=state["request"].instruction,
        round=number,
        tried=tuple(state.get("tried", ())),
        candidates=tuple(workspace.candidates[: state.get("candidate_count", 0)]),
    )


def _round(spent: int) -> int:
    """Return in which round of the budget so many calls end."""
    return -(-spent // CALLS_PER_ROUND)


def _end_exhausted(state: ToolState, workspace: Workspace, why: str) -> Command[Any]:
    """End with the masks that were shown last; nobody has said that there is nothing."""
    chosen = next((one.shown for one in reversed(state.get("turns", [])) if one.shown), ())
    return Command(
        goto=FINISH,
        update={
            "status": RunStatus.BUDGET_EXHAUSTED,
            "chosen": list(chosen),
            "presence": max(state.get("presences", {}).values(), default=0.0),
            "trace": [f"finish: {why}"],
            "warnings": [f"{why}; {len(chosen)} instances are the last that were shown"],
        },
    )


@lru_cache(maxsize=1)
def _graph() -> StateGraph[ToolState, Workspace, InputState, ToolState]:
    builder = StateGraph(ToolState, context_schema=Workspace, input_schema=InputState)
    builder.add_node("begin", begin)
    builder.add_node("converse", converse)
    builder.add_node("segment_phrase", segment_phrase)
    builder.add_node("examine_each_mask", examine_each_mask)
    builder.add_edge(START, "begin")
    builder.add_edge("begin", "converse")
    builder.add_edge("segment_phrase", "converse")
    return builder


TOOLS = Agent(
    _graph,
    lambda budgets: _STEPS_AROUND + _STEPS_PER_CALL * CALLS_PER_ROUND * (budgets.max_rounds + 1),
)
"""The agent in which a model calls the segmenter as a tool."""
