"""The video half: the published layout, the numbers of transformers, and bounded memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Sam3VideoModel
from transformers.models.sam3_video.modeling_sam3_video import Sam3VideoInferenceSession

from sam3i_agent.core.errors import ModelError
from sam3i_agent.core.model_choice import ModelChoice, Tiling
from sam3i_agent.core.photo import Photo
from sam3i_agent.segmodel.checkpoints.loading import load_segmenter
from sam3i_agent.segmodel.clicks import load_click_model
from sam3i_agent.segmodel.preprocessing import to_pixel_values
from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter
from sam3i_agent.segmodel.video.memory import (
    MAX_UNSEEN,
    MemoryTracker,
    load_video_model,
)
from sam3i_agent.tools.results.track_outputs import FRAMES_NAME
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.track import TrackRun

SIDE = 112


@pytest.fixture(scope="module")
def segmenter(repository: Path) -> Sam3Segmenter:
    return load_segmenter(str(repository), device="cpu")


@pytest.fixture(scope="module")
def video(repository: Path, segmenter: Sam3Segmenter) -> Sam3VideoModel:
    return load_video_model(str(repository), segmenter.model)


def _photo(index: int) -> Photo:
    pixels = np.random.default_rng(index).integers(0, 255, (90, 150, 3), dtype=np.uint8)
    return Photo(pixels, sha256=str(index))


def test_one_repository_holds_concepts_clicks_and_video(repository: Path, segmenter: Sam3Segmenter):
    stock = Sam3VideoModel.from_pretrained(repository)
    concept: dict[str, torch.Tensor] = segmenter.model.state_dict()
    for key, value in stock.detector_model.state_dict().items():
        assert torch.equal(concept[key], value), key
    clicker: Any = load_click_model(str(repository), segmenter.model)
    ours, theirs = clicker._tracker.state_dict(), stock.tracker_model.state_dict()
    shared = [key for key in ours if key in theirs]
    assert len(shared) > 100 and all(torch.equal(ours[key], theirs[key]) for key in shared)
    neck = {f"vision_encoder.neck.{k}": v for k, v in stock.tracker_neck.state_dict().items()}
    assert all(torch.equal(ours[key], value) for key, value in neck.items())
    assert segmenter.has_memory and segmenter.takes_clicks
    with pytest.raises(ModelError, match="no half for videos"):
        load_video_model("tiny", segmenter.model)


def test_forgetting_changes_nothing(video: Sam3VideoModel, segmenter: Sam3Segmenter):
    """The same clip through transformers alone, which keeps everything."""
    tokens = segmenter.tokenizer(["circle"])
    session = Sam3VideoInferenceSession(dtype=torch.float32)
    session.add_prompt("circle")
    session.prompt_input_ids[0] = tokens.input_ids
    session.prompt_attention_masks[0] = tokens.attention_mask
    session.prompt_embeddings[0] = segmenter.model.encode_text(tokens.input_ids)
    tracker = MemoryTracker(video, segmenter.tokenizer, segmenter.turn, "circle")
    held: list[int] = []
    shown = 0
    for index in range(30):
        photo = _photo(index)
        numbers, found = tracker.step(index, photo)
        whole = video(session, frame=to_pixel_values(photo.pixels, SIDE)[0])
        assert {one - 1 for one in numbers} <= set(whole.object_ids)
        for number, mask, score in zip(numbers, found.masks, found.scores, strict=True):
            logits = whole.obj_id_to_mask[number - 1].float()[None]
            resized = torch.nn.functional.interpolate(logits, photo.size_hw, mode="bilinear")
            assert not (mask & ~(resized[0, 0] > 0).numpy()).any()
            scores: Any = whole.obj_id_to_score | whole.obj_id_to_tracker_score
            assert score == pytest.approx(float(scores[number - 1]), abs=1e-5)
        shown += len(numbers)
        overlap = np.asarray(found.masks).sum(axis=0)
        assert overlap.max(initial=0) <= 1
        held.append(_tensors_held(tracker._session))
    assert shown > 3
    assert held[29] == held[20], held
    assert _tensors_held(session) > 1.5 * held[29]


def _tensors_held(session: Sam3VideoInferenceSession) -> int:
    frames = sum(one is not None for one in (session.processed_frames or {}).values())
    memories = sum(
        len(kind) for one in session.output_dict_per_obj.values() for kind in one.values()
    )
    return frames + memories + len(session.obj_id_to_tracker_score_frame_wise)


def test_what_is_out_of_sight_for_long_is_given_up(video: Sam3VideoModel, segmenter: Sam3Segmenter):
    tracker = MemoryTracker(video, segmenter.tokenizer, segmenter.turn, "circle")
    tracker.step(0, _photo(0))
    session = tracker._session
    before = list(session.obj_ids)
    assert len(before) == 3
    tracker._last_seen = {before[0] + 1: 0, before[1] + 1: MAX_UNSEEN, before[2] + 1: 1}
    tracker._forget(MAX_UNSEEN + 1)
    assert list(session.obj_ids) == before[1:] and before[0] not in session.trk_keep_alive
    tracker._forget(3 * MAX_UNSEEN)
    assert not session.obj_ids and not session.output_dict_per_obj
    numbers, _ = tracker.step(3 * MAX_UNSEEN + 1, _photo(1))
    assert min(session.obj_ids) > max(before)  # numbers are not given twice
    assert all(one > max(before) + 1 for one in numbers)


def test_a_killed_run_keeps_its_numbers(repository: Path, tmp_path: Path):
    from PIL import Image

    clip = tmp_path / "clip"
    clip.mkdir()
    for index in range(6):
        Image.fromarray(_photo(index).pixels).save(clip / f"{index}.png")
    service = SegmentationService(ModelChoice(str(repository), "cpu", Tiling.OFF))
    out = tmp_path / "out"
    whole = TrackRun(service, clip, "circle", out).run()
    assert whole.frames == 6 and whole.tracks
    lines = (out / FRAMES_NAME).read_text().splitlines(keepends=True)
    (out / FRAMES_NAME).write_text("".join(lines[:4]))
    again = TrackRun(service, clip, "circle", out).run()
    resumed = (out / FRAMES_NAME).read_text().splitlines(keepends=True)
    assert len(resumed) == 6 and resumed[:4] == lines[:4]
    assert {one.track for one in again.tracks} == {one.track for one in whole.tracks}
