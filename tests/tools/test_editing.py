"""Photos changed by masks: what is meant and nothing else, in files that keep what they say."""

from pathlib import Path

import anyio
import numpy as np
import pytest
from PIL import ExifTags, Image
from typer.testing import CliRunner

from sam3i_agent.cli.app import app
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.photo import Photo, read_photo
from sam3i_agent.core.results import empty_result, instance_of, with_instances
from sam3i_agent.tools.results.edits.actions import Edit, EditAction, edit_photo
from sam3i_agent.tools.results.edits.files import write_edited
from tests.conftest import block
from tests.tools.fakes import client_of, picture_uri, pictures_of, text_of

LEFT, RIGHT = block(10, 10, 30, 40), block(60, 20, 90, 50)
LEFT[20:25, 15:20] = False  # a hole
PIXELS = np.random.default_rng(3).integers(0, 255, (100, 100, 3), np.uint8)
PHOTO = Photo(PIXELS, "0" * 64)


def _result(photo: Photo, *masks: np.ndarray):
    size = photo.size_hw
    found = [instance_of(Masks.encode([one], size), (0.0, 0.0, 9.0, 9.0), 0.9) for one in masks]
    return with_instances(empty_result(photo), found, "made")


RESULT = _result(PHOTO, LEFT, RIGHT)


def _edited(action: str, **more: object) -> np.ndarray:
    edit = Edit.model_validate({"action": action, **more})
    return np.asarray(edit_photo(PHOTO, RESULT, edit))


@pytest.mark.parametrize("action", ["blur", "pixelate", "fill"])
def test_what_is_hidden_changes_and_nothing_else(action: str):
    edited = _edited(action, instances=[1], colour="white")
    assert np.array_equal(edited[~LEFT], PIXELS[~LEFT])
    assert (edited[LEFT] != PIXELS[LEFT]).any(axis=1).mean() > 0.95
    everything = _edited(action, colour="white")
    assert (everything[RIGHT] != PIXELS[RIGHT]).any(axis=1).mean() > 0.95


def test_a_fill_has_its_colour_and_pixels_are_flat():
    assert (_edited("fill", colour="#102030")[LEFT | RIGHT] == (16, 32, 48)).all()
    flat = _edited("pixelate", instances=[2], strength=10)[20:30, 60:70]
    assert (flat == flat[0, 0]).all()


def test_the_rest_is_removed_or_dimmed():
    removed = _edited("remove_background")
    assert removed.shape == (100, 100, 4)
    assert np.array_equal(removed[..., 3] == 255, LEFT | RIGHT)
    assert not removed[~(LEFT | RIGHT)].any()  # nothing hides under full transparency
    assert np.array_equal(removed[LEFT][:, :3], PIXELS[LEFT])
    dimmed = _edited("dim", instances=[2])
    assert np.array_equal(dimmed[RIGHT], PIXELS[RIGHT]) and dimmed[~RIGHT].max() <= 64


def test_cut_outs_and_crops_have_their_margin():
    cut = _edited("cut_out", instances=[1])
    assert cut.shape == (30, 20, 4)
    assert np.array_equal(cut[..., 3] == 255, LEFT[10:40, 10:30])
    assert _edited("crop", instances=[1], margin=0.1).shape == (36, 26, 3)
    assert _edited("crop", instances=[2], margin=2).shape == (100, 100, 3)  # within the photo


@pytest.mark.parametrize(
    ("more", "said"),
    [({"instances": [3]}, "has 1 to 2"), ({"colour": "blurple"}, "is no colour")],
)
def test_edits_that_cannot_be_done(more: dict, said: str):
    with pytest.raises(InputError, match=said):
        _edited("fill", **more)
    with pytest.raises(InputError, match="no instances"):
        edit_photo(PHOTO, empty_result(PHOTO), Edit(action=EditAction.BLUR))


def _turned_jpeg(path: Path, orientation: int) -> None:
    """A photo whose pixels lie as the EXIF orientation says, with a date and a thumbnail."""
    picture = Image.new("RGB", (60, 40), "white")
    picture.paste("black", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.DateTime] = "2026:01:02 03:04:05"
    picture.save(path, exif=exif, quality=95)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_size_and_exif_are_kept(tmp_path: Path, orientation: int):
    original, out = tmp_path / "a.jpg", tmp_path / "b.jpg"
    _turned_jpeg(original, orientation)
    before = original.read_bytes()
    photo = read_photo(original)
    mask = photo.pixels[..., 0] < 128
    edited = edit_photo(photo, _result(photo, mask), Edit(action=EditAction.FILL, colour="red"))
    write_edited(edited, original, out)
    with Image.open(original) as one, Image.open(out) as other:
        assert one.size == other.size and one.getexif() == other.getexif()
    again = read_photo(out).pixels.astype(int)
    assert np.abs(again - np.asarray(edited)).mean() < 4  # both upright, JPEG apart
    assert original.read_bytes() == before


def test_the_original_is_never_written_and_transparency_needs_a_format_for_it(tmp_path: Path):
    original = tmp_path / "a.jpg"
    _turned_jpeg(original, 1)
    before = original.read_bytes()
    link = tmp_path / "link.jpg"
    link.symlink_to(original)
    for out in (original, link):
        with pytest.raises(InputError, match="is the original"):
            write_edited(Image.new("RGB", (2, 2)), original, out)
    with pytest.raises(InputError, match="no transparency"):
        write_edited(Image.new("RGBA", (2, 2)), original, tmp_path / "b.jpg")
    with pytest.raises(InputError, match="no known ending"):
        write_edited(Image.new("RGB", (2, 2)), original, tmp_path / "b.txt")
    assert original.read_bytes() == before and sorted(tmp_path.iterdir()) == [original, link]


def test_the_command_edits_the_photo_of_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    original = tmp_path / "a.jpg"
    _turned_jpeg(original, 6)
    photo = read_photo(original)
    result = _result(photo, photo.pixels[..., 0] < 128)
    (tmp_path / "result.json").write_text(result.model_dump_json())
    monkeypatch.chdir(tmp_path)

    def run(*more: str) -> str:
        done = CliRunner().invoke(app, ["edit", str(tmp_path), *more])
        return done.output if done.exception is None else str(done.exception)

    assert "give --image" in run("blur")
    assert "written to edited/a-blur.jpg" in run("blur", "--image", "a.jpg")
    assert "written to edited/a-cut_out.png" in run("cut-out", "--image", "a.jpg")
    with Image.open("edited/a-cut_out.png") as cut:
        assert cut.size == (20, 20)
    assert "is the original" in run("blur", "--image", "a.jpg", "--out", "a.jpg")
    assert "action: input should be" in run("paint", "--image", "a.jpg")
    assert "numbers separated" in run("blur", "--image", "a.jpg", "--instances", "x")
    Image.new("RGB", (9, 9)).save("other.png")
    assert "not the photo of this result" in run("blur", "--image", "other.png")


def test_the_tool_shows_an_edit_and_keeps_it_whole_as_a_resource():
    async def run() -> None:
        async with client_of() as client:
            asked = {"image": picture_uri(), "instruction": "circle"}
            id_ = (await client.call_tool("segment", asked)).structured_content["result_id"]
            cut = {"result_id": id_, "action": "cut_out", "instances": "2"}
            answer = await client.call_tool("edit", cut)
            found = answer.structured_content
            assert (found["width"], found["height"], found["instances"]) == (8, 8, [2])
            assert found["uri"] in text_of(answer) and len(pictures_of(answer)) == 1
            (content,) = (await client.read_resource(found["uri"])).contents
            assert content.mime_type == "image/png"
            for change, said in (({"action": "paint"}, "'blur'"), ({"instances": [9]}, "1 to 5")):
                refused = await client.call_tool("edit", {**cut, **change})
                assert refused.is_error and said in text_of(refused)

    anyio.run(run)
