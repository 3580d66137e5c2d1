"""The routing graph: route, then direct, or propose - segment - inspect - select - weigh.

route ──► direct ─────────────────────────────────────────────────► END
  │          ▼ doubtful (auto), or a candidate among others (agent)
  └─────► propose ► segment ► inspect ► select ► weigh ───────────► END
             ▲                    one sure answer ▲ ▼ belief open ──┘
             └── something is missing ────────── verify
"""

from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal

from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command

from sam3i_agent.agent.candidates import HEAD_KEYS, Candidate, candidates_of
from sam3i_agent.agent.endings import (
    FINISH,
    end_absent,
    end_exhausted,
    end_failed,
    end_unplanned,
    end_with_nothing,
)
from sam3i_agent.agent.instructions import noun_phrase_of
from sam3i_agent.agent.judging import (
    MAX_LOOKS,
    inspect,
    select_instances,
    verify,
    weigh,
)
from sam3i_agent.agent.language.side import Role, TriedPhrase
from sam3i_agent.agent.planner.parsing import concept_text
from sam3i_agent.agent.planning import asks_once
from sam3i_agent.agent.routing import (
    Routing,
    decide,
    reason_to_escalate,
    reason_to_hand_over,
    surest_level,
)
from sam3i_agent.agent.state import Agent, InputState, State, Workspace
from sam3i_agent.agent.views import view_of
from sam3i_agent.agent.weighing.belief import (
    ABSENT_WEIGHT,
    LAST_WORD_WEIGHT,
    THERE_WEIGHT,
    Statement,
)
from sam3i_agent.agent.weighing.standing import open_positions
from sam3i_agent.core.contracts import Route, RouteChoice, RunStatus, SegmentRequest
from sam3i_agent.core.errors import BudgetError, LanguageError, LanguageReplyError
from sam3i_agent.core.instances import Instances
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.prompt import Prompt

_THERE = Statement(there=True, weight=THERE_WEIGHT)
STEPS_PER_ROUND = 5 + 2 * MAX_LOOKS
STEPS_AROUND = 6
"""Graph steps of one agent round, and of everything before and after the rounds."""


@lru_cache(maxsize=1)
def _graph() -> StateGraph[State, Workspace, InputState, State]:
    builder = StateGraph(State, context_schema=Workspace, input_schema=InputState)
    builder.add_node("route", route)
    builder.add_node("direct", direct)
    builder.add_node("propose", propose)
    builder.add_node("segment", segment)
    builder.add_node("inspect", inspect)
    builder.add_node("select", select_instances)
    builder.add_node("weigh", weigh)
    builder.add_node("verify", verify)
    builder.add_edge(START, "route")
    builder.add_edge("segment", "inspect")
    return builder


GRAPH = Agent(_graph, lambda budgets: STEPS_AROUND + STEPS_PER_ROUND * (budgets.max_rounds + 1))
"""The agent of typed questions and weighed evidence."""


async def route(state: State, runtime: Runtime[Workspace]) -> Command[Literal["direct", "propose"]]:
    """Decide who answers first."""
    workspace, request = runtime.context, state["request"]
    segmenter = workspace.segmenter
    tokens = segmenter.count_tokens(request.instruction)
    decision = decide(request, segmenter.levels, tokens, segmenter.context_length)
    if decision.route is Route.AGENT and not workspace.language.judges:
        decision = replace(decision, route=Route.AGENT_PLAN, reason=f"{decision.reason}; by plan")
    direct_first = decision.route is Route.DIRECT or _head_may_help(workspace, request, decision)
    return Command(
        goto="direct" if direct_first else "propose",
        update={
            "route": decision.route,
            "level": decision.level,
            "joint": decision.joint,
            "trace": [f"route: {decision.reason}"],
            "warnings": list(decision.warnings),
        },
    )


def _head_may_help(workspace: Workspace, request: SegmentRequest, routing: Routing) -> bool:
    """Whether the direct answer is worth having as a candidate of the agent."""
    if not request.use_head or routing.level is InstructionLevel.CONCEPT or not routing.fits:
        return False
    if routing.level not in workspace.segmenter.levels:
        return False
    language = workspace.language
    return language.keeps_unselected() or not language.may_help(request.instruction, routing.level)


async def direct(
    state: State, runtime: Runtime[Workspace]
) -> Command[Literal["propose", "__end__"]]:
    """Answer in one pass; a doubtful answer of the auto route goes to the agent, as a candidate."""
    workspace, request, level = runtime.context, state["request"], state["level"]
    for_agent = state["route"].by_agent
    may_escalate = (
        not for_agent
        and request.route is RouteChoice.AUTO
        and not request.exemplars
        and workspace.language.may_help(request.instruction, level)
    )
    reason = reason_to_hand_over(request.instruction, request.policy) if may_escalate else None
    # The other level is evidence where it is weighed, and a doubt where nothing else decides.
    weighs = workspace.language.keeps_unselected() and (for_agent or may_escalate)
    levels = _levels_to_ask(state, workspace, weighs or (may_escalate and reason is None))
    prompts = [_direct_prompt(request, one) for one in levels]
    found, encodings = await workspace.ask(prompts)
    answers = dict(zip(levels, found, strict=True))
    lines = [_direct_line(prompt, answers[prompt.level]) for prompt in prompts]
    if state["joint"]:
        level = surest_level(answers)
        lines.append(f"direct: level {level} is the surest")
    own = candidates_of(HEAD_KEYS[level], answers[level])
    kept = [*own]
    if for_agent or may_escalate:
        for other in answers.keys() - {level, InstructionLevel.CONCEPT}:
            kept += candidates_of(HEAD_KEYS[other], answers[other])
    workspace.add_candidates(0, kept)
    update: dict[str, Any] = {
        "level": level,
        "status": RunStatus.SELECTED if own else RunStatus.NO_TARGET,
        "presence": answers[level].presence,
        "presences": {HEAD_KEYS[one]: answer.presence for one, answer in answers.items()},
        "candidate_count": len(kept),
        "chosen": list(range(len(own))),
        "image_encodings": encodings,
        "prompts": len(prompts),
        "trace": lines,
    }
    if for_agent:
        return Command(goto="propose", update=update)
    if may_escalate and reason is None:
        compared = {} if state["joint"] else answers
        reason = reason_to_escalate(
            level, {**compared, level: answers[level]}, request.instruction, request.policy
        )
    if reason is None:
        return Command(goto=FINISH, update=update)
    lines.append(f"escalate: {reason}; the agent takes over")
    way = Route.AGENT if workspace.language.judges else Route.AGENT_PLAN
    return Command(goto="propose", update={**update, "route": way})


def _levels_to_ask(state: State, workspace: Workspace, both: bool) -> tuple[InstructionLevel, ...]:
    levels, level = workspace.segmenter.levels, state["level"]
    if state["joint"]:
        return levels
    others = (InstructionLevel.SIMPLE, InstructionLevel.COMPLEX)
    if both and state["request"].policy.check_levels and level in others:
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
) -> Command[Literal["propose", "segment", "inspect", "__end__"]]:
    """Ask for noun phrases that have not been tried."""
    workspace = runtime.context
    number, most = state.get("round", 0) + 1, state["request"].budgets.max_rounds
    over = f"the budget of {most} rounds is used up"
    view = view_of(state, workspace, number)
    if number > most:
        nothing = workspace.language.out_of_proposals(view)
        if nothing is not None:
            return end_with_nothing(state, workspace, nothing)
        return end_exhausted(state, workspace, over)
    try:
        workspace.meter.check_time()
        proposal = await workspace.language.propose(view)
    except LanguageReplyError as error:
        line = f"propose: round {number} failed: {error.message}"
        if asks_once(state, workspace):
            return end_unplanned(state, line)
        return Command(goto="propose", update={"round": number, "trace": [line]})
    except BudgetError as error:
        return end_exhausted(state, workspace, str(error))
    except LanguageError as error:
        return end_failed(state, error)
    if proposal.absent:
        return _absent(state, workspace, number, proposal.reason)
    if not proposal.phrases and asks_once(state, workspace):
        return end_unplanned(state, f"propose: nothing to plan ({proposal.reason})")
    if not proposal.phrases:
        return end_with_nothing(state, workspace, proposal.reason or "nothing else to try")
    words = ", ".join(
        repr(one.text) + ("" if one.role is Role.TARGET else f" ({one.role})")
        for one in proposal.phrases
    )
    because = f" ({proposal.reason})" if proposal.reason else ""
    lines = [f"propose: round {number}: {words}{because}"]
    plan = proposal.plan or state.get("plan")
    if proposal.plan is not None:
        lines.append(f"propose: plan: {proposal.plan.describe()}")
    return Command(
        goto="segment",
        update={
            "round": number,
            "phrases": list(proposal.phrases),
            "plan": plan,
            "statements": [] if state.get("tried") else [_THERE],
            "trace": lines,
        },
    )


def _absent(
    state: State, workspace: Workspace, number: int, reason: str
) -> Command[Literal["propose", "segment", "inspect", "__end__"]]:
    """Weigh that it is said not to be there; where the head saw it, look at its masks."""
    once = asks_once(state, workspace)
    weight = LAST_WORD_WEIGHT if once else ABSENT_WEIGHT
    absent = [Statement(there=False, weight=weight)]
    after: State = {**state, "statements": [*state.get("statements", []), *absent]}
    settled = not open_positions(after, workspace) or state.get("round", 0)
    if settled or once:
        return end_absent(after, workspace, reason)
    line = f"propose: round {number}: said to be absent ({reason}), but the head sees it"
    return Command(
        goto="inspect",
        update={"round": number, "statements": absent, "tried": [], "trace": [line]},
    )


async def segment(state: State, runtime: Runtime[Workspace]) -> dict[str, Any]:
    """Ask the model for all of this round's phrases in one batch."""
    workspace, phrases = runtime.context, state["phrases"]
    answers, encodings = await workspace.ask(
        [Prompt(one.text, min_score=workspace.language.min_score) for one in phrases]
    )
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
