"""A long clip on replicas, one killed on the way, beside the same clip in one process."""

import math
import time
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw

from sam3i_agent.benchmarks.serving.nodes import running_nodes
from sam3i_agent.core.contracts import Frozen
from sam3i_agent.core.photo import Photo
from sam3i_agent.segmodel.checkpoints.loading import load_segmenter

_SIDE = 256
_TEXT = "red circle"
_REPLICAS = 2
_AWAY = 100
"""Frames for which a circle is out of sight: longer than trackers look for it."""
_PERIOD = 400


class KilledClip(Frozen):
    """What the replicas answered, beside one process."""

    frames: int
    tracks: int
    kills_at: tuple[int, ...]
    """Frames behind which the replica of the clip was killed."""
    frames_with_other_tracks: int
    frames_with_other_masks: int
    seconds: float
    """On replicas."""
    median_s: float
    """Of a frame."""
    longest_s: float


def measure_killed_clip(model: str, frames: int, kills: int) -> KilledClip:
    """Follow circles through a clip in this process, then on replicas that are killed.

    Args:
        model: as `load_segmenter` takes it.
        frames: of the clip.
        kills: so many times, at equal distances.

    Raises:
        ModelError: the replicas do not start, or none answers.
    """
    plain = load_segmenter(model, device="cpu").follow(_TEXT)
    wanted = [plain.step(index, photo) for index, photo in enumerate(_clip(frames))]
    kills_at = tuple(frames * (number + 1) // (kills + 1) for number in range(kills))
    other_tracks = other_masks = 0
    times: list[float] = []
    with running_nodes(model, _REPLICAS, 1) as nodes:
        tracker = nodes.service().segmenter().follow(_TEXT)
        for index, photo in enumerate(_clip(frames)):
            begun = time.perf_counter()
            numbers, instances = tracker.step(index, photo)
            times.append(time.perf_counter() - begun)
            other_tracks += numbers != wanted[index][0]
            other_masks += not np.array_equal(
                np.asarray(instances.masks), np.asarray(wanted[index][1].masks)
            )
            if index in kills_at:
                nodes.kill_replica_with_clip()
    return KilledClip(
        frames=frames,
        tracks=len({number for numbers, _ in wanted for number in numbers}),
        kills_at=kills_at,
        frames_with_other_tracks=other_tracks,
        frames_with_other_masks=other_masks,
        seconds=round(sum(times), 1),
        median_s=round(float(np.median(times)), 3),
        longest_s=round(max(times), 1),
    )


def _clip(frames: int) -> Iterator[Photo]:
    """Two circles swing to and fro; each is out of sight now and then."""
    for index in range(frames):
        picture = Image.new("RGB", (_SIDE, _SIDE), (96, 96, 96))
        draw = ImageDraw.Draw(picture)
        for number, top in enumerate((30, 150)):
            if (index + number * _PERIOD // 2) % _PERIOD < _PERIOD - _AWAY:
                left = round(96 + 80 * math.sin(index / 40 + number * math.pi))
                draw.ellipse((left, top, left + 56, top + 56), fill=(214, 40, 40))
        yield Photo(np.asarray(picture), f"frame {index}")
