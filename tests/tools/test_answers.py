"""What a tool's answer holds: enough in each half, a picture where there is something, no more."""

import json
import re
from typing import Any

import anyio
import jsonschema
import numpy as np
import pytest

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.masks import Masks, encode_cut_out
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.results import empty_result, instance_of, with_instances
from sam3i_agent.tools.mcp.answers import MAX_ANSWER_BYTES, AnswerStyle, segment_answer
from sam3i_agent.tools.mcp.openai_schema import call_function
from sam3i_agent.tools.mcp.server import ServerOptions, build_server
from sam3i_agent.tools.results.outputs import MAX_LISTED, Include
from sam3i_agent.tools.results.store import ResultStore
from tests.tools.fakes import client_of, picture_uri, pictures_of, text_of, toolbox_of

ALL = frozenset(Include)


def _ask(tool: str, **arguments: Any) -> Any:
    async def run() -> Any:
        async with client_of() as client:
            tools = {one.name: one for one in (await client.list_tools()).tools}
            answer = await client.call_tool(tool, {"image": picture_uri(), **arguments})
            assert not answer.is_error, answer.content
            jsonschema.validate(answer.structured_content, tools[tool].output_schema)
            return answer

    return anyio.run(run)


def _tokens(text: str) -> int:
    return len(pytest.importorskip("bpe_openai").get_encoding("o200k_base").encode(text))


@pytest.mark.parametrize("half", ["content", "structure"])
def test_a_host_that_hands_on_one_half_alone_comes_through(half: str):
    """It sees the text and the picture, or the data alone, where there is any."""

    def id_in(answer: Any) -> str:
        if half == "structure":
            return answer.structured_content["result_id"]
        return re.search(r"\b[0-9a-f]{16}\b", text_of(answer))[0]

    def seen(answer: Any) -> str:
        if half == "structure" and answer.structured_content is not None:
            return json.dumps(answer.structured_content)
        return text_of(answer)

    async def run() -> None:
        async with client_of() as client:
            image = picture_uri()
            first = await client.call_tool("segment", {"image": image, "instruction": "circle"})
            for said in ("[10, 0, 18, 8]", "top left", "0.9", "5", "refine"):
                assert said in seen(first)
            arguments = {"result_id": id_in(first), "boxes": [[10, 0, 18, 8]]}
            second = await client.call_tool("refine", arguments)
            assert id_in(second) != id_in(first)
            measured = await client.call_tool("measure", {"result_id": id_in(second)})
            assert "64" in seen(measured) and id_in(measured) == id_in(second)
            looked = {"result_id": id_in(second), "instances": [2], "zoom": True}
            viewed = await client.call_tool("view", looked)
            assert viewed.structured_content is None and len(pictures_of(viewed)) == 1

    anyio.run(run)


@pytest.mark.parametrize(("word", "most"), [("anvil", 100), ("star", 150), ("circle", 350)])
def test_a_text_stays_short(word: str, most: int):
    assert _tokens(text_of(_ask("segment", instruction=word))) <= most


def test_many_instances_are_cut_in_the_text_and_whole_in_the_data():
    answer = _ask("segment", instruction="dot")
    assert "100 instances" in text_of(answer) and "and 50 more" in text_of(answer)
    assert len(answer.structured_content["instances"]) == 100


def test_where_nothing_is_found_there_is_no_picture():
    answer = _ask("segment", instruction="anvil")
    assert pictures_of(answer) == [] and answer.structured_content["count"] == 0
    assert "nothing found" in text_of(answer)
    assert len(pictures_of(_ask("segment", instruction="star"))) == 1


def test_hash_trace_and_addresses_come_when_asked_for():
    plain = _ask("segment", instruction="star")
    assert not {"details", "resources", "parent_id"} & set(plain.structured_content)
    assert "sam3i://" not in text_of(plain) + json.dumps(plain.structured_content)
    full = _ask("segment", instruction="star", include=["links", "details"])
    found = full.structured_content
    assert len(found["details"]["sha256"]) == 64 and found["details"]["trace"]
    assert found["instances"][0]["mask_uri"] == found["resources"][0].replace(
        "overlay.png", "masks/1.png"
    )
    assert pictures_of(full) == []


def test_several_concepts_have_one_overlay_and_numbers_across_them():
    answer = _ask("segment_concepts", phrases=["star", "anvil", "circle"])
    found = answer.structured_content
    assert len(pictures_of(answer)) == 1 and found["count"] == 6
    assert [one["numbers"] for one in found["concepts"]] == [[1], [], [2, 3, 4, 5, 6]]
    assert [one["phrase"] for one in found["instances"]] == ["star", *["circle"] * 5]
    assert "circle: 5, number 2 to 6" in text_of(answer) and "anvil: none" in text_of(answer)


def test_examples_go_to_one_phrase_of_several():
    async def run() -> None:
        async with client_of() as client:
            concepts = {"image": picture_uri(), "phrases": ["star", "circle"]}
            found = (await client.call_tool("segment_concepts", concepts)).structured_content
            arguments = {"result_id": found["result_id"], "boxes": [[1, 1, 9, 9]]}
            refused = await client.call_tool("refine", arguments)
            one = found["concepts"][1]["result_id"]
            assert refused.is_error and one in text_of(refused)
            assert not (await client.call_tool("refine", {**arguments, "result_id": one})).is_error

    anyio.run(run)


@pytest.fixture(scope="module")
def large():
    """A noisy photo of 6 megapixels with 230 ragged instances."""
    size = (2000, 3000)
    random = np.random.default_rng(1)
    pixels = random.integers(0, 255, (*size, 3), np.uint8)
    photo = Photo(pixels, "0" * 64)
    found = []
    for i in range(230):
        x, y = 150 * (i % 20), 150 * (i // 20)
        counts = encode_cut_out(random.random((100, 100)) < 0.5, x, y, size)
        box = (float(x), float(y), x + 100.0, y + 100.0)
        found.append(instance_of(Masks(size, [counts]), box, 0.5))
    return ResultStore().add(with_instances(empty_result(photo), found, "made"), photo)


def _size(answer: Any) -> int:
    return len(answer.model_dump_json(by_alias=True, exclude_none=True).encode())


@pytest.mark.parametrize("kb", [20, 300, 900])
def test_an_answer_stays_under_a_megabyte_whatever_is_asked(large, kb: int):
    answer = segment_answer(large, ALL - {Include.POLYGONS}, AnswerStyle(kb))
    assert _size(answer) < MAX_ANSWER_BYTES == 1_000_000
    (picture,) = (one for one in answer.content if one.type == "image")
    assert len(picture.data) <= 1000 * kb
    data = answer.structured_content
    assert len(data["instances"]) == MAX_LISTED and data["count"] == 230
    assert "mask" not in data["instances"][0]
    assert any("masks would be too long" in one for one in data["warnings"])
    assert any("first 200" in one for one in data["warnings"])


def test_shapes_that_fit_are_sent(large):
    few = large.result.instances[:3]
    stored = ResultStore().add(with_instances(large.result, few, "fewer"), large.photo)
    data = segment_answer(stored, ALL, AnswerStyle()).structured_content
    assert data["instances"][0]["mask"]["size"] == [2000, 3000] and data["warnings"] == []
    assert data["instances"][2]["polygons"][0][0]


def test_a_view_shows_what_is_chosen():
    async def run() -> None:
        async with client_of() as client:
            asked = {"image": picture_uri(), "instruction": "circle"}
            id_ = (await client.call_tool("segment", asked)).structured_content["result_id"]

            async def view(**arguments: Any) -> np.ndarray:
                answer = await client.call_tool("view", {"result_id": id_, **arguments})
                (picture,) = pictures_of(answer)
                return np.asarray(picture, np.int16)

            everything, plain = await view(), await view(marks=False)
            assert everything.shape == plain.shape == (100, 100, 3)
            one = await view(instances=[5])
            changed = np.abs(one - plain).max(axis=2) > 80
            assert changed[0:8, 40:48].any() and not changed[60:, :].any()
            near = await view(instances=[5], zoom=True, side=400)
            assert max(near.shape) == 400
            refused = await client.call_tool("view", {"result_id": id_, "instances": [6]})
            assert refused.is_error and "1 to 5" in text_of(refused)

    anyio.run(run)


def test_the_offer_can_be_narrowed():
    async def run() -> None:
        options = ServerOptions(tools=("segment", "view"))
        async with client_of(options=options) as client:
            names = [one.name for one in (await client.list_tools()).tools]
            assert names == ["segment", "view"]
            asked = {"image": picture_uri(), "instruction": "star"}
            answer = await client.call_tool("segment", asked)
            assert answer.structured_content["next"].endswith("view to look closer.")

    anyio.run(run)
    for options, said in (
        (ServerOptions(tools=("segment", "paint")), "the tools are segment, segment_concepts"),
        (ServerOptions(picture_kb=5000), "10 to 900 kB"),
    ):
        with pytest.raises(InputError, match=said):
            build_server(toolbox_of(), options)


def test_a_function_call_hands_pictures_on_beside_the_text():
    async def run() -> None:
        server = build_server(toolbox_of())
        asked = json.dumps({"image": picture_uri(), "instruction": "star"})
        answer = await call_function(server, "segment", asked)
        id_ = json.loads(answer.text)["result_id"]
        assert answer.pictures[0].startswith("data:image/jpeg;base64,/9j/")
        viewed = await call_function(server, "view", json.dumps({"result_id": id_}))
        assert json.loads(viewed.text) == {"pictures": 1} and len(viewed.pictures) == 1

    anyio.run(run)
