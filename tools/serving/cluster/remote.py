"""A model on replicas, to be used like one in this process.

A request whose replica dies goes to another; a clip does so with what it has shown so far.
"""

import logging
import secrets
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tenacity import (
    Retrying,
    before_sleep_log,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from sam3i_agent.core.errors import ModelError, Sam3iError, TryAgainError
from sam3i_agent.core.instances import ClickMasks, Instances
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Click, Prompt
from sam3i_agent.core.stopping import StoppedError, check_stop, deadline
from sam3i_agent.segmodel.segmenter import Box, Tracker
from sam3i_agent.tools.serving.cluster.replica import About, Caller, Seen, Step, UnknownClip

logger = logging.getLogger(__name__)

_RETRY_S = 120
"""How long a request looks for a living replica."""
_POLL_S = 0.5
"""Between looks at whether the caller still waits."""
_FULL_S = 2.0
"""To wait where too many requests wait already."""
_HOME_S = 2.0
"""How long a clip looks for the replica that has its memory, before another begins it anew."""
_LOOK_S = 0.05
"""Between two looks: Ray learns within a tenth of a second where a new clip is."""
_FRAMES_TOLD = 400
"""Of a clip, to a replica that takes it over; trackers forget what is older."""


class ReplicatedSegmenter:
    """A model on replicas.

    Args:
        handle: of the deployment.
        name: of the model.
    """

    def __init__(self, handle: Any, name: str) -> None:
        self.name = name
        self._handle = handle
        about: About = _wait_for(lambda: handle.about.remote())
        self.levels = about.levels
        self.takes_exemplars = about.takes_exemplars
        self.takes_clicks = about.takes_clicks
        self.has_memory = about.has_memory
        self.context_length = about.context_length
        self.weights = about.weights
        self._tokens = about.tokens

    def count_tokens(self, text: str) -> int:
        """Return the ids that `text` needs."""
        return self._tokens.count_tokens(text)

    def encode(self, photo: Photo, *, keep: bool = True) -> "RemoteImage":
        """Name a photo; a replica encodes it when it is asked about it, and always keeps it."""
        return RemoteImage(_at_home(self._handle, photo.sha256), photo)

    def click(
        self,
        photo: Photo,
        clicks: Sequence[Click] = (),
        box_xyxy: Box | None = None,
        mask: NDArray[np.bool_] | None = None,
        *,
        several: bool = True,
    ) -> ClickMasks:
        """Return the masks that clicks and a box mean; see `Segmenter.click`.

        Raises:
            InputError: the clicks cannot be used.
            ModelError: the model takes no clicks, or no replica answered in time.
            TryAgainError: too many requests wait, or the time is over.
        """
        handle, pixels = _at_home(self._handle, photo.sha256), _shared(photo.pixels)
        given = tuple(clicks), box_xyxy, mask, several
        return _answer_of(lambda: handle.click.remote(pixels, photo.sha256, *given, Caller.now()))

    def follow(self, text: str) -> Tracker:
        """Return what follows a noun phrase through a clip, on one replica as long as it lives."""
        return RemoteTracker(self._handle, text)


@dataclass
class RemoteImage:
    """One photo on the replicas."""

    handle: Any
    photo: Photo
    encodings: int = 0
    _pixels: Any = field(default=None, init=False, repr=False)

    def segment(self, prompts: Sequence[Prompt]) -> list[Instances]:
        """Return the instances of each prompt; see `EncodedImage.segment`.

        Raises:
            InputError: the prompts cannot be answered by this model.
            ModelError: no replica answered in time.
            StoppedError: the caller of `stopping.run_in_thread` was cancelled.
            TryAgainError: too many requests wait, or the time is over.
        """
        if self._pixels is None:
            self._pixels = _shared(self.photo.pixels)
        sha256, given = self.photo.sha256, tuple(prompts)
        found, self.encodings = _answer_of(
            lambda: self.handle.segment.remote(self._pixels, sha256, given, Caller.now())
        )
        return found


class RemoteTracker:
    """Follows a noun phrase through a clip; see `Tracker`.

    Args:
        handle: of the deployment.
        text: the noun phrase.
    """

    def __init__(self, handle: Any, text: str) -> None:
        self._all = self._handle = handle
        self._text = text
        self.clip = ""
        """Its name, until it moves to another replica."""
        self._home: str | None = None
        """Name of the replica that has its memory."""
        self._frames: deque[tuple[int, dict[int, Box]]] = deque(maxlen=_FRAMES_TOLD)
        self._highest: tuple[int, dict[int, Box]] = (0, {})
        """Where the highest number was seen last: the next new track gets a higher one."""
        self._last: tuple[Photo, dict[int, Masks]] | None = None

    def step(self, frame: int, photo: Photo) -> tuple[list[int], Instances]:
        """Return the instances of the next frame and the track of each, numbered from 1.

        Raises:
            ModelError: no replica answered in time.
            StoppedError: the caller of `stopping.run_in_thread` was cancelled.
            TryAgainError: too many requests wait, or the time is over.
        """
        pixels = _shared(photo.pixels)
        found = None if self._home is None else self._ask_home(frame, pixels)
        if found is None:
            found = self._hand_over(frame, pixels)
        numbers, instances, self._home = found.numbers, found.instances, found.replica
        boxes = [(x0, y0, x1, y1) for x0, y0, x1, y1 in instances.boxes_xyxy.tolist()]
        self.see(frame, dict(zip(numbers, boxes, strict=True)))
        masks = {number: instances.masks[[place]] for place, number in enumerate(numbers)}
        self._last = photo, masks
        return numbers, instances

    def see(self, frame: int, boxes_xyxy: Mapping[int, Box]) -> None:
        """Take in what an earlier run saw on a frame."""
        self._frames.append((frame, dict(boxes_xyxy)))
        highest = max(self._highest[1], default=0)
        if boxes_xyxy and max(boxes_xyxy) >= highest:
            number = max(boxes_xyxy)
            self._highest = frame, {number: boxes_xyxy[number]}

    def resume(self, frame: int, photo: Photo, masks: Mapping[int, NDArray[np.bool_]]) -> None:
        """Go on behind the last frame that an earlier run did, whose masks are given by track."""
        packed = {number: Masks.encode([mask], photo.size_hw) for number, mask in masks.items()}
        self._last = photo, packed

    def _ask_home(self, frame: int, pixels: Any) -> Step | None:
        """Ask the replica that has the clip, which Ray may miss for a while; None: it is gone."""
        end = time.monotonic() + _HOME_S
        while True:
            found = _answer_of(
                lambda: self._handle.go_on.remote(self.clip, frame, pixels, Caller.now())
            )
            if not isinstance(found, UnknownClip):
                return found
            if found.replica == self._home or time.monotonic() > end:
                return None
            time.sleep(_LOOK_S)

    def _hand_over(self, frame: int, pixels: Any) -> Step:
        """Let any replica take the clip, under a new name: nothing goes to where it was."""
        self.clip = f"clip {secrets.token_hex(8)}"
        self._handle = _at_home(self._all, self.clip)
        if self._home is not None:
            logger.info("at frame %d another replica takes over, as %s", frame, self.clip)
        given = self.clip, self._text, *self._seen(), frame, pixels
        return _answer_of(lambda: self._handle.take_over.remote(*given, Caller.now()))

    def _seen(self) -> tuple[Seen, Any]:
        frames = list(self._frames)
        if self._highest[1] and (not frames or self._highest[0] < frames[0][0]):
            frames.insert(0, self._highest)
        if self._last is None:
            return Seen(tuple(frames), {}), None
        photo, masks = self._last
        return Seen(tuple(frames), masks), _shared(photo.pixels)


def _at_home(handle: Any, name: str) -> Any:
    """Return a handle that asks the replica which knows a photo or clip first."""
    return handle.options(multiplexed_model_id=name)


def _shared(pixels: NDArray[Any]) -> Any:
    """Put pixels into Ray's object store, from where every replica reads them without a copy."""
    import ray

    return ray.put(pixels)


def _answer_of(call: Any) -> Any:
    answer = _wait_for(call)
    if isinstance(answer, Sam3iError):
        raise answer
    return answer


def _wait_for(call: Any) -> Any:
    """Return what a call to a replica returns; where its replica dies, call again.

    Args:
        call: sends the request and returns Ray's response.
    """
    from ray.exceptions import RayActorError
    from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

    def once() -> Any:
        response = call()
        while True:
            try:
                return response.result(timeout_s=_POLL_S)
            except TimeoutError:
                try:
                    check_stop()
                except (StoppedError, TryAgainError):
                    response.cancel()
                    raise

    retrying = Retrying(
        retry=retry_if_exception_type((RayActorError, DeploymentUnavailableError)),
        wait=wait_random_exponential(0.1, 5),
        stop=stop_after_delay(_patience_s()),
        before_sleep=before_sleep_log(logger, logging.WARNING),
        reraise=True,
    )
    try:
        return retrying(once)
    except BackPressureError as error:
        raise TryAgainError("too many requests wait for the model", _FULL_S) from error
    except (RayActorError, DeploymentUnavailableError) as error:
        raise ModelError(f"no replica of the model answers: {error}") from error


def _patience_s() -> float:
    end = deadline()
    return _RETRY_S if end is None else min(_RETRY_S, max(0.0, end - time.time()))
