"""All that stands on the contract runs on OWLv2 and SAM 2: agent, tiles, server, comparison."""

import anyio
import numpy as np
import pytest
from mcp import Client
from PIL import Image

from sam3i_agent.agent.run import segment_photo_sync
from sam3i_agent.core.contracts import LevelChoice, Route, RouteChoice
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.model_choice import ModelChoice, Tiling
from sam3i_agent.core.photo import Photo, read_photo
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.data.scene_files import write_scenes
from sam3i_agent.evaluation.compare.comparison import compare_routes
from sam3i_agent.segmodel.checkpoints.loading import open_segmenter
from sam3i_agent.segmodel.tiling import TilingSegmenter
from sam3i_agent.tools.mcp.server import build_server
from sam3i_agent.tools.results.store import ResultStore
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.sources.sources import ImageSource
from sam3i_agent.tools.toolbox import Toolbox


@pytest.fixture(scope="module")
def segmenter(owlv2_sam2: str) -> TilingSegmenter:
    return open_segmenter(ModelChoice(owlv2_sam2, "cpu"))


def test_the_agent_takes_what_the_level_cannot(segmenter, scene_file):
    photo = read_photo(scene_file)
    noun, instruction = "red circle", "the leftmost red circle"
    assert segment_photo_sync(segmenter, photo, noun).route is Route.DIRECT
    assert segment_photo_sync(segmenter, photo, instruction).route is Route.AGENT
    forced = segment_photo_sync(segmenter, photo, instruction, route=RouteChoice.DIRECT)
    assert forced.level is InstructionLevel.CONCEPT and "no head for" in forced.warnings[0]
    joint = segment_photo_sync(segmenter, photo, noun, level=LevelChoice.JOINT)
    assert joint.level is InstructionLevel.CONCEPT


def test_tiles_are_cut_by_its_own_input(owlv2_sam2):
    tiled = open_segmenter(ModelChoice(owlv2_sam2, "cpu", Tiling.ON))
    pixels = np.random.default_rng(0).integers(0, 255, (300, 500, 3), dtype=np.uint8)
    image = tiled.encode(Photo(pixels, "large"))
    (found,) = image.segment([Prompt("ring")])
    assert image.encodings > 1 and found.masks.size_hw == (300, 500)


def test_the_server_segments_corrects_by_a_click_and_counts(owlv2_sam2, scene_file):
    service = SegmentationService(ModelChoice(owlv2_sam2, "cpu"))
    toolbox = Toolbox(service, ImageSource(ResultStore(), (scene_file.parent.resolve(),)))

    async def run() -> None:
        async with Client(build_server(toolbox)) as client:
            asked = {"image": str(scene_file), "phrases": ["red circle", "ring"]}
            several = await client.call_tool("segment_concepts", asked)
            assert not several.is_error, several.content
            asked = {"image": str(scene_file), "instruction": "red circle"}
            found = (await client.call_tool("segment", asked)).structured_content
            asked = {"result_id": found["result_id"], "points": [[30, 40]]}
            corrected = await client.call_tool("refine", asked)
            assert not corrected.is_error, corrected.content
            able = (await client.call_tool("describe_capabilities", {})).structured_content
            assert owlv2_sam2 in str(able["model"])

    anyio.run(run)
    assert service.loaded is not None
    work = service.loaded.work()
    assert work.photos.misses == 1 and work.photos.hits >= 2 and work.texts.hits >= 1
    assert work.kept_bytes > 0 and work.encoder.passes == 1 and work.decoder.passes >= 2


def test_routes_are_compared_on_it(segmenter, tmp_path):
    dataset = write_scenes(2, tmp_path / "scenes", seed=7)
    compared = compare_routes(dataset, (RouteChoice.DIRECT, RouteChoice.AUTO), segmenter, limit=4)
    assert {one.route for one in compared.summaries} == {RouteChoice.DIRECT, RouteChoice.AUTO}


def test_pictures_of_any_shape_are_answered(segmenter):
    for size_hw in ((40, 300), (300, 40), (1, 1)):
        pixels = np.asarray(Image.new("RGB", size_hw[::-1], "red"))
        (found,) = segmenter.encode(Photo(pixels, f"{size_hw}")).segment([Prompt("ring")])
        assert found.masks.size_hw == size_hw
