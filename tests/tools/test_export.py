"""Results on disk: complete, replaced whole, or not there at all."""

import json

import numpy as np
import pytest
from PIL import Image

from sam3i_agent.agent.run import segment_photo_sync
from sam3i_agent.core.errors import StorageError
from sam3i_agent.tools.results import export
from tests.conftest import KnowingSegmenter, block


@pytest.fixture
def result(grey_photo):
    model = KnowingSegmenter({"star": [(block(10, 10, 30, 30), 0.9), (block(60, 60, 99, 99), 0.8)]})
    return segment_photo_sync(model, grey_photo, "star")


def test_everything_is_written(result, grey_photo, tmp_path):
    export.write_result(result, grey_photo, tmp_path / "deep" / "out")
    folder = tmp_path / "deep" / "out"
    assert sorted(path.name for path in folder.iterdir()) == ["masks", "overlay.png", "result.json"]
    written = json.loads((folder / "result.json").read_text())
    assert written == json.loads(result.model_dump_json())
    mask = np.array(Image.open(folder / "masks" / "2.png"))
    np.testing.assert_array_equal(mask.astype(bool), block(60, 60, 99, 99))
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_a_second_run_leaves_no_old_mask(result, grey_photo, tmp_path):
    export.write_result(result, grey_photo, tmp_path / "out")
    fewer = result.model_copy(update={"instances": result.instances[:1]})
    export.write_result(fewer, grey_photo, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "masks").iterdir()] == ["1.png"]


def test_a_failure_half_way_leaves_nothing(result, grey_photo, tmp_path, monkeypatch):
    def fail(*_: object) -> Image.Image:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export, "draw_marks", fail)
    with pytest.raises(StorageError, match="No space left"):
        export.write_result(result, grey_photo, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_found_before_the_work(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(StorageError, match="is a file, not a folder"):
        export.check_writable(tmp_path / "out")
    with pytest.raises(StorageError, match="cannot be written"):
        export.check_writable(tmp_path / "out" / "below")
    export.check_writable(tmp_path / "new" / "deep")
