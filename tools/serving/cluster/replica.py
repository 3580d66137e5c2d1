"""One copy of the model, as Ray Serve runs it.

A photo goes to the replica that has its features, as far as that one is free: Ray Serve routes by
multiplexed model id, and the photo's hash is that id. What reaches a replica while its model is
busy is answered together (`segmodel.sharing.combining`).
"""

import logging
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sam3i_agent.agent.telemetry import outgoing_headers, part_of, tracer
from sam3i_agent.core.contracts import WeightsFile
from sam3i_agent.core.errors import Sam3iError
from sam3i_agent.core.instances import ClickMasks, Instances
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Click, Prompt
from sam3i_agent.core.stopping import check_stop, deadline, run_in_pool, until
from sam3i_agent.segmodel.segmenter import Box, TokenCounter, Tracker
from sam3i_agent.tools.serving.cluster.metrics import RayExport
from sam3i_agent.tools.serving.prometheus import model_registry
from sam3i_agent.tools.serving.settings import ServeSettings

logger = logging.getLogger(__name__)

REQUESTS_PER_REPLICA = 16
"""At a time; more wait in front, where a free replica may take them."""
_CLIPS_PER_REPLICA = 4
"""Whose memory a replica keeps; another replica builds it anew."""
R = TypeVar("R")


@dataclass(frozen=True)
class About:
    """What a front end has to know of the model."""

    levels: tuple[InstructionLevel, ...]
    takes_exemplars: bool
    takes_clicks: bool
    has_memory: bool
    context_length: int
    tokens: TokenCounter
    weights: tuple[WeightsFile, ...]


@dataclass(frozen=True)
class Caller:
    """The call that a request to a replica is part of."""

    end: float | None
    """When the answer must be ready, in seconds since 1970."""
    headers: dict[str, str]
    """With the call's id and trace."""

    @classmethod
    def now(cls) -> "Caller":
        """Return the current call."""
        return cls(deadline(), outgoing_headers())

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Let everything inside be part of the call."""
        with until(self.end), part_of(self.headers):
            yield


@dataclass(frozen=True)
class ReplicaState:
    """What one replica has done."""

    pid: int
    photos_asked: int
    """Requests about a photo."""
    photos_encoded: int
    """Of these, for which the encoder had to run."""
    clips: int
    """That it has in memory."""


@dataclass(frozen=True)
class Seen:
    """What a clip has shown so far, from which any replica goes on."""

    frames: tuple[tuple[int, dict[int, Box]], ...]
    """Boxes by track, of the frames that matter, in order."""
    masks: dict[int, Masks]
    """Of the last frame, one in each, by track."""


@dataclass(frozen=True)
class Step:
    """What is on the next frame of a clip."""

    numbers: list[int]
    """Of the tracks, one for each instance."""
    instances: Instances
    replica: str
    """Name of the one that answered, and has the clip's memory."""


@dataclass(frozen=True)
class UnknownClip:
    """The replica of this name does not have the clip: it must be told what was seen."""

    replica: str


@dataclass
class _Clip:
    tracker: Tracker
    next_frame: int
    turn: threading.Lock = field(default_factory=threading.Lock)


class Replica:
    """One copy of the model; Ray Serve calls it.

    What is wrong with a request comes back as a value: Ray would wrap what is raised.
    """

    def __init__(self, settings: ServeSettings) -> None:
        settings.watch("replica")
        from sam3i_agent.segmodel.checkpoints.loading import load_by_choice
        from sam3i_agent.segmodel.tiling import TilingSegmenter

        self._model = load_by_choice(settings.model)
        self._segmenter = TilingSegmenter(self._model, settings.model.tiling)
        RayExport(model_registry(lambda: self._model)).start()
        self._threads = ThreadPoolExecutor(REQUESTS_PER_REPLICA)
        self._clips: OrderedDict[str, _Clip] = OrderedDict()
        self._name = secrets.token_hex(4)

    def about(self) -> About:
        """Describe the model."""
        model = self._model
        return About(
            model.levels,
            model.takes_exemplars,
            model.takes_clicks,
            model.has_memory,
            model.context_length,
            model.tokens,
            model.weights,
        )

    def state(self) -> ReplicaState:
        """Describe what this replica has done."""
        kept = self._model.work().photos
        return ReplicaState(os.getpid(), kept.hits + kept.misses, kept.misses, len(self._clips))

    async def segment(
        self, pixels: NDArray[Any], sha256: str, prompts: Sequence[Prompt], caller: Caller
    ) -> tuple[list[Instances], int] | Sam3iError:
        """Return the instances of each prompt and the passes through the encoder.

        Args:
            pixels: of the photo, (H, W, 3).
            sha256: of its file.
            prompts: any number.
            caller: who asks.
        """

        def answer() -> tuple[list[Instances], int]:
            image = self._segmenter.encode(Photo(pixels, sha256))
            return image.segment(prompts), image.encodings

        await self.feel_at_home(sha256)
        return await self._answer(answer, caller)

    async def click(
        self,
        pixels: NDArray[Any],
        sha256: str,
        clicks: Sequence[Click],
        box_xyxy: Box | None,
        mask: NDArray[np.bool_] | None,
        several: bool,
        caller: Caller,
    ) -> ClickMasks | Sam3iError:
        """Return the masks that clicks mean; see `Segmenter.click`."""

        def answer() -> ClickMasks:
            photo = Photo(pixels, sha256)
            return self._segmenter.click(photo, clicks, box_xyxy, mask, several=several)

        await self.feel_at_home(sha256)
        return await self._answer(answer, caller)

    async def go_on(
        self, clip: str, frame: int, pixels: NDArray[Any], caller: Caller
    ) -> Step | UnknownClip | Sam3iError:
        """Return what is on the next frame of a clip that this replica knows.

        Args:
            clip: its name.
            frame: its index.
            pixels: of the frame.
            caller: who asks.
        """
        known = self._clips.get(clip)
        if known is None or known.next_frame != frame:
            return UnknownClip(self._name)  # and nothing tells Ray that the clip is here
        self._clips.move_to_end(clip)
        return await self._step(clip, lambda: known, frame, pixels, caller)

    async def take_over(
        self,
        clip: str,
        text: str,
        seen: Seen,
        seen_pixels: NDArray[Any] | None,
        frame: int,
        pixels: NDArray[Any],
        caller: Caller,
    ) -> Step | Sam3iError:
        """Return what is on the next frame of a clip, which stays with this replica from here on.

        Args:
            clip: its name.
            text: the noun phrase to follow.
            seen: before this frame.
            seen_pixels: of the last frame of these; None where there was none.
            frame: its index.
            pixels: of the frame.
            caller: who asks.
        """

        def begin() -> _Clip:
            return self._begin(clip, text, frame, seen, seen_pixels)

        return await self._step(clip, begin, frame, pixels, caller)

    async def _step(
        self,
        clip: str,
        find: Callable[[], _Clip],
        frame: int,
        pixels: NDArray[Any],
        caller: Caller,
    ) -> Step | Sam3iError:
        def answer() -> Step:
            known = find()
            with known.turn:
                numbers, instances = known.tracker.step(frame, Photo(pixels, f"{clip} {frame}"))
                known.next_frame = frame + 1
            return Step(numbers, instances, self._name)

        await self.feel_at_home(clip)
        return await self._answer(answer, caller)

    async def feel_at_home(self, name: str) -> str:
        """Stand for a photo or a clip in Ray's routing; wrapped by `serve.multiplexed`."""
        return name

    def _begin(
        self, clip: str, text: str, frame: int, seen: Seen, seen_pixels: NDArray[Any] | None
    ) -> _Clip:
        tracker = self._segmenter.follow(text)
        for index, boxes in seen.frames:
            tracker.see(index, boxes)
        if seen_pixels is not None:
            masks = {number: np.asarray(one)[0] for number, one in seen.masks.items()}
            tracker.resume(frame - 1, Photo(seen_pixels, f"{clip} {frame - 1}"), masks)
        made = self._clips[clip] = _Clip(tracker, frame)
        while len(self._clips) > _CLIPS_PER_REPLICA:
            self._clips.popitem(last=False)
        return made

    async def _answer(self, call: Callable[[], R], caller: Caller) -> R | Sam3iError:
        """Call in a thread, unless nobody waits for it any more."""

        def in_time() -> R:
            check_stop()
            return call()

        started = time.perf_counter()
        try:
            with caller.acting(), tracer.start_as_current_span("sam3i.replica"):
                answer = await run_in_pool(self._threads, in_time)
                logger.info("answered in %.3f s", time.perf_counter() - started)
                return answer
        except Sam3iError as error:
            return error
