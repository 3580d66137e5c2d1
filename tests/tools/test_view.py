"""What the view draws, what hosts are told of it, and that the page is built from its sources."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
import shapely
from mcp import Client
from mcp_types import TextResourceContents
from PIL import Image, ImageDraw

from sam3i_agent.core.contracts import CompressedMask
from sam3i_agent.core.rle import encode_mask, runs_of
from sam3i_agent.tools.mcp.view.data import MAX_PATH_CHARACTERS, paths_of
from sam3i_agent.tools.mcp.view.page import VIEW_META, VIEW_URI, page
from tests.tools.fakes import client_of, picture_uri

SOURCES = Path(__file__).parent.parent.parent / "tools" / "mcp" / "view" / "src"
SHOWN = {"segment", "segment_concepts", "refine", "track"}
"""Tools whose answers the view shows."""
_BORDER = {"prefersBorder": False}


def test_the_page_is_built_from_its_sources():
    found = hashlib.sha256()
    names = (one.relative_to(SOURCES).as_posix() for one in SOURCES.rglob("*.*"))
    for name in sorted(names):
        found.update(f"{name}\n".encode() + (SOURCES / name).read_bytes())
    assert f'name="sources" content="{found.hexdigest()}"' in page(), "run `make view`"


def test_the_page_needs_no_network():
    addresses = set(re.findall(r"https?://[^\s\"'`<>)]+", page()))
    assert addresses == {"http://www.w3.org/2000/svg"}
    assert len(page()) < 100_000


def test_hosts_find_the_page_by_the_tools_and_it_is_nothing_to_attach():
    async def run() -> None:
        async with client_of() as client:
            tools = (await client.list_tools()).tools
            assert {one.name for one in tools if one.meta == VIEW_META} == SHOWN
            (content,) = (await client.read_resource(VIEW_URI)).contents
            assert isinstance(content, TextResourceContents) and content.text == page()
            assert content.mime_type == "text/html;profile=mcp-app"
            assert content.meta == {"ui": {"permissions": {"clipboardWrite": {}}, **_BORDER}}
            assert (await client.list_resources()).resources == []

    anyio.run(run)


def test_a_result_and_its_correction_as_the_view_draws_them():
    async def run() -> None:
        async with client_of() as client:
            first = await _drawn(client, "segment", image=picture_uri(), instruction="circle")
            assert first["count"] == len(first["instances"]) == 5
            assert first["instances"][1]["path"] == "M10 0l8 0 0 8 -8 0z"
            assert first["takes_boxes"] and not first["takes_points"] and not first["examples"]
            second = await _drawn(
                client, "refine", result_id=first["result_id"], boxes=[[1, 2, 30, 40]]
            )
            assert second["parent_id"] == first["result_id"] and second["photo"] == first["photo"]
            assert second["examples"] == [{"box": [1, 2, 30, 40], "positive": True}]
            several = await _drawn(
                client, "segment_concepts", image=picture_uri(), phrases=["star", "circle"]
            )
            assert [one["name"] for one in several["instances"]] == ["star"] + ["circle"] * 5
            assert not several["takes_boxes"]  # a box is an example of one phrase

    anyio.run(run)


async def _drawn(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    answer: Any = await client.call_tool(tool, arguments)
    id_ = answer.structured_content["result_id"]
    (content,) = (await client.read_resource(f"sam3i://results/{id_}/view.json")).contents
    assert isinstance(content, TextResourceContents)
    return json.loads(content.text)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 7), (7, 1), (13, 9), (40, 31)])
def test_runs_are_those_of_the_mask(size_hw: tuple[int, int]):
    random = np.random.default_rng(sum(size_hw))
    for share in (0, 0.02, 0.5, 0.98, 1):
        mask = random.random(size_hw) < share
        flat = np.zeros(mask.size, bool)
        for start, end in runs_of(encode_mask(mask)["counts"]):
            assert not flat[start:end].any()
            flat[start:end] = True
        assert np.array_equal(flat.reshape(size_hw[::-1]).T, mask)


def test_outlines_lie_on_their_masks_also_of_a_large_photo():
    for side in (300, 5000):
        picture = Image.new("1", (side, side))
        draw = ImageDraw.Draw(picture)
        draw.ellipse((0.1 * side, 0.2 * side, 0.7 * side, 0.9 * side), fill=1)
        draw.rectangle((0.3 * side, 0.4 * side, 0.5 * side, 0.6 * side), fill=0)
        mask = np.array(picture)
        mask[-1, -1] = True  # one pixel stays in sight
        (path,) = paths_of([CompressedMask(**encode_mask(mask))])
        rings = [shapely.Polygon(one) for one in _rings(path)]
        drawn = rings[0]
        for one in rings[1:]:
            drawn = drawn.symmetric_difference(one)
        assert len(rings) == 3 and drawn.area == pytest.approx(mask.sum(), rel=0.02)
        assert len(path) < 5000


def _rings(path: str) -> list[np.ndarray]:
    rings = []
    for part in path.split("z")[:-1]:
        start, moves = part[1:].split("l")
        steps = np.array(f"{start} {moves}".replace("-", " -").split(), float).reshape(-1, 2)
        rings.append(np.cumsum(steps, axis=0))
    return rings


def test_an_empty_mask_has_no_outline_and_many_outlines_stay_short():
    empty = CompressedMask(**encode_mask(np.zeros((5, 6), bool)))
    assert paths_of([empty]) == [""]
    noise = np.random.default_rng(0).random((400, 400)) < 0.5
    paths = paths_of([CompressedMask(**encode_mask(noise))] * 3)
    assert sum(map(len, paths)) <= MAX_PATH_CHARACTERS
