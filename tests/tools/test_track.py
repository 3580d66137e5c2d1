"""Clips: identities are kept, a killed run ends the same, and bad files are named."""

import base64
import io
import json
from itertools import pairwise
from pathlib import Path

import anyio
import numpy as np
import pytest
from mcp import Client, MCPError
from PIL import Image, ImageDraw

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.model_choice import ModelChoice, Tiling
from sam3i_agent.segmodel.video.linking import MAX_GAP, TrackLinker
from sam3i_agent.tools import track
from sam3i_agent.tools.mcp.server import build_server
from sam3i_agent.tools.results.clips import ClipStore
from sam3i_agent.tools.results.store import ResultStore
from sam3i_agent.tools.results.track_outputs import FRAMES_NAME, OVERLAY_NAME
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.sources.sources import ImageSource
from sam3i_agent.tools.sources.video import read_frames, write_video
from sam3i_agent.tools.toolbox import Toolbox
from sam3i_agent.tools.track import TrackRun

COUNT = 12
STEP = 6


def _picture(index: int) -> Image.Image:
    """Two red circles that move towards each other and a blue square that does not."""
    picture = Image.new("RGB", (256, 256), (96, 96, 96))
    draw = ImageDraw.Draw(picture)
    left, right = 20 + STEP * index, 180 - STEP * index
    draw.ellipse((left, 30, left + 56, 86), fill=(214, 40, 40))
    draw.ellipse((right, 150, right + 56, 206), fill=(214, 40, 40))
    draw.rectangle((100, 100, 140, 140), fill=(40, 70, 214))
    return picture


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    times = [0.04 * index + (0.5 if index > 5 else 0) for index in range(COUNT)]  # variable rate
    with write_video(path, 25) as write:
        for index, time_s in enumerate(times):
            write(_picture(index), time_s)
    return path


@pytest.fixture(scope="module")
def service() -> SegmentationService:
    return SegmentationService(ModelChoice("tiny", "cpu", Tiling.OFF))


def _run(service, clip, out, text="red circle", key_frame=None, advance=lambda done: None):
    return TrackRun(service, clip, text, out, key_frame).run(advance)


def test_two_things_keep_their_numbers(service, clip, tmp_path):
    summary = _run(service, clip, tmp_path)
    assert summary.frames == COUNT and [one.track for one in summary.tracks] == [1, 2]
    assert all(one.frames == COUNT for one in summary.tracks)
    lines = [json.loads(line) for line in (tmp_path / FRAMES_NAME).read_text().splitlines()]
    for number in (1, 2):
        places = [
            one["box"][0] for line in lines for one in line["instances"] if one["track"] == number
        ]
        steps = {round((b - a) / STEP) for a, b in pairwise(places)}
        assert steps in ({1}, {-1})  # each goes one way
    assert lines[6]["time_s"] - lines[5]["time_s"] > 0.5  # the file's own times
    overlay = list(read_frames(tmp_path / OVERLAY_NAME))
    assert len(overlay) == COUNT
    assert overlay[6].time_s - overlay[5].time_s == pytest.approx(0.54, abs=0.01)


def test_an_instruction_on_a_key_frame_selects_the_track(service, clip, tmp_path):
    summary = _run(service, clip, tmp_path, "the red circle at the top", key_frame=0)
    assert len(summary.tracks) == 1 and summary.left_out == 1
    everything = _run(service, clip, tmp_path, "red circle")  # the frames are done already
    first = everything.tracks[summary.tracks[0].track - 1]
    assert first == summary.tracks[0]


def test_a_killed_run_goes_on_and_ends_the_same(service, clip, tmp_path):
    class KilledError(Exception):
        pass

    def advance(done: int) -> None:
        if done == 5:
            raise KilledError

    _run(service, clip, tmp_path / "whole")
    with pytest.raises(KilledError):
        _run(service, clip, tmp_path / "killed", advance=advance)
    path = tmp_path / "killed" / FRAMES_NAME
    path.write_bytes(path.read_bytes()[:-7])  # within a line
    seen: list[int] = []
    _run(service, clip, tmp_path / "killed", advance=seen.append)
    assert seen[0] == 4 and seen[-1] == COUNT
    assert path.read_text() == (tmp_path / "whole" / FRAMES_NAME).read_text()
    with pytest.raises(InputError, match="holds another run: its text is 'red circle'"):
        _run(service, clip, tmp_path / "killed", "blue square")


def test_a_folder_of_frames_in_the_order_of_its_numbers(tmp_path):
    for index in (0, 2, 10):
        Image.new("RGB", (8, 8), (index, 0, 0)).save(tmp_path / f"frame{index}.png")
    assert [frame.pixels[0, 0, 0] for frame in read_frames(tmp_path)] == [0, 2, 10]
    assert [frame.index for frame in read_frames(tmp_path, start=1)] == [1, 2]
    Image.new("RGB", (9, 8)).save(tmp_path / "frame11.png")
    with pytest.raises(InputError, match=r"frame 3 .* is 9x8 pixels, those before 8x8"):
        list(read_frames(tmp_path))


def test_bad_clips_are_named(clip, tmp_path, service):
    data = clip.read_bytes()
    for name, content, said in (
        ("empty.mp4", b"", "damaged or no video"),
        ("text.mp4", b"hello", "damaged or no video"),
        ("half.mp4", data[: len(data) // 2], "damaged or no video"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=said):
            list(read_frames(path))
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="has no frames"):
        list(read_frames(tmp_path / "none"))
    with pytest.raises(InputError, match="there is no video"):
        list(read_frames(tmp_path / "nowhere.mp4"))
    for text, key_frame, said in (
        ("the red circle on the left", None, "--key-frame"),
        ("the red circle on the left", COUNT, "there is no frame 12"),
        ("what would roll down a slope?", 0, "does not name one kind"),
    ):
        with pytest.raises(InputError, match=said):
            _run(service, clip, tmp_path / f"out {said}", text, key_frame)


def test_tracks_survive_a_gap_and_end_after_a_long_one():
    linker = TrackLinker()
    box = (10.0, 10.0, 30.0, 30.0)
    assert linker.link(0, [box, (60.0, 10.0, 90.0, 40.0)]) == [1, 2]
    assert linker.link(1, [(61.0, 10.0, 91.0, 40.0)]) == [2]
    assert linker.link(5, [box]) == [1]
    assert linker.link(6, []) == []
    assert linker.link(7 + MAX_GAP, [box]) == [3]
    assert len(linker._live) == 1  # what is gone is forgotten


def test_fast_things_are_expected_where_they_go():
    linker = TrackLinker()
    for frame, x in enumerate((0.0, 20.0, 42.0, 72.0, 102.0)):  # in the end a width a frame
        assert linker.link(frame, [(x, 0.0, x + 30, 30.0)]) == [1]


def test_memory_does_not_grow_with_the_clip(tmp_path, monkeypatch):
    """No frame's encoding is kept, and what other calls keep stays."""
    service = SegmentationService(ModelChoice("tiny", "cpu", Tiling.OFF))
    frame = np.array(_picture(0))
    service.segmenter().encode(track._photo_of(frame))
    monkeypatch.setattr(
        track, "read_frames", lambda path, start=0: (_frame(frame, i) for i in range(start, 30))
    )
    _run(service, tmp_path / "x", tmp_path / "out")
    segmenter = service.loaded
    assert segmenter is not None
    assert segmenter.encodings.nbytes == segmenter.encode(track._photo_of(frame)).nbytes


def _frame(pixels, index):
    from sam3i_agent.tools.sources.video import Frame

    changed = pixels.copy()
    changed[0, 0, 0] = index
    return Frame(index, index / 25, changed)


def test_the_tool_over_mcp(service, clip, tmp_path):
    source = ImageSource(ResultStore(), (clip.parent.resolve(),))
    steps: list[str] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        steps.append(message or "")

    async def run() -> None:
        async with Client(build_server(Toolbox(service, source))) as client:
            arguments = {"video": str(clip), "instruction": "red circle"}
            answer = await client.call_tool("track", arguments, progress_callback=on_progress)
            assert not answer.is_error, answer.content
            found = answer.structured_content
            assert found["frames"] == COUNT and len(found["tracks"]) == 2
            for uri, start in zip(
                found["resources"], ('{"frame":0', '{\n  "text"', None), strict=True
            ):
                (content,) = (await client.read_resource(uri)).contents
                if start is None:
                    assert base64.b64decode(content.blob)[4:8] == b"ftyp"
                else:
                    assert content.text.startswith(start)
            frames = found["resources"][0].replace("tracks.jsonl", "frames/{}.jpg")
            (content,) = (await client.read_resource(frames.format(1))).contents
            picture = Image.open(io.BytesIO(base64.b64decode(content.blob)))
            assert picture.format == "JPEG" and picture.size == (512, 512)
            with pytest.raises(MCPError):
                await client.read_resource(frames.format(1000))
            for video, said in (
                ("/etc/passwd", "outside"),
                (str(clip.parent / "no.mp4"), "no video"),
            ):
                answer = await client.call_tool("track", {**arguments, "video": video})
                assert answer.is_error and said in answer.content[0].text

    anyio.run(run)
    assert steps == ["track: 0 frames", "track: 10 frames"]


def test_old_clips_are_dropped():
    clips = ClipStore(max_clips=2)
    made = [clips.create() for _ in range(3)]
    for _, folder in made[1:]:
        (folder / "x").write_text("x")
    assert not made[0][1].exists()
    assert clips.read(made[2][0], "x") == b"x"
    for id_ in (made[0][0], "../etc", ""):
        with pytest.raises(InputError, match="there is no x of a clip"):
            clips.read(id_, "x")
