"""What a segmenter is, whoever runs the model: in this process, in tiles, on replicas, in a test.

Code outside this folder knows no more of a model than this. `tests/segmodel/
test_segmenter_contract.py` holds every implementation to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sam3i_agent.core.contracts import Provenance, WeightsFile
from sam3i_agent.core.instances import ClickMasks, Instances
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Click, Prompt

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels."""


class EncodedImage(Protocol):
    """One photo that answers any number of prompts."""

    @property
    def encodings(self) -> int:
        """Passes through the encoder that its answers so far have needed."""
        ...

    def segment(self, prompts: Sequence[Prompt]) -> list[Instances]:
        """Return the instances of each prompt, in order, computed in one batch.

        Args:
            prompts: any number; different levels may be mixed.

        Raises:
            InputError: a level is not among the segmenter's, it takes no exemplars, or a box does
                not lie in the photo.
            ModelError: the model does not answer.
            StoppedError: the caller of `stopping.run_in_thread` was cancelled.
        """
        ...


class Tracker(Protocol):
    """Follows a noun phrase through a clip, frame by frame; not to be shared between threads."""

    def step(self, frame: int, photo: Photo) -> tuple[list[int], Instances]:
        """Return the instances of the next frame and the track of each, numbered from 1.

        Args:
            frame: its index; frames come in order.
            photo: the frame.
        """
        ...

    def see(self, frame: int, boxes_xyxy: Mapping[int, Box]) -> None:
        """Take in what an earlier run saw on a frame: its boxes by track."""
        ...

    def resume(self, frame: int, photo: Photo, masks: Mapping[int, NDArray[np.bool_]]) -> None:
        """Go on behind the last frame that an earlier run did, whose masks are given by track."""
        ...


class Segmenter(Protocol):
    """A model that answers prompts about photos; safe to share between threads."""

    @property
    def name(self) -> str:
        """As the user wrote it."""
        ...

    @property
    def levels(self) -> tuple[InstructionLevel, ...]:
        """Levels that it was trained for; `concept` is always among them."""
        ...

    @property
    def weights(self) -> tuple[WeightsFile, ...]:
        """Files that it was loaded from, with their hashes; empty where there are none."""
        ...

    @property
    def takes_exemplars(self) -> bool:
        """Whether prompts may have example boxes."""
        ...

    @property
    def takes_clicks(self) -> bool:
        """Whether `click` answers."""
        ...

    @property
    def has_memory(self) -> bool:
        """Whether `follow` goes by a memory of what was seen, not by linking boxes alone."""
        ...

    @property
    def context_length(self) -> int:
        """Ids that the model reads of a text; what is longer is cut."""
        ...

    def count_tokens(self, text: str) -> int:
        """Return the ids that `text` needs, start and end markers included."""
        ...

    def encode(self, photo: Photo, *, keep: bool = True) -> EncodedImage:
        """Make a photo ready for prompts.

        Args:
            photo: the picture, upright.
            keep: whether its features are worth keeping; False for a frame of a clip, which does
                not come again.
        """
        ...

    def click(
        self,
        photo: Photo,
        clicks: Sequence[Click] = (),
        box_xyxy: Box | None = None,
        mask: NDArray[np.bool_] | None = None,
        *,
        several: bool = True,
    ) -> ClickMasks:
        """Return the masks of the one instance that clicks and a box mean.

        Args:
            photo: the picture; where it was encoded and kept, that is used.
            clicks: any number of points.
            box_xyxy: around the instance, in pixels.
            mask: (H, W), the instance so far.
            several: return three readings, not the surest alone; better for a single click.

        Raises:
            InputError: nothing is given, only negative clicks are, clicks contradict each other,
                or something lies outside the photo.
            ModelError: `takes_clicks` is false.
        """
        ...

    def follow(self, text: str) -> Tracker:
        """Return what follows a noun phrase through a clip.

        Raises:
            ModelError: this segmenter does not follow clips, or what it needs cannot be loaded.
        """
        ...


def provenance_of(segmenter: Segmenter) -> Provenance:
    """Return what results of a segmenter are made by."""
    return Provenance(version=_version(), weights=segmenter.weights)


@cache
def _version() -> str:
    return version("sam3i-agent")  # looked up among files


class TokenCounter(Protocol):
    """Counts the ids of texts without the model; small, and may go to another process."""

    def count_tokens(self, text: str) -> int:
        """Return the ids that `text` needs, start and end markers included."""
        ...


@dataclass(frozen=True)
class Lookups:
    """How often something kept was asked for."""

    hits: int
    misses: int


@dataclass(frozen=True)
class Passes:
    """How often a part of a model ran, and for how many requests together."""

    passes: int
    jobs: int


@dataclass(frozen=True)
class Work:
    """What a model in this process has done."""

    photos: Lookups
    """Encoded ones that are kept."""
    texts: Lookups
    kept_bytes: int
    """Of the photos."""
    encoder: Passes
    decoder: Passes


class LoadedSegmenter(Segmenter, Protocol):
    """A segmenter whose model is in this process: what loading by name returns."""

    @property
    def input_side(self) -> int:
        """Side of the square that photos are resized to, in pixels."""
        ...

    @property
    def tokens(self) -> TokenCounter:
        """Counts as the segmenter does."""
        ...

    @property
    def description(self) -> str:
        """Name, device and precision, for a log line."""
        ...

    def work(self) -> Work:
        """Return what the model has done so far."""
        ...
