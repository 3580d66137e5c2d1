"""Tracking a concept through a clip: every frame is segmented, and instances keep their numbers.

`DIR/tracks.jsonl` gets a line for each frame as soon as it is done, so a killed run goes on behind
the last whole line; nothing but the tracks in sight is held in memory.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from sam3i_agent.agent.instructions import check_instruction, try_plan
from sam3i_agent.agent.requests import make_request
from sam3i_agent.core.claimed_folder import claim_folder
from sam3i_agent.core.contracts import CompressedMask, RunStatus
from sam3i_agent.core.drawing import draw_marks
from sam3i_agent.core.errors import InputError, StorageError
from sam3i_agent.core.files import write_whole
from sam3i_agent.core.journal import Journal
from sam3i_agent.core.masks import Masks, mask_ious
from sam3i_agent.core.photo import Photo
from sam3i_agent.segmodel.segmenter import Tracker
from sam3i_agent.tools.results.track_outputs import (
    FRAMES_NAME,
    OVERLAY_NAME,
    SUMMARY_NAME,
    ClipSummary,
    TrackedFrame,
    TrackedInstance,
    TrackSummary,
)
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.sources.video import FOLDER_RATE, read_frames, write_video

_SAME_IOU = 0.5
"""Of a track's mask and one that the instruction selects, on the key frame."""


@dataclass(frozen=True)
class TrackRun:
    """A clip and what to follow in it.

    Args:
        service: the model.
        video: a file or a folder of frames.
        instruction: a noun phrase, or an instruction that selects among its instances.
        out: folder for the results; an earlier run of the same there goes on.
        key_frame: on which the instruction is read; None follows every instance of a noun phrase.
    """

    service: SegmentationService
    video: Path
    instruction: str
    out: Path
    key_frame: int | None = None

    def run(self, advance: Callable[[int], None] = lambda done: None) -> ClipSummary:
        """Segment what is left of the clip, then write the summary and the overlay.

        Args:
            advance: called with the number of frames done.

        Raises:
            InputError: the clip, the instruction or the key frame cannot be used, or the folder
                holds another run.
            StorageError: the folder cannot be written.
        """
        text = self._noun_phrase()
        settings = {
            "video": str(self.video.resolve()),
            "text": text,
            "model": self.service.model.name,
        }
        claim_folder(self.out, settings)
        tracker = self.service.segmenter().follow(text)
        done = self._replay(tracker)
        advance(done)
        for frame in read_frames(self.video, start=done):
            numbers, found = tracker.step(frame.index, _photo_of(frame.pixels))
            instances = [
                TrackedInstance(
                    track=number,
                    box=box,
                    score=score,
                    mask=CompressedMask(size=found.masks.size_hw, counts=counts),
                )
                for number, box, score, counts in zip(
                    numbers,
                    found.boxes_xyxy.tolist(),
                    found.scores.tolist(),
                    found.masks.counts,
                    strict=True,
                )
            ]
            time_s = round(frame.time_s, 6)
            self._frames.append(TrackedFrame(frame=frame.index, time_s=time_s, instances=instances))
            done = frame.index + 1
            advance(done)
        kept = None if self.key_frame is None else self._selected(self.key_frame, done)
        summary = _summarise(self._frames, text, kept)
        try:
            self._draw({one.track for one in summary.tracks})
            write_whole(self.out / SUMMARY_NAME, summary.model_dump_json(indent=2) + "\n")
        except OSError as error:
            raise StorageError(f"{str(self.out)!r} cannot be written: {error.strerror}") from error
        return summary

    def _noun_phrase(self) -> str:
        instruction = check_instruction(self.instruction)
        plan = try_plan(instruction)
        if plan is None or len(plan.targets) != 1:
            raise InputError(
                f"{instruction!r} does not name one kind of thing to follow",
                "say a noun phrase, such as 'red car', or 'the red car on the left' with "
                "--key-frame",
            )
        if not plan.is_plain_concept and self.key_frame is None:
            raise InputError(
                f"{instruction!r} selects among things, so it needs a frame to be read on",
                "say which with --key-frame",
            )
        return plan.targets[0].phrase.text

    @property
    def _frames(self) -> Journal[TrackedFrame]:
        return Journal(self.out / FRAMES_NAME, TrackedFrame)

    def _replay(self, tracker: Tracker) -> int:
        """Bring the tracker to where a killed run was; return the number of frames done."""
        last: TrackedFrame | None = None
        self._frames.repair()
        for line in self._frames:
            tracker.see(line.frame, {one.track: one.box for one in line.instances})
            last = line
        if last is None:
            return 0
        for frame in islice(read_frames(self.video, start=last.frame), 1):
            masks = _masks_of(last.instances, frame.pixels.shape[:2])
            numbers = [one.track for one in last.instances]
            tracker.resume(
                last.frame, _photo_of(frame.pixels), dict(zip(numbers, masks, strict=True))
            )
        return last.frame + 1

    def _selected(self, key_frame: int, frames: int) -> set[int]:
        """Return the tracks that the instruction means on the key frame."""
        if not 0 <= key_frame < frames:
            raise InputError(f"there is no frame {key_frame}; the clip has 0 to {frames - 1}")
        photo = _photo_of(next(read_frames(self.video, start=key_frame)).pixels)
        request = make_request(photo, self.instruction)
        result = asyncio.run(self.service.answer(photo, request))
        if result.status is not RunStatus.SELECTED:
            return set()
        line = next(one for one in self._frames if one.frame == key_frame)
        ious = mask_ious(_masks_of(line.instances, photo.size_hw), result.masks())
        best = ious.max(axis=1, initial=0.0)
        pairs = zip(line.instances, best.tolist(), strict=True)
        return {one.track for one, iou in pairs if iou > _SAME_IOU}

    def _draw(self, kept: set[int]) -> None:
        """Write the clip with its tracks tinted and numbered, in one more pass."""
        temporary = self.out / f"unfinished-{OVERLAY_NAME}"
        with write_video(temporary, FOLDER_RATE) as write:
            for frame, line in zip(read_frames(self.video), self._frames, strict=False):
                shown = [one for one in line.instances if one.track in kept]
                masks = _masks_of(shown, frame.pixels.shape[:2])
                numbers = [one.track for one in shown]
                write(draw_marks(frame.pixels, masks, numbers=numbers), frame.time_s)
        os.replace(temporary, self.out / OVERLAY_NAME)


def _masks_of(instances: Sequence[TrackedInstance], size_hw: tuple[int, int]) -> Masks:
    return Masks(size_hw, (one.mask.counts for one in instances))


def _photo_of(pixels: np.ndarray) -> Photo:
    return Photo(pixels, sha256=hashlib.sha256(pixels.tobytes()).hexdigest())


def _summarise(lines: Iterable[TrackedFrame], text: str, kept: set[int] | None) -> ClipSummary:
    seen: dict[int, tuple[int, int, int, float]] = {}
    frames = 0
    for line in lines:
        frames += 1
        for one in line.instances:
            first, _, count, scores = seen.get(one.track, (line.frame, 0, 0, 0.0))
            seen[one.track] = (first, line.frame, count + 1, scores + one.score)
    tracks = [
        TrackSummary(
            track=number,
            first_frame=first,
            last_frame=last,
            frames=count,
            mean_score=round(scores / count, 4),
        )
        for number, (first, last, count, scores) in sorted(seen.items())
        if kept is None or number in kept
    ]
    return ClipSummary(text=text, frames=frames, tracks=tracks, left_out=len(seen) - len(tracks))
