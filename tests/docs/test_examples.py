"""The programs in examples/ work, with models that play a script."""

import asyncio
import json
import runpy
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from pydantic import Field

from tests.agent.scripted_server import Body, Reply, asked, call, say, serve
from tests.docs.pages import ROOT

PICTURE = ROOT / "examples" / "scene.png"
ANSWER = "There is one."


def test_the_chat_loop_hands_on_what_the_tools_found(monkeypatch: pytest.MonkeyPatch):
    def script(body: Body, number: int) -> Reply:
        if number:
            return say(ANSWER)
        assert asked(body) == "segment"
        return call(body, image=str(PICTURE), instruction="the red square", route="agent")

    chat = runpy.run_path(str(ROOT / "examples" / "chat_loop.py"))["chat"]
    with serve(script) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        assert asyncio.run(chat(PICTURE, "How many red squares?")) == ANSWER
    told, shown = server.log[1]["messages"][-2:]
    assert told["role"] == "tool" and json.loads(told["content"])["count"] == 1
    (picture,) = shown["content"]  # a message of the user's: those of tools hold no pictures
    assert shown["role"] == "user"
    assert picture["image_url"]["url"].startswith("data:image/jpeg;base64,")


class _Scripted(GenericFakeChatModel):
    """Says what it is told to say, and keeps what it hears."""

    heard: list[Sequence[BaseMessage]] = Field(default_factory=list)

    def bind_tools(self, tools: Any, **kwargs: Any) -> BaseChatModel:
        assert "segment" in {one.name for one in tools}
        return self

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        self.heard.append(messages)
        return super()._generate(messages, *args, **kwargs)


def test_langgraphs_agent_calls_the_tools():
    arguments = {"image": str(PICTURE), "instruction": "the red square"}
    call = {"name": "segment", "args": arguments, "id": "1"}
    script = [AIMessage("", tool_calls=[call]), AIMessage(ANSWER)]
    model = _Scripted(messages=iter(script))
    ask = runpy.run_path(str(ROOT / "examples" / "langgraph_agent.py"))["ask"]
    assert asyncio.run(ask(model, PICTURE, "How many red squares?")) == ANSWER
    answer = model.heard[1][-1]
    assert isinstance(answer, ToolMessage) and json.loads(answer.text)["count"] == 1
    (picture,) = answer.artifact
    assert picture.startswith("data:image/jpeg;base64,")


def test_the_segmentation_graph_serves_another_graph_and_streams_its_steps():
    graph: Any = runpy.run_path(str(ROOT / "examples" / "langgraph_subgraph.py"))["graph"]
    question = {"image": str(PICTURE), "instruction": "diamond", "route": "agent"}

    async def ask() -> tuple[dict[str, Any], set[str]]:
        answer = await graph.ainvoke(question)
        steps = {event["name"] async for event in graph.astream_events(question, version="v2")}
        return answer, steps

    answer, steps = asyncio.run(ask())
    assert answer["report"].startswith("3 x diamond, little of the picture")
    assert {"propose", "inspect", "select", "judge"} <= steps


def test_the_segmentation_graph_says_what_it_cannot_use():
    graph: Any = runpy.run_path(str(ROOT / "examples" / "langgraph_server.py"))["graph"]
    lost = asyncio.run(graph.ainvoke({"image": "/nowhere.png", "instruction": "x"}))
    assert "result" not in lost and "there is no image file '/nowhere.png'" in lost["error"]
    question = {"image": str(PICTURE), "instruction": "x", "route": "straight"}
    assert "one of auto, direct, agent" in asyncio.run(graph.ainvoke(question))["error"]
