"""Earlier results that tools and resources refer to, bounded in number, size and age."""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from sam3i_agent.core.contracts import SegmentationResult
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.photo import Photo
from sam3i_agent.tools.results.formats.export import Export
from sam3i_agent.tools.results.refining import NO_EDITS, Edits
from sam3i_agent.tools.users import current_owner

MAX_RESULTS = 200
MAX_BYTES = 1 << 30
"""Of the photos that results keep."""
MAX_AGE_S = 3600.0
ID_BYTES = 8
"""Of a result's id, which is twice as many characters."""


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
    open_photo: Callable[[], Photo]
    """Reads the photo, where it is not in memory."""
    stored_at: float
    """Seconds since 1970."""
    edits: Edits = NO_EDITS
    parent: str | None = None
    """The result that this one corrects."""
    concepts: tuple[Concept, ...] = ()
    """Where it is about several noun phrases."""

    @property
    def photo(self) -> Photo:
        """The photo.

        Raises:
            InputError: it is kept no more.
        """
        return self.open_photo()

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


class Results(Protocol):
    """Earlier results of the current user; see `tools.users`."""

    def add(
        self,
        result: SegmentationResult,
        photo: Photo,
        edits: Edits = NO_EDITS,
        parent: str | None = None,
        concepts: tuple[Concept, ...] = (),
    ) -> StoredResult:
        """Keep a result under a new id that cannot be guessed."""
        ...

    def get(self, result_id: str) -> StoredResult:
        """Return a result by its id.

        Raises:
            InputError: there is none, it is somebody else's, or it is too old.
        """
        ...

    def latest(self, count: int) -> list[StoredResult]:
        """Return the latest results, the last one first."""
        ...

    def ids(self) -> list[str]:
        """Return the ids of all results, the latest first."""
        ...

    def newest(self) -> str | None:
        """Return the id of the last result that was made in this process."""
        ...


class ResultStore:
    """Keeps the latest results in memory; the oldest go first.

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
        self._items: OrderedDict[tuple[str, str], StoredResult] = OrderedDict()
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
        id_ = secrets.token_hex(ID_BYTES)
        stored = StoredResult(id_, result, lambda: photo, time.time(), edits, parent, concepts)
        with self._lock:
            self._items[current_owner(), id_] = stored
            self._drop_old()
        return stored

    def get(self, result_id: str) -> StoredResult:
        """Return a result of the current user by its id.

        Raises:
            InputError: there is none, it is somebody else's, or it is too old.
        """
        with self._lock:
            self._drop_old()
            found = self._items.get((current_owner(), result_id))
        if found is None:
            raise no_such_result(result_id)
        return found

    def latest(self, count: int) -> list[StoredResult]:
        """Return the current user's latest results, the last one first."""
        with self._lock:
            self._drop_old()
            owner = current_owner()
            own = (one for key, one in reversed(self._items.items()) if key[0] == owner)
            return list(islice(own, count))

    def ids(self) -> list[str]:
        """Return the ids of all results of the current user, the latest first."""
        return [one.id for one in self.latest(self._max_results)]

    def newest(self) -> str | None:
        """Return the id of the current user's last result."""
        return next(iter(self.ids()), None)

    def _drop_old(self) -> None:
        oldest = time.time() - self._max_age_s
        sizes = self._photo_sizes()
        while self._items:
            key, first = next(iter(self._items.items()))
            too_many = len(self._items) > self._max_results
            too_large = sum(sizes.values()) > self._max_bytes and len(self._items) > 1
            if not (too_many or too_large or first.stored_at < oldest):
                break
            del self._items[key]
            sizes = self._photo_sizes()

    def _photo_sizes(self) -> dict[int, int]:
        """Return the bytes of each photo; results about the same share one."""
        photos = [one.photo for one in self._items.values()]
        return {id(one): one.pixels.nbytes for one in photos}


def no_such_result(result_id: str) -> InputError:
    """Return the error that says so, the same whether there was one or it is another's."""
    return InputError(
        f"there is no result {result_id[:40]!r}",
        "results are kept for a time only; call segment again, or use a result_id of an answer",
    )
