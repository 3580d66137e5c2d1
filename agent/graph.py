"""The routing graph: route, then direct, or propose - segment - inspect - select until it fits.

route ──► direct ──────────────────────────────► END
  └─────► propose ► segment ► inspect ► select ──► END
             ▲──────── not yet ────────────┘
"""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, Literal

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command

from sam3i_agent.agent.candidates import candidates_of
from sam3i_agent.agent.contracts import Route, RunStatus
from sam3i_agent.agent.joint import surest_level
from sam3i_agent.agent.plan import (
    Constraint,
    Excluding,
    HasRelation,
    InRegion,
    Plan,
    RankByPosition,
    RankBySize,
)
from sam3i_agent.agent.planner import concept_text, plan_instruction
from sam3i_agent.agent.proposals import wordings
from sam3i_agent.agent.routing import decide
from sam3i_agent.agent.selection import MIN_COLOUR_SHARE, colour_share, select
from sam3i_agent.agent.state import (
    DIRECT_KEY,
    EncodedImageLike,
    InputState,
    Query,
    State,
    Workspace,
)
from sam3i_agent.segmodel.errors import LanguageError
from sam3i_agent.segmodel.instances import Instances
from sam3i_agent.segmodel.levels import InstructionLevel
from sam3i_agent.segmodel.prompt import Prompt

STEPS_PER_ROUND = 4
STEPS_AROUND = 4
"""Graph steps of one agent round, and of everything before and after the rounds."""

_FINISH: Final = "__end__"
"""`langgraph.graph.END`, whose type is any string."""

Graph = CompiledStateGraph[State, Workspace, InputState, State]


@lru_cache(maxsize=1)
def build_graph() -> Graph:
    """Return the compiled graph; it holds no run, so one serves all."""
    builder = StateGraph(State, context_schema=Workspace, input_schema=InputState)
    builder.add_node("route", route)
    builder.add_node("direct", direct)
    builder.add_node("propose", propose)
    builder.add_node("segment", segment)
    builder.add_node("inspect", inspect)
    builder.add_node("select", select_instances)
    builder.add_edge(START, "route")
    builder.add_edge("direct", _FINISH)
    builder.add_edge("segment", "inspect")
    builder.add_edge("inspect", "select")
    return builder.compile()


async def route(
    state: State, runtime: Runtime[Workspace]
) -> Command[Literal["direct", "propose", "__end__"]]:
    """Decide who answers."""
    request, segmenter = state["request"], runtime.context.segmenter
    decision = decide(request, segmenter.levels, segmenter.count_tokens(request.instruction))
    update: dict[str, Any] = {
        "route": decision.route,
        "level": decision.level,
        "joint": decision.joint,
        "trace": [f"route: {decision.reason}"],
        "warnings": list(decision.warnings),
    }
    if decision.route is Route.DIRECT:
        return Command(goto="direct", update=update)
    try:
        plan = plan_instruction(request.instruction)
    except LanguageError as error:
        update["trace"].append(f"plan: {error.message}")
        update["warnings"].append(str(error))
        return Command(goto=_FINISH, update={**update, "status": RunStatus.FAILED})
    update["trace"].append(f"plan: {_describe(plan)}")
    return Command(goto="propose", update={**update, "plan": plan, "round": 0})


async def direct(state: State, runtime: Runtime[Workspace]) -> dict[str, Any]:
    """Answer in one pass."""
    workspace, instruction = runtime.context, state["request"].instruction
    levels = workspace.segmenter.levels if state["joint"] else (state["level"],)
    prompts = [
        Prompt(
            concept_text(instruction) if level is InstructionLevel.CONCEPT else instruction, level
        )
        for level in levels
    ]
    encodings = await _ensure_encoded(workspace)
    answers = dict(zip(levels, await _ask(workspace, prompts), strict=True))
    level = surest_level(answers)
    workspace.chosen = candidates_of(DIRECT_KEY, answers[level])
    lines = [
        f"direct: {prompt.text!r} at level {prompt.level}: {len(answers[prompt.level])} instances, "
        f"presence {answers[prompt.level].presence:.2f}"
        for prompt in prompts
    ]
    if state["joint"]:
        lines.append(f"direct: level {level} is the surest")
    return {
        "level": level,
        "status": RunStatus.SELECTED if workspace.chosen else RunStatus.NO_TARGET,
        "presence": answers[level].presence,
        "image_encodings": encodings,
        "prompts": len(prompts),
        "trace": lines,
    }


async def propose(
    state: State, runtime: Runtime[Workspace]
) -> Command[Literal["segment", "__end__"]]:
    """Word the noun phrases that have no candidates yet in a way not tried before."""
    workspace, tried = runtime.context, set(state.get("tried", ()))
    number = state["round"] + 1
    queries: list[Query] = []
    for phrase in state["plan"].phrases:
        if workspace.candidates.get(phrase.text):
            continue
        untried = [text for text in wordings(phrase) if text not in tried]
        if untried:
            queries.append({"phrase": phrase.text, "text": untried[0]})
            tried.add(untried[0])
    if not queries:
        return Command(goto=_FINISH, update=_nothing(state, workspace, "no other wording is left"))
    if number > state["request"].max_rounds:
        update = _nothing(state, workspace, f"the budget of {number - 1} rounds is used up")
        return Command(goto=_FINISH, update={**update, "status": RunStatus.BUDGET_EXHAUSTED})
    texts = [query["text"] for query in queries]
    return Command(
        goto="segment",
        update={
            "round": number,
            "queries": queries,
            "tried": texts,
            "trace": [f"propose: round {number}: {', '.join(map(repr, texts))}"],
        },
    )


async def segment(state: State, runtime: Runtime[Workspace]) -> dict[str, Any]:
    """Ask the model for all of this round's texts in one batch."""
    workspace, queries = runtime.context, state["queries"]
    encodings = await _ensure_encoded(workspace)
    answers = await _ask(workspace, [Prompt(query["text"]) for query in queries])
    for query, found in zip(queries, answers, strict=True):
        phrase = query["phrase"]
        workspace.candidates[phrase] = candidates_of(phrase, found)
        workspace.presences[phrase] = max(found.presence, workspace.presences.get(phrase, 0.0))
    counts = ", ".join(
        f"{len(workspace.candidates[query['phrase']])} for {query['text']!r}" for query in queries
    )
    return {
        "image_encodings": encodings,
        "prompts": len(queries),
        "trace": [f"segment: {counts}"],
    }


async def inspect(state: State, runtime: Runtime[Workspace]) -> dict[str, Any]:
    """Reject candidates whose pixels contradict the colour that the phrase names."""
    workspace = runtime.context
    by_text = {phrase.text: phrase for phrase in state["plan"].phrases}
    lines: list[str] = []
    for query in state["queries"]:
        phrase = by_text[query["phrase"]]
        if phrase.colour is None:
            continue
        before = workspace.candidates[phrase.text]
        kept = [
            one
            for one in before
            if colour_share(workspace.photo.pixels, one.mask, phrase.colour) >= MIN_COLOUR_SHARE
        ]
        workspace.candidates[phrase.text] = kept
        if len(kept) < len(before):
            lines.append(
                f"inspect: {len(before) - len(kept)} of {phrase.text!r} not {phrase.colour}"
            )
    return {"trace": lines}


async def select_instances(
    state: State, runtime: Runtime[Workspace]
) -> Command[Literal["propose", "__end__"]]:
    """Keep what satisfies the plan; with nothing left, propose again."""
    workspace, plan = runtime.context, state["plan"]
    chosen = select(plan, workspace.candidates, workspace.photo.size_hw)
    line = f"select: {len(chosen)} instances satisfy the plan"
    if not chosen:
        return Command(goto="propose", update={"trace": [line]})
    workspace.chosen = chosen
    warnings: list[str] = []
    if plan.count is not None and len(chosen) != plan.count:
        warnings.append(f"the instruction speaks of {plan.count}, {len(chosen)} were found")
    elif plan.singular and not plan.is_plain_concept and len(chosen) > 1:
        warnings.append(f"the instruction speaks of one, {len(chosen)} fit it")
    return Command(
        goto=_FINISH,
        update={
            "status": RunStatus.SELECTED,
            "presence": max(workspace.presences[one.phrase] for one in chosen),
            "trace": [line],
            "warnings": warnings,
        },
    )


def _nothing(state: State, workspace: Workspace, reason: str) -> dict[str, Any]:
    phrases = state["plan"].phrases
    presences = [workspace.presences.get(phrase.text, 0.0) for phrase in phrases]
    missing = [phrase.text for phrase in phrases if not workspace.candidates.get(phrase.text)]
    because = (
        f"nothing found for {', '.join(map(repr, missing))}" if missing else "no candidate fits"
    )
    return {
        "status": RunStatus.NO_TARGET,
        "presence": min(presences),
        "trace": [f"finish: {because}; {reason}"],
    }


async def _ensure_encoded(workspace: Workspace) -> int:
    """Encode the photo if no node has yet; return the encodings that took (0 or 1)."""
    if workspace.encoded is not None:
        return 0
    workspace.encoded = await asyncio.to_thread(workspace.segmenter.encode, workspace.photo)
    return 1


async def _ask(workspace: Workspace, prompts: Sequence[Prompt]) -> list[Instances]:
    encoded: EncodedImageLike | None = workspace.encoded
    if encoded is None:
        raise RuntimeError("the photo must be encoded before it is asked about")
    return await asyncio.to_thread(encoded.segment, prompts)


def _describe(plan: Plan) -> str:
    parts: list[str] = []
    for target in plan.targets:
        words = [repr(target.phrase.text)]
        words += [_describe_constraint(constraint) for constraint in target.constraints]
        parts.append(", ".join(words))
    count = f" (count {plan.count})" if plan.count is not None else ""
    return " and ".join(parts) + count


def _describe_constraint(constraint: Constraint) -> str:
    match constraint:
        case RankBySize(largest_first=largest_first, rank=rank):
            return f"number {rank} from the {'largest' if largest_first else 'smallest'}"
        case RankByPosition(end=end, rank=rank):
            return f"number {rank} from the {end}"
        case InRegion(sides=sides):
            return f"in the {' '.join(sides) or 'middle'}"
        case HasRelation(relation=relation, anchor=anchor):
            return f"{relation} {anchor.phrase.text!r}"
        case Excluding(phrase=phrase):
            return f"except {phrase.text!r}"
