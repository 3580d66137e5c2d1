"""Earlier results that tools and resources refer to, bounded in number, size and age."""

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice

from sam3i_agent.core.contracts import SegmentationResult
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.photo import Photo
from sam3i_agent.tools.results.formats.export import Export
from sam3i_agent.tools.results.refining import NO_EDITS, Edits

MAX_RESULTS = 200
MAX_BYTES = 1 << 30
"""Of the photos that results keep."""
MAX_AGE_S = 3600.0


@dataclass(frozen=True)
class Concept:
    """One noun phrase of a result about several."""

    phrase: str
    result_id: str
    """Of its own result."""
    numbers: range
    """Of its instances in the result about all."""


@dataclass(frozen=True)
class StoredResult:
    """A result and the photo it is about."""

    id: str
    result: SegmentationResult
    photo: Photo
    stored_at: float
    """On the monotonic clock, in seconds."""
    edits: Edits = NO_EDITS
    parent: str | None = None
    """The result that this one corrects."""
    concepts: tuple[Concept, ...] = ()
    """Where it is about several noun phrases."""

    def label(self, number: int) -> str:
        """Return what instance `number` (from 1) is: its noun phrase, or the instruction."""
        phrases = (one.phrase for one in self.concepts if number in one.numbers)
        return next(phrases, self.result.instruction)

    @property
    def labels(self) -> list[str]:
        """What each instance is."""
        return [self.label(number) for number in range(1, len(self.result.instances) + 1)]

    @property
    def export(self) -> Export:
        """What formats write."""
        return Export(self.result, self.labels)


class ResultStore:
    """Keeps the latest results; the oldest go first.

    Args:
        max_results: how many.
        max_bytes: of their photos' pixels together.
        max_age_s: how long, in seconds.
    """

    def __init__(
        self,
        max_results: int = MAX_RESULTS,
        max_bytes: int = MAX_BYTES,
        max_age_s: float = MAX_AGE_S,
    ) -> None:
        self._max_results = max_results
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._items: OrderedDict[str, StoredResult] = OrderedDict()
        self._lock = threading.Lock()

    def add(
        self,
        result: SegmentationResult,
        photo: Photo,
        edits: Edits = NO_EDITS,
        parent: str | None = None,
        concepts: tuple[Concept, ...] = (),
    ) -> StoredResult:
        """Keep a result under a new id that cannot be guessed."""
        id_ = secrets.token_hex(8)
        stored = StoredResult(id_, result, photo, time.monotonic(), edits, parent, concepts)
        with self._lock:
            self._items[stored.id] = stored
            self._drop_old()
        return stored

    def get(self, result_id: str) -> StoredResult:
        """Return a result by its id.

        Raises:
            InputError: there is none, or it is too old.
        """
        with self._lock:
            self._drop_old()
            if result_id not in self._items:
                raise InputError(
                    f"there is no result {result_id[:40]!r}",
                    "results are kept for an hour; call segment again, or use a result_id of an "
                    "answer",
                )
            return self._items[result_id]

    def latest(self, count: int) -> list[StoredResult]:
        """Return the latest results, the last one first."""
        with self._lock:
            self._drop_old()
            return list(islice(reversed(self._items.values()), count))

    def ids(self) -> list[str]:
        """Return the ids of all results, the latest first."""
        with self._lock:
            self._drop_old()
            return list(reversed(self._items))

    def _drop_old(self) -> None:
        oldest = time.monotonic() - self._max_age_s
        # Photos are shared by results about them; each counts once.
        sizes = {id(one.photo): one.photo.pixels.nbytes for one in self._items.values()}
        while self._items:
            first = next(iter(self._items.values()))
            too_many = len(self._items) > self._max_results
            too_large = sum(sizes.values()) > self._max_bytes and len(self._items) > 1
            if not (too_many or too_large or first.stored_at < oldest):
                break
            del self._items[first.id]
            sizes = {id(one.photo): one.photo.pixels.nbytes for one in self._items.values()}
