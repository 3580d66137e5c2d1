"""What tools take: schemas that every provider takes, what is forgiven, and what is said."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import Tool

from sam3i_agent.tools.mcp.openai_schema import function_schemas
from sam3i_agent.tools.mcp.server import build_server
from tests.tools.fakes import client_of, picture_uri, text_of, toolbox_of
from tests.tools.servers import EXAMPLE

MOST_TOKENS = 2_500
"""Of the list of tools."""
TAKEN = {
    "type", "description", "properties", "required", "items", "minItems", "maxItems", "minimum",
    "maximum", "minLength", "maxLength", "enum", "default", "additionalProperties",
}  # fmt: skip
"""Keywords that no known provider refuses; `$ref`, `anyOf` and `prefixItems` are not among them."""


def _tools(**source: Any) -> list[Tool]:
    async def run() -> list[Tool]:
        async with client_of(toolbox_of(**source)) as client:
            return (await client.list_tools()).tools

    return anyio.run(run)


def _check(schema: dict[str, Any], where: str) -> None:
    assert set(schema) <= TAKEN, f"{where}: {set(schema) - TAKEN}"
    assert isinstance(schema["type"], str), where
    if schema["type"] == "array":
        assert schema["items"].get("type"), where
        _check(schema["items"], f"{where}[]")
    assert set(schema.get("required", ())) <= set(schema.get("properties", ())), where
    for name, one in schema.get("properties", {}).items():
        _check(one, f"{where}.{name}")


def test_every_provider_takes_every_schema():
    for tool in _tools():
        _check(tool.input_schema, tool.name)
        if tool.output_schema is not None:
            _check(tool.output_schema, f"answer of {tool.name}")

    async def functions() -> None:
        for one in await function_schemas(build_server(toolbox_of())):
            _check(one["function"]["parameters"], one["function"]["name"])
            assert len(one["function"]["description"]) < 1024  # OpenAI's limit

    anyio.run(functions)


def test_the_list_of_tools_is_short_and_each_says_when_and_when_not():
    encoding = pytest.importorskip("bpe_openai").get_encoding("o200k_base")
    tools = _tools()
    text = "".join(one.model_dump_json(by_alias=True, exclude_none=True) for one in tools)
    assert len(encoding.encode(text)) <= MOST_TOKENS
    for tool in tools:
        assert "Use it" in tool.description and "Not " in tool.description, tool.name
        assert ("Example: {" in tool.description) is bool(tool.input_schema.get("properties"))
        for name, one in tool.input_schema.get("properties", {}).items():
            assert one["description"], f"{tool.name}.{name}"


def test_the_examples_of_the_descriptions_are_valid():
    import json

    import jsonschema

    for tool in _tools():
        if "Example: " in tool.description:
            jsonschema.validate(
                json.loads(tool.description.partition("Example: ")[2]), tool.input_schema
            )


def test_hints_say_what_is_true():
    for allow_urls in (False, True):
        for tool in _tools(allow_urls=allow_urls):
            opens = "image" in tool.input_schema.get("properties", {})
            assert tool.annotations.read_only_hint is True
            assert tool.annotations.open_world_hint is (allow_urls and opens), tool.name


FORGIVEN = [
    ("segment", {"include": "details"}),  # one value for a list
    ("segment", {"include": "overlay, links"}),
    ("segment", {"include": '["overlay"]'}),  # JSON in a string
    ("segment", {"image": f"file://{EXAMPLE}"}),
    ("segment", {"image": f"FILE://localhost{EXAMPLE}"}),
    ("segment_concepts", {"phrases": "star"}),
    ("segment_concepts", {"phrases": "star, circle"}),
    ("refine", {"boxes": [1, 2, 30, 40]}),  # one box for a list of them
    ("refine", {"boxes": {"x0": 1, "y0": 2, "x1": 30, "y1": 40}}),
    ("refine", {"boxes": [{"x": 1, "y": 2, "width": 30, "height": 40}]}),
    ("refine", {"boxes": [{"left": 1, "top": 2, "right": 30, "bottom": 40}]}),
    ("refine", {"boxes": "[[1, 2, 30, 40]]"}),
    ("measure", {"instances": 1}),
    ("measure", {"instances": "1"}),
    ("view", {"instances": 1}),
]


def test_what_is_clearly_meant_is_taken():
    async def run() -> None:
        async with client_of() as client:
            image = {"image": picture_uri()}
            first = await client.call_tool("segment", {**image, "instruction": "star"})
            result = {"result_id": first.structured_content["result_id"]}
            base = {
                "segment": {**image, "instruction": "star"}, "segment_concepts": image,
                "refine": result, "measure": result, "view": result,
            }  # fmt: skip
            for tool, arguments in FORGIVEN:
                answer = await client.call_tool(tool, {**base[tool], **arguments})
                assert not answer.is_error, f"{tool} {arguments}: {text_of(answer)}"

    anyio.run(run)


ID = "0" * 16
WRONG = [
    ("segment", {"instruction": "star"}, "segment needs image (its arguments are image, instr"),
    ("segment", {"image": "x"}, "segment needs instruction"),
    ("measure", {}, "measure needs result_id"),
    (
        "segment",
        {"image": "x", "instruction": "star", "route": "teleport"},
        "segment: route should be 'auto', 'direct' or 'agent', not 'teleport'",
    ),
    (
        "segment",
        {"image": "x", "instruction": "star", "include": ["pixels"]},
        "include.0 should be 'overlay', 'masks', 'polygons', 'links' or 'details', not 'pixels'",
    ),
    ("segment", {"image": 5, "instruction": "star"}, "image should be a valid string, not 5"),
    ("refine", {"result_id": ID, "boxes": [[1, 2]]}, "refine: boxes.0 List should have at least 4"),
    ("refine", {"result_id": ID, "boxes": [{"a": 1}]}, "refine: boxes.0 should be a valid list"),
    ("refine", {"result_id": ID, "points": [["a", 1]]}, "refine: points.0.0 should be a valid nu"),
    ("view", {"result_id": ID}, "there is no result"),
    ("view", {"result_id": ID, "side": 5}, "side should be greater than or equal to 64, not 5"),
]


@pytest.mark.parametrize(("tool", "arguments", "said"), WRONG)
def test_what_is_wrong_is_said_in_one_line(tool: str, arguments: dict[str, Any], said: str):
    async def run() -> str:
        async with client_of() as client:
            answer = await client.call_tool(tool, arguments)
            assert answer.is_error
            return text_of(answer)

    text = anyio.run(run)
    assert said in text
    assert "\n" not in text and "http" not in text and "Error executing" not in text


@pytest.mark.parametrize("image", ["/etc/hosts", "file:///etc/hosts", "file:///%65tc/hosts"])
def test_the_allowed_folders_are_named(tmp_path: Path, image: str):
    async def run() -> None:
        async with client_of(toolbox_of(roots=(tmp_path.resolve(),))) as client:
            asked = {"image": image, "instruction": "star"}
            answer = await client.call_tool("segment", asked)
            assert answer.is_error and str(tmp_path.resolve()) in text_of(answer)

    anyio.run(run)


@pytest.mark.parametrize("image", ["file://elsewhere/a.png", "file:///a%00b.png"])
def test_file_uris_that_name_no_file_here_are_refused(image: str):
    async def run() -> None:
        async with client_of() as client:
            answer = await client.call_tool("segment", {"image": image, "instruction": "star"})
            assert answer.is_error

    anyio.run(run)
