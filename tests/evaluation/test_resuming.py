"""Whoever goes on in a folder of another run is told so in the same way."""

import numpy as np
import pytest
from PIL import Image

from sam3i_agent.core.contracts import RouteChoice
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.model_choice import ModelChoice, Tiling
from sam3i_agent.data.scene_files import write_scenes
from sam3i_agent.evaluation.compare.comparison import compare_routes
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.track import TrackRun
from tests.conftest import KnowingSegmenter


@pytest.fixture
def clip(tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    for number in range(2):
        Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(folder / f"{number}.png")
    return folder


def test_comparing_and_tracking_refuse_a_folder_of_another_run_alike(clip, tmp_path):
    service = SegmentationService(ModelChoice("tiny", "cpu", Tiling.OFF))
    scenes = write_scenes(1, tmp_path / "scenes", seed=3)

    def track(folder):
        TrackRun(service, clip, "red circle", folder).run()

    def compare(folder):
        levels, routes = (InstructionLevel.CONCEPT,), (RouteChoice.DIRECT,)
        compare_routes(scenes, routes, KnowingSegmenter(), folder, levels=levels)

    track(tmp_path / "tracks")
    compare(tmp_path / "comparison")
    for go_on, folder in ((track, "comparison"), (compare, "tracks")):
        with pytest.raises(InputError, match="holds another run: ") as caught:
            go_on(tmp_path / folder)
        assert caught.value.hint == "give another --out"
