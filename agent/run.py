"""One request through the graph."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, ParamSpec, TypeVar, Unpack

from langchain_core.runnables import RunnableConfig

from sam3i_agent.agent.graph import GRAPH
from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.factory import LanguageFactory, offline_planner
from sam3i_agent.agent.language.ledger import Ledger, MemoryLedger
from sam3i_agent.agent.recording.runs import RecordedRun
from sam3i_agent.agent.requests import RequestOptions, make_request
from sam3i_agent.agent.state import Agent, InputState, Workspace
from sam3i_agent.agent.telemetry import tracer
from sam3i_agent.agent.tool_calling.graph import TOOLS
from sam3i_agent.core.contracts import (
    LevelChoice,
    Provenance,
    Route,
    RouteChoice,
    RunStatus,
    SegmentationResult,
    SegmentRequest,
    Usage,
)
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.results import build_result, instance_of
from sam3i_agent.segmodel.segmenter import EncodedImage, Segmenter, provenance_of

logger = logging.getLogger(__name__)

_AGENTS: Mapping[RouteChoice, Agent] = {RouteChoice.AGENT_TOOLS: TOOLS}
"""By the route that is asked for; the other routes are the graph's own."""


async def segment_photo(
    segmenter: Segmenter,
    photo: Photo,
    instruction: str,
    *,
    language: LanguageFactory = offline_planner,
    agent: Agent | None = None,
    on_step: Callable[[str], None] = lambda line: None,
    **options: Unpack[RequestOptions],
) -> SegmentationResult:
    """Segment `photo` by `instruction`.

    Args:
        segmenter: a loaded model.
        photo: the picture, upright.
        instruction: English text.
        language: the agent's language side.
        agent: that answers; None takes the route's.
        on_step: called with each line of the trace as it is written.
        **options: route, level, max_instances, budgets, policy; see `RequestOptions`.

    Raises:
        InputError: the instruction cannot be used, or the model lacks the level asked for.
    """
    request = make_request(photo, instruction, **options)
    return await answer_request(
        segmenter, photo, request, language=language, agent=agent, on_step=on_step
    )


async def answer_request(
    segmenter: Segmenter,
    photo: Photo,
    request: SegmentRequest,
    *,
    language: LanguageFactory = offline_planner,
    agent: Agent | None = None,
    recorded: RecordedRun | None = None,
    ledger: Ledger | None = None,
    encoded: EncodedImage | None = None,
    on_step: Callable[[str], None] = lambda line: None,
) -> SegmentationResult:
    """Answer a request, from its last finished step where it was recorded and killed.

    Args:
        segmenter: a loaded model.
        photo: the picture, upright; the one that the request names.
        request: what is asked.
        language: the agent's language side.
        agent: that answers; None takes the route's.
        recorded: where the run is kept; None keeps it in memory.
        ledger: requests to the language model that were answered before; None takes the record's.
        encoded: the photo, where the caller has it ready; what that took is not counted here.
        on_step: called with each line of the trace as it is written.

    Raises:
        InputError: the model lacks the level asked for, or the photo is another one.
        StorageError: the record cannot be used.
    """
    if photo.sha256 != request.image_sha256:
        raise InputError("the photo is not the one that the run was about")
    level = request.level
    level_is_ours = level in (LevelChoice.AUTO, LevelChoice.JOINT) or request.route.by_agent
    if not level_is_ours and level not in segmenter.levels:
        raise InputError(
            f"this model has no instruction head for level {level!s}",
            "use --level auto or concept, --route agent, or a SAM3-I checkpoint",
        )
    started = time.perf_counter()
    with tracer.start_as_current_span("sam3i.run") as span:
        if ledger is None:
            ledger = MemoryLedger() if recorded is None else recorded.ledger()
        meter = Meter(request.budgets, ledger)
        async with _open_workspace(
            segmenter, photo, meter, language, recorded, encoded
        ) as workspace:
            graph = agent or _AGENTS.get(request.route, GRAPH)
            state = await _run_graph(graph, workspace, request, recorded, on_step)
            seconds = time.perf_counter() - started
            # Hashes may have to be waited for, the first time.
            provenance = await asyncio.to_thread(provenance_of, segmenter)
            result = _result(state, workspace, request, seconds, recorded, provenance)
        said = {"route": result.route, "status": result.status, "count": result.count}
        span.set_attributes(said)
        rounds, asked = result.usage.rounds, result.usage.mllm_calls
        logger.info(
            "%s route: %s, %d instances, %d rounds, %d requests to a language model",
            *said.values(), rounds, asked,
        )  # fmt: skip
    return result


@asynccontextmanager
async def _open_workspace(
    segmenter: Segmenter,
    photo: Photo,
    meter: Meter,
    language: LanguageFactory,
    recorded: RecordedRun | None,
    encoded: EncodedImage | None,
) -> AsyncIterator[Workspace]:
    side = language(meter)
    try:
        yield Workspace(
            segmenter,
            photo,
            side,
            meter,
            record=recorded,
            encoded=encoded,
            candidates=[] if recorded is None else recorded.load_candidates(),
        )
    finally:
        await side.close()
        meter.ledger.close()


async def _run_graph(
    agent: Agent,
    workspace: Workspace,
    request: SegmentRequest,
    recorded: RecordedRun | None,
    on_step: Callable[[str], None],
) -> dict[str, Any]:
    config: RunnableConfig = {"recursion_limit": agent.most_steps(request.budgets)}
    async with AsyncExitStack() as stack:
        checkpointer = None
        start: InputState | None = {"request": request}
        if recorded is not None:
            checkpointer = await stack.enter_async_context(recorded.checkpointer())
            config["configurable"] = {"thread_id": recorded.info.run_id}
        graph = agent.compile(checkpointer)
        state: dict[str, Any] = {}
        if recorded is not None:
            state = (await graph.aget_state(config)).values
            start = None if state else start
        stream: Any = graph.astream(
            start,
            config,
            context=workspace,
            stream_mode=["updates", "values"],
            durability=None if recorded is None else "sync",
        )
        async for mode, chunk in stream:
            if mode == "values":
                state = chunk
                continue
            for update in chunk.values():
                for line in (update or {}).get("trace", ()):
                    logger.debug("%s", line)
                    on_step(line)
        return state


def _result(
    state: dict[str, Any],
    workspace: Workspace,
    request: SegmentRequest,
    seconds: float,
    recorded: RecordedRun | None,
    provenance: Provenance,
) -> SegmentationResult:
    ledger = workspace.meter.ledger
    chosen = [workspace.candidates[position] for position in state.get("chosen", ())]
    return build_result(
        request,
        workspace.photo,
        [instance_of(one.masks, one.box_xyxy, one.score) for one in chosen],
        route=state.get("route", Route.AGENT),
        level=state["level"],
        status=state.get("status", RunStatus.FAILED),
        presence=state.get("presence", 0.0),
        trace=state["trace"],
        usage=Usage(
            seconds=round(seconds, 4),
            image_encodings=state.get("image_encodings", 0),
            prompts=state.get("prompts", 0),
            mllm_calls=ledger.calls,
            tokens=ledger.tokens,
            pictures=ledger.pictures,
            rounds=state.get("round", 0),
        ),
        warnings=state["warnings"],
        run_id=None if recorded is None else recorded.info.run_id,
        provenance=provenance,
    )


P = ParamSpec("P")
R = TypeVar("R")


def _blocking(function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, R]:
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return asyncio.run(function(*args, **kwargs))

    call.__doc__ = "Call `segment_photo` from code without an event loop."
    return call


segment_photo_sync = _blocking(segment_photo)
