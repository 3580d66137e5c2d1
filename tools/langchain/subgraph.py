"""The whole agent as one node, for someone's own LangGraph graph and for LangGraph's server.

Its state is plain JSON, so that it can be drawn, sent and kept anywhere; pixels and models stay
inside. The steps of the inner graph stream through it (`astream_events`, `subgraphs=True`).
"""

import asyncio
from pathlib import Path
from typing import Any, NotRequired

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from typing_extensions import TypedDict

from sam3i_agent.agent.language.factory import LanguageFactory, offline_planner
from sam3i_agent.agent.requests import make_request
from sam3i_agent.core.contracts import RouteChoice
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.photo import read_photo
from sam3i_agent.tools.service import SegmentationService


class Question(TypedDict):
    """What is asked."""

    image: str
    """Path of a picture that this process can read."""
    instruction: str
    """What to segment, in English."""
    route: NotRequired[str]
    """direct, agent or auto, which is the default."""


class Answered(Question):
    """The question with its answer."""

    result: NotRequired[dict[str, Any]]
    """A `core.contracts.SegmentationResult` as JSON."""
    error: NotRequired[str]
    """Why there is no result: what cannot be used, and what to do; servers hide exceptions."""


Subgraph = CompiledStateGraph[Answered, None, Question, Answered]


def segmentation_graph(
    service: SegmentationService, language: LanguageFactory = offline_planner
) -> Subgraph:
    """Return a graph with one node, `segment`, whose custom stream is the trace.

    Args:
        service: loads its model when the first question comes.
        language: the agent's language side.
    """

    async def segment(state: Question) -> dict[str, Any]:
        try:
            route = _route_of(state.get("route", RouteChoice.AUTO))
            photo = await asyncio.to_thread(read_photo, Path(state["image"]))
            request = make_request(photo, state["instruction"], route=route)
            result = await service.answer(
                photo, request, language=language, on_step=get_stream_writer()
            )
        except InputError as error:
            return {"error": str(error)}
        return {"result": result.model_dump(mode="json")}

    builder = StateGraph(Answered, input_schema=Question)
    builder.add_node("segment", segment)
    builder.add_edge(START, "segment")
    builder.add_edge("segment", END)
    return builder.compile()


def _route_of(name: str) -> RouteChoice:
    try:
        return RouteChoice(name)
    except ValueError as error:
        raise InputError(
            f"no route {name!r} is known", f"one of {', '.join(RouteChoice)}"
        ) from error
