"""An argument that a tool does not have is named to the caller, over every way in."""

import json
from typing import Any

import anyio
import pytest
from mcp import Client, stdio_client

from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.tools.mcp.openai_schema import call_function, function_schemas
from sam3i_agent.tools.mcp.server import build_server
from sam3i_agent.tools.results.store import ResultStore
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.sources.sources import ImageSource
from sam3i_agent.tools.toolbox import Toolbox
from tests.tools.servers import EXAMPLE, SERVE, http_server, stdio_server

UNKNOWN = [
    ("refine", {"result_id": "0" * 16, "positive_boxes": [[1, 2, 3, 4]]}, "positive_boxes"),
    ("segment", {"image": str(EXAMPLE), "instruction": "star", "max_instance": 1}, "max_instance"),
    ("segment_concepts", {"image": str(EXAMPLE), "phrases": ["star"], "level": "x"}, "level"),
    ("track", {"video": "clip", "instruction": "star", "keyframe": 0}, "keyframe"),
    ("view", {"result_id": "0" * 16, "instance": 1}, "instance"),
    ("measure", {"result_id": "0" * 16, "unit": "cm"}, "unit"),
    ("describe_capabilities", {"verbose": True}, "verbose"),
]
ERAS = ["legacy", "2026-07-28"]


def _server():
    source = ImageSource(ResultStore(), (EXAMPLE.parent.resolve(),))
    return build_server(Toolbox(SegmentationService(ModelChoice(device="cpu")), source))


async def _refused(server: Any, era: str) -> None:
    async with Client(server, mode=era) as client:
        known = {
            tool.name: list(tool.input_schema.get("properties", {}))
            for tool in (await client.list_tools()).tools
        }
        for name, arguments, unknown in UNKNOWN:
            answer = await client.call_tool(name, arguments)
            assert answer.is_error, name
            said = answer.content[0].text
            assert repr(unknown) in said
            assert all(one in said for one in known[name])


@pytest.mark.parametrize("era", ERAS)
def test_an_unknown_argument_is_named_beside_the_known_ones(era: str):
    anyio.run(_refused, _server(), era)


@pytest.mark.parametrize("era", ERAS)
def test_an_unknown_argument_is_named_over_stdio(era: str):
    anyio.run(_refused, stdio_client(stdio_server(*SERVE)), era)


def test_an_unknown_argument_is_named_over_http():
    with http_server(*SERVE) as (url, _):
        for era in ERAS:
            anyio.run(_refused, url, era)


def test_an_unknown_argument_of_a_function_call_is_named():
    async def run() -> None:
        server = _server()
        for name, arguments, unknown in UNKNOWN:
            answer = json.loads((await call_function(server, name, json.dumps(arguments))).text)
            assert repr(unknown) in answer["error"]
        for one in await function_schemas(server):
            assert one["function"]["parameters"]["additionalProperties"] is False

    anyio.run(run)


def test_a_refusal_does_not_repeat_a_callers_text_at_length():
    async def run() -> None:
        async with Client(_server()) as client:
            many = {"x" * 10_000 + str(number): 1 for number in range(1000)}
            answer = await client.call_tool("measure", {"result_id": "0" * 16, **many})
            assert answer.is_error and len(answer.content[0].text) < 1000

    anyio.run(run)
