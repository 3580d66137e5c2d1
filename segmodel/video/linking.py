"""Identities through a clip: each frame's instances are linked to the tracks so far.

Linking is by the overlap of boxes with where a track should be by now (constant speed), best pairs
first over all (Hungarian). A track that is not seen for a while may come back under its number.

It needs a concept model only; `video.memory` follows things by SAM 3's own memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from sam3i_agent.core.instances import Instances
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.segmodel.segmenter import Box, Segmenter

MIN_OVERLAP = 0.15
"""IoU of boxes below which an instance is another one."""
MAX_GAP = 25
"""Frames that a track may be out of sight."""
_SMOOTHING = 0.5
"""Weight of the latest step in a track's speed."""


@dataclass
class _Track:
    box: NDArray[np.float64]
    speed: NDArray[np.float64]
    """Of its corners, in pixels per frame."""
    frame: int
    """When it was last seen."""

    def expected(self, frame: int) -> NDArray[np.float64]:
        return self.box + self.speed * (frame - self.frame)


class TrackLinker:
    """Gives instances of successive frames their numbers.

    Its state is a few numbers for each track in sight, whatever the length of the clip.
    """

    def __init__(self) -> None:
        self._live: dict[int, _Track] = {}
        self._next = 1

    def link(self, frame: int, boxes_xyxy: Sequence[Box]) -> list[int]:
        """Return the track of each instance of a frame; new ones get new numbers.

        Args:
            frame: its index; frames come in order.
            boxes_xyxy: of the instances, in pixels.
        """
        self._live = {
            number: track for number, track in self._live.items() if frame - track.frame <= MAX_GAP
        }
        numbers = list(self._live)
        boxes = np.array(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
        expected = np.array([self._live[one].expected(frame) for one in numbers]).reshape(-1, 4)
        overlaps = _box_ious(expected, boxes)
        found = [0] * len(boxes)
        for row, column in zip(*linear_sum_assignment(-overlaps), strict=True):
            if overlaps[row, column] >= MIN_OVERLAP:
                found[column] = numbers[row]
        for index, number in enumerate(found):
            if number == 0:
                found[index], self._next = self._next, self._next + 1
        self.see(frame, dict(zip(found, boxes_xyxy, strict=True)))
        return found

    def see(self, frame: int, boxes_xyxy: Mapping[int, Box]) -> None:
        """Take in what a frame showed, as linked before: a resumed clip starts from there."""
        for number, sides in boxes_xyxy.items():
            box, track = np.array(sides, dtype=np.float64), self._live.get(number)
            speed = np.zeros(4)
            if track is not None:
                step = (box - track.box) / max(1, frame - track.frame)
                speed = (1 - _SMOOTHING) * track.speed + _SMOOTHING * step
            self._live[number] = _Track(box, speed, frame)
            self._next = max(self._next, number + 1)


class LinkingTracker:
    """Asks for the noun phrase in every frame and links what is found.

    Args:
        segmenter: the concept model.
        text: the noun phrase.
    """

    def __init__(self, segmenter: Segmenter, text: str) -> None:
        self._segmenter = segmenter
        self._prompt = Prompt(text)
        self._linker = TrackLinker()

    def step(self, frame: int, photo: Photo) -> tuple[list[int], Instances]:
        """Return the instances of the next frame and the track of each, numbered from 1.

        Args:
            frame: its index; frames come in order.
            photo: the frame.
        """
        (found,) = self._segmenter.encode(photo, keep=False).segment([self._prompt])
        boxes = [(x0, y0, x1, y1) for x0, y0, x1, y1 in found.boxes_xyxy.tolist()]
        return self._linker.link(frame, boxes), found

    def see(self, frame: int, boxes_xyxy: Mapping[int, Box]) -> None:
        """Take in what an earlier run saw on a frame."""
        self._linker.see(frame, boxes_xyxy)

    def resume(self, frame: int, photo: Photo, masks: Mapping[int, NDArray[np.bool_]]) -> None:
        """Go on behind a frame; boxes are all that linking needs."""


def _box_ious(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (A, B) IoUs of (A, 4) and (B, 4) boxes."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.clip(one[:, 2:] - one[:, :2], 0, None).prod(axis=1) for one in (a, b)]
    union = areas[0][:, None] + areas[1][None] - shared
    return shared / np.maximum(union, 1e-9)
