"""The routing graph: route, then direct, or propose - segment - inspect - verify - select.

route ──► direct ─────────────────────────────────────────► END
  │          ▼ doubtful (auto)
  └─────► propose ► segment ► inspect ► verify ► select ──► END
             ▲──────────────── not yet ─────────────┘
"""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command

from sam3i_agent.agent.candidates import Candidate, candidates_of
from sam3i_agent.agent.endings import (
    FINISH,
    end_absent,
    end_exhausted,
    end_failed,
    end_with_nothing,
)
from sam3i_agent.agent.instructions import noun_phrase_of, try_plan
from sam3i_agent.agent.language.side import Decision, Role, TriedPhrase, Verdict, roles_of
from sam3i_agent.agent.planner.parsing import concept_text
from sam3i_agent.agent.routing import decide, reason_to_escalate, surest_level
from sam3i_agent.agent.state import DIRECT_KEY, InputState, State, Workspace
from sam3i_agent.agent.telemetry import tracer
from sam3i_agent.agent.views import open_positions, view_of
from sam3i_agent.core.contracts import Route, RouteChoice, RunStatus, SegmentRequest
from sam3i_agent.core.drawing import draw_marks
from sam3i_agent.core.errors import BudgetError, LanguageError, LanguageReplyError
from sam3i_agent.core.instances import Instances
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.core.stopping import run_in_thread
from sam3i_agent.segmodel.segmenter import EncodedImage

STEPS_PER_ROUND = 5
STEPS_AROUND = 6
"""Graph steps of one agent round, and of everything before and after the rounds."""

Graph = CompiledStateGraph[State, Workspace, InputState, State]


def build_graph(checkpointer: BaseCheckpointSaver[str] | None = None) -> Graph:
    """Return the compiled graph; it holds no run.

    Args:
        checkpointer: keeps each finished step, so that a killed run can go on; None keeps nothing.
    """
    return _builder().compile(checkpointer=checkpointer)


@lru_cache(maxsize=1)
def _builder() -> StateGraph[State, Workspace, InputState, State]:
    builder = StateGraph(State, context_schema=Workspace, input_schema=InputState)
    builder.add_node("route", route)
    builder.add_node("direct", direct)
    builder.add_node("propose", propose)
    builder.add_node("segment", segment)
    builder.add_node("inspect", inspect)
    builder.add_node("verify", verify)
    builder.add_node("select", select_instances)
    builder.add_edge(START, "route")
    builder.add_edge("segment", "inspect")
    builder.add_edge("inspect", "verify")
    return builder


async def route(state: State, runtime: Runtime[Workspace]) -> Command[Literal["direct", "propose"]]:
    """Decide who answers first."""
    request, segmenter = state["request"], runtime.context.segmenter
    tokens = segmenter.count_tokens(request.instruction)
    decision = decide(request, segmenter.levels, tokens, segmenter.context_length)
    return Command(
        goto="direct" if decision.route is Route.DIRECT else "propose",
        update={
            "route": decision.route,
            "level": decision.level,
            "joint": decision.joint,
            "trace": [f"route: {decision.reason}"],
            "warnings": list(decision.warnings),
        },
    )


async def direct(
    state: State, runtime: Runtime[Workspace]
) -> Command[Literal["propose", "__end__"]]:
    """Answer in one pass; on the auto route a doubtful answer goes to the agent."""
    workspace, request, level = runtime.context, state["request"], state["level"]
    may_escalate = (
        request.route is RouteChoice.AUTO
        and not request.exemplars
        and workspace.language.may_help(request.instruction, level)
    )
    levels = _levels_to_ask(state, workspace, may_escalate)
    prompts = [_direct_prompt(request, one) for one in levels]
    found, encodings = await _ask(workspace, prompts)
    answers = dict(zip(levels, found, strict=True))
    lines = [_direct_line(prompt, answers[prompt.level]) for prompt in prompts]
    if state["joint"]:
        level = surest_level(answers)
        lines.append(f"direct: level {level} is the surest")
    positions = workspace.add_candidates(0, candidates_of(DIRECT_KEY, answers[level]))
    update: dict[str, Any] = {
        "level": level,
        "status": RunStatus.SELECTED if positions else RunStatus.NO_TARGET,
        "presence": answers[level].presence,
        "candidate_count": len(positions),
        "chosen": list(positions),
        "image_encodings": encodings,
        "prompts": len(prompts),
        "trace": lines,
    }
    doubt = None
    if may_escalate:
        compared = {} if state["joint"] else answers
        plan = try_plan(request.instruction)
        doubt = reason_to_escalate(level, {**compared, level: answers[level]}, plan, request.policy)
    if doubt is None:
        return Command(goto=FINISH, update=update)
    lines.append(f"escalate: {doubt}; the agent takes over")
    return Command(goto="propose", update={**update, "route": Route.AGENT})


def _levels_to_ask(
    state: State, workspace: Workspace, may_escalate: bool
) -> tuple[InstructionLevel, ...]:
    levels, level = workspace.segmenter.levels, state["level"]
    if state["joint"]:
        return levels
    others = (InstructionLevel.SIMPLE, InstructionLevel.COMPLEX)
    if may_escalate and state["request"].policy.check_levels and level in others:
        return (level, *(one for one in others if one is not level and one in levels))
    return (level,)


def _direct_prompt(request: SegmentRequest, level: InstructionLevel) -> Prompt:
    if request.exemplars:
        return Prompt(noun_phrase_of(request.instruction), exemplars=request.exemplars)
    text = request.instruction
    return Prompt(concept_text(text) if level is InstructionLevel.CONCEPT else text, level)


def _direct_line(prompt: Prompt, answer: Instances) -> str:
    what = f"{prompt.text!r} at level {prompt.level}" if prompt.text else "no words"
    if prompt.exemplars:
        positive = sum(one.positive for one in prompt.exemplars)
        negative = len(prompt.exemplars) - positive
        what += f" with {positive} examples and {negative} counterexamples"
    return f"direct: {what}: {len(answer)} instances, presence {answer.presence:.2f}"


async def propose(
    state: State, runtime: Runtime[Workspace]
) -> Command[Literal["propose", "segment", "__end__"]]:
    """Ask for noun phrases that have not been tried."""
    workspace = runtime.context
    number, most = state.get("round", 0) + 1, state["request"].budgets.max_rounds
    over = f"the budget of {most} rounds is used up"
    view = view_of(state, workspace, number)
    if number > most:
        nothing = workspace.language.out_of_proposals(view)
        if nothing is not None:
            return end_with_nothing(state, nothing)
        return end_exhausted(state, workspace, over)
    try:
        workspace.meter.check_time()
        proposal = await workspace.language.propose(view)
    except LanguageReplyError as error:
        line = f"propose: round {number} failed: {error.message}"
        return Command(goto="propose", update={"round": number, "trace": [line]})
    except BudgetError as error:
        return end_exhausted(state, workspace, str(error))
    except LanguageError as error:
        return end_failed(state, error)
    if proposal.absent:
        return end_absent(state, workspace, proposal.reason)
    if not proposal.phrases:
        return end_with_nothing(state, proposal.reason or "nothing else to try")
    words = ", ".join(
        repr(one.text) + (" (helper)" if one.role is Role.HELPER else "")
        for one in proposal.phrases
    )
    because = f" ({proposal.reason})" if proposal.reason else ""
    return Command(
        goto="segment",
        update={
            "round": number,
            "phrases": list(proposal.phrases),
            "trace": [f"propose: round {number}: {words}{because}"],
        },
    )


async def segment(state: State, runtime: Runtime[Workspace]) -> dict[str, Any]:
    """Ask the model for all of this round's phrases in one batch."""
    workspace, phrases = runtime.context, state["phrases"]
    answers, encodings = await _ask(workspace, [Prompt(phrase.text) for phrase in phrases])
    found: list[Candidate] = []
    counts: list[int] = []
    for phrase, answer in zip(phrases, answers, strict=True):
        some = candidates_of(phrase.key, answer)
        counts.append(len(some))
        found += some
    known = state.get("candidate_count", 0)
    limit = workspace.language.max_candidates
    if limit is not None:
        found = found[: max(0, limit - known)]
    workspace.add_candidates(known, found)
    lines = ", ".join(
        f"{count} for {phrase.text!r}" for phrase, count in zip(phrases, counts, strict=True)
    )
    return {
        "candidate_count": len(workspace.candidates),
        "tried": [
            TriedPhrase(phrase=phrase, found=count)
            for phrase, count in zip(phrases, counts, strict=True)
        ],
        "presences": {
            phrase.key: answer.presence for phrase, answer in zip(phrases, answers, strict=True)
        },
        "image_encodings": encodings,
        "prompts": len(phrases),
        "trace": [f"segment: {lines}"],
    }


async def inspect(state: State, runtime: Runtime[Workspace]) -> dict[str, Any]:
    """Drop what needs no judgement: the same mask under another wording."""
    workspace = runtime.context
    roles, positions = roles_of(state["tried"]), open_positions(state, workspace)
    doubles: dict[str, Verdict] = {}
    for role in Role:
        some = [one for one in positions if roles[workspace.candidates[one].key] is role]
        found = workspace.language.doubles([workspace.candidates[one] for one in some])
        twin = Verdict(decision=Decision.REJECT, reason="a double")
        doubles |= {str(some[index]): twin for index in sorted(found)}
    lines = [f"inspect: {len(doubles)} masks are doubles"] if doubles else []
    return {"verdicts": doubles, "trace": lines}


async def verify(
    state: State, runtime: Runtime[Workspace]
) -> Command[Literal["select", "propose", "__end__"]]:
    """Judge each new candidate on its own, several at a time."""
    workspace = runtime.context
    judged = state.get("verdicts", {})
    number = state["round"]
    views = {
        position: view_of(state, workspace, number, (position,))
        for position in open_positions(state, workspace)
        if str(position) not in judged
    }
    positions = [one for one, view in views.items() if workspace.language.wants_verdict(view)]
    turns = asyncio.Semaphore(state["request"].budgets.concurrency)

    async def judge(position: int) -> Verdict:
        async with turns:
            return await workspace.language.verify(views[position])

    outcomes = await asyncio.gather(*map(judge, positions), return_exceptions=True)
    verdicts: dict[str, Verdict] = {}
    for position, outcome in zip(positions, outcomes, strict=True):
        match outcome:
            case Verdict():
                verdicts[str(position)] = outcome
            case LanguageReplyError() | BudgetError():
                verdicts[str(position)] = Verdict(
                    decision=Decision.UNJUDGED, reason=outcome.message
                )
            case LanguageError():
                return end_failed(state, outcome)
            case BaseException():
                raise outcome
    lines = _verdict_lines(workspace, verdicts)
    return Command(goto="select", update={"verdicts": verdicts, "trace": lines})


def _verdict_lines(workspace: Workspace, verdicts: dict[str, Verdict]) -> list[str]:
    """Return one line per kind of verdict."""
    groups: dict[tuple[str, Decision, str], int] = {}
    for position, verdict in verdicts.items():
        key = (workspace.candidates[int(position)].key, verdict.decision, verdict.reason)
        groups[key] = groups.get(key, 0) + 1
    return [
        f"verify: {decision} {count} of {phrase!r}" + (f": {reason}" if reason else "")
        for (phrase, decision, reason), count in groups.items()
    ]


async def select_instances(
    state: State, runtime: Runtime[Workspace]
) -> Command[Literal["propose", "__end__"]]:
    """Choose among what was not rejected; without a fitting choice, propose again."""
    workspace = runtime.context
    positions = open_positions(state, workspace)
    if not positions:
        return Command(goto="propose", update={"trace": ["select: no candidate is left"]})
    await _keep_picture(workspace, f"round-{state['round']}", positions)
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
    if selection.absent:
        return end_absent(state, workspace, selection.reason)
    chosen = [positions[number - 1] for number in selection.numbers]
    marks = ", ".join(map(str, selection.numbers)) or "none"
    line = f"select: {marks} of {len(positions)}: {selection.reason}".rstrip(": ")
    if not chosen or not selection.finished:
        best = {"chosen": chosen} if chosen else {}
        return Command(goto="propose", update={"trace": [line], **best})
    presences = state["presences"]
    return Command(
        goto=FINISH,
        update={
            "status": RunStatus.SELECTED,
            "chosen": chosen,
            "presence": max(presences[workspace.candidates[one].key] for one in chosen),
            "trace": [line],
            "warnings": list(selection.warnings),
        },
    )


async def _keep_picture(workspace: Workspace, name: str, positions: Sequence[int]) -> None:
    if workspace.record is not None:
        masks = [workspace.candidates[position].mask for position in positions]
        picture = await asyncio.to_thread(draw_marks, workspace.photo.pixels, masks)
        workspace.record.save_picture(name, picture)


async def _ask(workspace: Workspace, prompts: Sequence[Prompt]) -> tuple[list[Instances], int]:
    """Ask the model about the photo, which the first node that asks encodes.

    Returns:
        The answers, and the passes through the encoder that they took.
    """
    encoded: EncodedImage | None = workspace.encoded
    before = 0 if encoded is None else encoded.encodings
    if encoded is None:
        with tracer.start_as_current_span("sam3i.encode"):
            encoded = await run_in_thread(workspace.segmenter.encode, workspace.photo)
        workspace.encoded = encoded
    with tracer.start_as_current_span("sam3i.segment", attributes={"prompts": len(prompts)}):
        answers = await run_in_thread(encoded.segment, prompts)
    return answers, encoded.encodings - before
