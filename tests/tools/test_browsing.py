"""How the server looks in a host: its face, results in lists, prompts, what the model is for."""

import io
from pathlib import Path
from typing import Any

import anyio
import httpx
import numpy as np
import pytest
import skimage
from mcp import Client
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp_types import PromptReference, ResourceTemplateReference
from numpy.typing import NDArray
from PIL import Image

from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.photo import Photo, read_photo
from sam3i_agent.data.everyday import draw_scene
from sam3i_agent.data.kinds import SceneStyle
from sam3i_agent.tools.langchain.subgraph import Question, segmentation_graph
from sam3i_agent.tools.mcp.browsing import MAX_LISTED_RESULTS
from sam3i_agent.tools.purpose import MAX_DETAIL, detail_of, purpose_of, unlike_what_it_knows
from tests.tools.fakes import client_of, picture_uri, text_of, toolbox_of
from tests.tools.servers import SERVE, http_server

ERAS = ["legacy", "2026-07-28"]
STAR = {"image": picture_uri(), "instruction": "star"}


def test_the_server_has_a_version_a_title_and_an_icon():
    async def run() -> None:
        async with client_of() as client:
            info = client.server_info
            assert info.name == "sam3i" and info.title == "Segment by instruction"
            assert info.version[0].isdecimal()
            (icon,) = info.icons
            assert icon.src.startswith("data:image/svg+xml;base64,") and len(icon.src) < 1000

    anyio.run(run)


def test_results_are_listed_and_the_list_stays_short():
    async def run() -> None:
        async with client_of() as client:
            assert (await client.list_resources()).resources == []
            for _ in range(MAX_LISTED_RESULTS + 2):
                answer = await client.call_tool("segment", STAR)
            listed = (await client.list_resources(cache_mode="refresh")).resources
            assert len(listed) == MAX_LISTED_RESULTS
            assert answer.structured_content["result_id"] in listed[0].uri
            assert "1 instance of 'star'" in listed[0].title
            (content,) = (await client.read_resource(listed[0].uri)).contents
            assert content.mime_type == "image/png"

    anyio.run(run)


def test_an_older_client_is_told_that_the_list_has_changed():
    told: list[str] = []

    async def on_message(message: Any) -> None:
        told.append(getattr(getattr(message, "root", message), "method", ""))

    async def run() -> None:
        from sam3i_agent.tools.mcp.server import build_server

        server = build_server(toolbox_of())
        async with Client(server, mode="legacy", message_handler=on_message) as client:
            assert client.server_capabilities.resources.list_changed is True
            first = await client.call_tool("segment", STAR)
            result = {"result_id": first.structured_content["result_id"]}
            await client.call_tool("measure", result)  # makes no result
            await anyio.sleep(0.05)

    anyio.run(run)
    assert told.count("notifications/resources/list_changed") == 1


def test_older_clients_of_one_server_hear_what_each_has_asked_for():
    heard: dict[str, list[str]] = {"all": [], "grave": []}

    def client(server: Any, name: str) -> Client:
        async def on_log(params: Any) -> None:
            heard[name].append(params.level)

        return Client(server, mode="legacy", logging_callback=on_log)

    async def run() -> None:
        from sam3i_agent.tools.mcp.server import build_server

        server = build_server(toolbox_of())
        async with client(server, "all") as first, client(server, "grave") as second:
            assert first.server_capabilities.logging is not None
            with pytest.warns(MCPDeprecationWarning):
                await second.set_logging_level("error")
            for one in (first, second):
                await one.call_tool("segment", STAR)
            await anyio.sleep(0.05)

    anyio.run(run)
    assert heard["all"] == ["info"] and heard["grave"] == []


def test_a_newer_client_that_listens_is_told():
    async def run() -> None:
        async with client_of() as client, client.listen(resources_list_changed=True) as changes:
            await client.call_tool("segment", STAR)
            with anyio.fail_after(5):
                async for change in changes:
                    assert type(change).__name__ == "ResourcesListChanged"
                    break

    anyio.run(run)


def test_slash_commands_are_filled_in():
    async def run() -> None:
        async with client_of() as client:
            prompts = {one.name: one for one in (await client.list_prompts()).prompts}
            assert set(prompts) == {"count", "compare", "cut_out"}
            for name, prompt in prompts.items():
                arguments = {one.name: f"<{one.name}>" for one in prompt.arguments}
                (message,) = (await client.get_prompt(name, arguments)).messages
                assert all(value in message.content.text for value in arguments.values())

    anyio.run(run)


def test_every_template_completes_its_ids():
    async def run() -> None:
        async with client_of() as client:
            answer = await client.call_tool("segment", {**STAR, "instruction": "circle"})
            id_ = answer.structured_content["result_id"]
            for one in (await client.list_resource_templates()).resource_templates:
                if "/results/" in one.uri_template:
                    ref = ResourceTemplateReference(uri=one.uri_template)
                    found = await client.complete(ref, {"name": "id", "value": id_[:2]})
                    assert found.completion.values == [id_], one.uri_template
            masks = ResourceTemplateReference(uri="sam3i://results/{id}/masks/{number}.png")
            asked = {"name": "number", "value": ""}
            found = await client.complete(masks, asked, context_arguments={"id": id_})
            assert found.completion.values == ["1", "2", "3", "4", "5"]
            nothing = PromptReference(name="count")
            found = await client.complete(nothing, {"name": "what", "value": "m"})
            assert found.completion.values == []

    anyio.run(run)


def test_a_named_page_may_call_and_no_other():
    page, other = "https://chat.example.com", "https://evil.example.com"
    with http_server(*SERVE, "--allow-origin", page) as (url, _):
        asked = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type, mcp-protocol-version",
        }
        allowed = httpx.options(url, headers={"Origin": page, **asked})
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == page
        assert "mcp-protocol-version" in allowed.headers["access-control-allow-headers"].lower()
        refused = httpx.options(url, headers={"Origin": other, **asked})
        assert "access-control-allow-origin" not in refused.headers
        headers = {"Accept": "application/json, text/event-stream"}
        hello = {
            "jsonrpc": "2.0", "id": 1, "method": "initialize",
            "params": {
                "protocolVersion": "2025-11-25", "capabilities": {},
                "clientInfo": {"name": "page", "version": "1"},
            },
        }  # fmt: skip
        called = httpx.post(url, headers={"Origin": page, **headers}, json=hello)
        assert called.status_code == 200
        assert called.headers["access-control-allow-origin"] == page
        assert "mcp-session-id" in called.headers["access-control-expose-headers"].lower()
        assert httpx.post(url, headers={"Origin": other, **headers}, json=hello).status_code == 403


def _photograph(name: str) -> Photo:
    return read_photo(Path(skimage.__file__).parent / "data" / name)


def _as_jpeg(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return np.asarray(Image.open(file))


@pytest.mark.parametrize(
    ("style", "false_alarms"), [(SceneStyle.SHAPES, 0), (SceneStyle.EVERYDAY, 3)]
)
def test_scenes_of_both_kinds_are_hardly_ever_taken_for_photographs(
    style: SceneStyle, false_alarms: int
):
    scenes = [draw_scene(style, 17, index).image for index in range(60)]
    for pictures in (scenes, map(_as_jpeg, scenes)):
        said = [unlike_what_it_knows(ModelChoice("tiny"), Photo(one, "0" * 64)) for one in pictures]
        assert sum(map(bool, said)) <= false_alarms


def test_a_photograph_is_told_from_a_scene():
    for name in ("chelsea.png", "astronaut.png", "coffee.png", "motorcycle_left.png", "rocket.jpg"):
        photo = _photograph(name)
        assert detail_of(photo) > MAX_DETAIL
        assert "like a photograph" in unlike_what_it_knows(ModelChoice("tiny"), photo)
        assert unlike_what_it_knows(ModelChoice("facebook/sam3"), photo) == ""


def test_what_a_model_is_for_comes_from_its_card(tmp_path: Path):
    assert "Not for: photographs" in purpose_of(ModelChoice("tiny"))
    assert purpose_of(ModelChoice(str(tmp_path))) == ""
    (tmp_path / "MODEL_CARD.md").write_text("# Mine\n\n**For**: leaves,\nseen from above.\n\nMore")
    assert purpose_of(ModelChoice(str(tmp_path))) == "For: leaves, seen from above."


@pytest.mark.parametrize("tool", ["segment", "segment_concepts"])
def test_an_answer_warns_of_a_photograph(tool: str):
    toolbox = toolbox_of()
    toolbox.service.model = ModelChoice("tiny")
    path = str(Path(skimage.__file__).parent / "data" / "chelsea.png")
    words = {"instruction": "anvil"} if tool == "segment" else {"phrases": ["anvil"]}

    async def run() -> None:
        async with client_of(toolbox) as client:
            answer = await client.call_tool(tool, {"image": path, **words})
            assert text_of(answer).startswith("warning: this looks like a photograph")
            assert text_of(answer).count("like a photograph") == 1
            assert any("photograph" in one for one in answer.structured_content["warnings"])

    anyio.run(run)
    assert np.all(toolbox.results.get(toolbox.results.ids()[0]).photo.size_hw)


def test_the_agent_as_a_node_warns_of_a_photograph():
    service = toolbox_of().service
    service.model = ModelChoice("tiny")
    path = str(Path(skimage.__file__).parent / "data" / "chelsea.png")
    question = Question(image=path, instruction="anvil", route="direct")
    answer = anyio.run(segmentation_graph(service).ainvoke, question)
    assert any("like a photograph" in one for one in answer["result"]["warnings"])
