"""Things of a clip by SAM 2's memory: the tracks of transformers, and little that is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate
from transformers import Sam2ImageProcessor, Sam2VideoModel
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

from sam3i_agent.core.instances import Instances
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.segmodel.checkpoints.loading import load_by_choice
from sam3i_agent.segmodel.checkpoints.repository import two_models
from sam3i_agent.segmodel.open_vocabulary.following import MemoryOfThings
from tests.conftest import KnowingSegmenter, block
from tests.segmodel.small_models import SAM2_SIDE

FRAMES = 12
FIRST, SECOND = block(10, 10, 40, 40), block(60, 50, 90, 90)


@dataclass
class _Sees(KnowingSegmenter):
    """Finds what a test says, frame by frame."""

    frames: list[list[np.ndarray]] = field(default_factory=list)
    seen: int = 0

    def encode(self, photo: Photo, *, keep: bool = True) -> Any:
        self.answers = {"thing": [(mask, 0.9) for mask in self.frames[self.seen]]}
        self.seen += 1
        return super().encode(photo, keep=keep)


@pytest.fixture(scope="module")
def loaded(owlv2_sam2: str) -> Any:
    return load_by_choice(ModelChoice(owlv2_sam2, "cpu"))


@pytest.fixture(scope="module")
def video(owlv2_sam2: str) -> Sam2VideoModel:
    model: Any = Sam2VideoModel.from_pretrained(two_models(owlv2_sam2)[1]).eval()
    with torch.no_grad():  # or it would take every thing for out of sight
        model.mask_decoder.pred_obj_score_head.proj_out.bias += 10
    return model


@pytest.fixture(scope="module")
def clip() -> list[Photo]:
    noise = np.random.default_rng(0).integers(0, 255, (FRAMES, 100, 100, 3), dtype=np.uint8)
    return [Photo(pixels, f"frame {number}") for number, pixels in enumerate(noise)]


def _follow(loaded: Any, video: Any, found: Sequence[list[np.ndarray]]) -> MemoryOfThings:
    frames = [*found, *[[]] * (FRAMES - len(found))]
    return MemoryOfThings(video, loaded.masker, loaded.turn, _Sees(frames=frames), "thing")


def test_tracks_are_those_of_transformers(loaded, video, clip):
    processor = Sam2ImageProcessor(size={"height": SAM2_SIDE, "width": SAM2_SIDE})
    pixels = [
        processor(images=one.pixels, return_tensors="pt", input_data_format="channels_last")
        for one in clip
    ]
    session = Sam2VideoInferenceSession(
        torch.cat([one.pixel_values for one in pixels]), dtype=torch.float32
    )
    whole = torch.from_numpy(FIRST).float()[None, None]
    size = (SAM2_SIDE, SAM2_SIDE)
    mask = interpolate(whole, size, mode="bilinear", antialias=True) >= 0.5
    session.add_mask_inputs(session.obj_id_to_idx(0), 0, mask.float())
    session.obj_with_new_inputs.append(0)
    with torch.inference_mode():
        video(session, frame_idx=0)
        wanted = [
            interpolate(one.pred_masks.float(), (100, 100), mode="bilinear")[0, 0].numpy() > 0
            for one in video.propagate_in_video_iterator(session, start_frame_idx=1)
        ]
    assert sum(one.any() for one in wanted) > FRAMES / 2
    tracker = _follow(loaded, video, [[FIRST]])
    assert tracker.step(0, clip[0])[0] == [1]
    for number in range(1, FRAMES):
        numbers, found = tracker.step(number, clip[number])
        if wanted[number - 1].any():
            assert numbers == [1]
            np.testing.assert_array_equal(found.masks[0], wanted[number - 1])
        else:
            assert numbers == []


def test_what_is_new_gets_a_number_and_what_is_known_keeps_its_own(loaded, video, clip):
    tracker = _follow(loaded, video, [[FIRST], [], [SECOND]])
    assert tracker.step(0, clip[0])[0] == [1]
    remembered = tracker.step(1, clip[1])[1]
    numbers, _ = tracker.step(2, clip[2])
    assert 2 in numbers
    again = _follow(loaded, video, [[FIRST], list(remembered.masks)])
    again.step(0, clip[0])
    assert set(again.step(1, clip[1])[0]) <= {1}


def test_little_is_kept_of_a_long_clip_and_lost_things_are_given_up(
    loaded, video, clip, monkeypatch
):
    monkeypatch.setattr("sam3i_agent.segmodel.open_vocabulary.following.MAX_UNSEEN", 20)
    tracker = _follow(loaded, video, [[FIRST]])
    tracker._segmenter.frames = [[FIRST], *[[]] * 60]
    for number in range(40):
        tracker.step(number, clip[number % FRAMES])
    assert sum(one is not None for one in tracker._frames.values()) == 0
    for session in tracker._things.values():
        assert len(session.output_dict_per_obj[0]["non_cond_frame_outputs"]) <= 17
    tracker._last_seen[1] = 0
    tracker.step(40, clip[0])
    assert tracker._last_seen[1] == 40 or not tracker._things


def test_a_killed_run_goes_on_behind_its_last_frame(loaded, video, clip):
    whole = _follow(loaded, video, [[FIRST, SECOND]])
    numbers, found = whole.step(0, clip[0])
    masks = dict(zip(numbers, found.masks, strict=True))
    expected = whole.step(1, clip[1])
    resumed = _follow(loaded, video, [[]])
    resumed.see(0, {1: (10, 10, 40, 40), 2: (60, 50, 90, 90)})
    resumed.resume(0, clip[0], masks)
    numbers, found = resumed.step(1, clip[1])
    assert numbers == expected[0]
    np.testing.assert_array_equal(np.stack(list(found.masks)), np.stack(list(expected[1].masks)))


def test_the_segmenter_follows_by_memory(loaded, clip):
    assert loaded.has_memory
    numbers, found = loaded.follow("ring").step(0, clip[0])
    assert (
        numbers and isinstance(found, Instances) and Prompt("ring").min_score < found.scores.min()
    )
