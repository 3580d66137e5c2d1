"""Earlier results in a store that every front end shares, also after a restart."""

import io
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from PIL import Image

from sam3i_agent.core.contracts import Frozen, SegmentationResult
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.photo import Photo, decode_photo
from sam3i_agent.tools.results.kept import PHOTOS, KeptFiles
from sam3i_agent.tools.results.refining import NO_EDITS, Edits
from sam3i_agent.tools.results.store import (
    ID_BYTES,
    MAX_BYTES,
    MAX_RESULTS,
    Concept,
    StoredResult,
    no_such_result,
)
from sam3i_agent.tools.users import current_owner

_KIND = "results"
_ID = re.compile(rf"[0-9a-f]{{{2 * ID_BYTES}}}")
_COMPRESSION = 1
"""Of photos, as PNG: the store's speed counts, not its size."""
_PHOTOS_KNOWN = 4096
"""That this process has written, and need not write again."""


class _KeptConcept(Frozen):
    phrase: str
    result_id: str
    first: int
    end: int


class _KeptResult(Frozen):
    """A result as a file."""

    format: int = 1
    made_at: float
    result: SegmentationResult
    photo_sha256: str
    photo_notes: tuple[str, ...]
    photo_name: str
    edits: Edits
    parent: str | None
    concepts: tuple[_KeptConcept, ...]


class SharedResultStore:
    """Results in a store; the latest are in memory as well.

    Args:
        files: the store.
        max_results: in memory.
        max_bytes: of photos in memory.
    """

    def __init__(
        self, files: KeptFiles, max_results: int = MAX_RESULTS, max_bytes: int = MAX_BYTES
    ) -> None:
        self._files = files
        self._max_results = max_results
        self._results: OrderedDict[tuple[str, str], StoredResult] = OrderedDict()
        self._photos = _Photos(files, max_bytes)
        self._newest: dict[str, str] = {}
        self._lock = threading.Lock()

    def add(
        self,
        result: SegmentationResult,
        photo: Photo,
        edits: Edits = NO_EDITS,
        parent: str | None = None,
        concepts: tuple[Concept, ...] = (),
    ) -> StoredResult:
        """Keep a result of the current user under a new id that cannot be guessed.

        Raises:
            StorageError: the store refuses.
            TryAgainError: the user keeps as much as is allowed, or the store does not answer.
        """
        id_ = secrets.token_hex(ID_BYTES)
        kept = _KeptResult(
            made_at=time.time(),
            result=result,
            photo_sha256=photo.sha256,
            photo_notes=photo.notes,
            photo_name=photo.name,
            edits=edits,
            parent=parent,
            concepts=tuple(
                _KeptConcept(
                    phrase=one.phrase,
                    result_id=one.result_id,
                    first=one.numbers.start,
                    end=one.numbers.stop,
                )
                for one in concepts
            ),
        )
        self._photos.put(photo)
        self._files.put(_KIND, f"{id_}.json", kept.model_dump_json().encode())
        stored = self._stored(id_, kept)
        self._remember(stored)
        self._newest[current_owner()] = id_
        return stored

    def get(self, result_id: str) -> StoredResult:
        """Return a result of the current user by its id.

        Raises:
            InputError: there is none, it is somebody else's, or it is too old.
            StorageError: the store refuses.
            TryAgainError: the store does not answer.
        """
        if not _ID.fullmatch(result_id):
            raise no_such_result(result_id)
        with self._lock:
            found = self._results.get((current_owner(), result_id))
        if found is not None:
            if time.time() - found.stored_at > self._files.retention.max_age_s:
                raise no_such_result(result_id)
            return found
        data = self._files.get(_KIND, f"{result_id}.json")
        if data is None:
            raise no_such_result(result_id)
        stored = self._stored(result_id, _KeptResult.model_validate_json(data))
        self._remember(stored)
        return stored

    def latest(self, count: int) -> list[StoredResult]:
        """Return the current user's latest results, the last one first."""
        return [self.get(one) for one in self.ids()[:count]]

    def ids(self) -> list[str]:
        """Return the ids of all results of the current user, the latest first."""
        names = [one.key.rpartition("/")[2] for one in self._files.list(_KIND)]
        return [name.removesuffix(".json") for name in names]

    def newest(self) -> str | None:
        """Return the id of the current user's last result in this process."""
        return self._newest.get(current_owner())

    def _stored(self, id_: str, kept: _KeptResult) -> StoredResult:
        return StoredResult(
            id_,
            kept.result,
            self._photos.opener(kept.photo_sha256, kept.photo_notes, kept.photo_name),
            kept.made_at,
            kept.edits,
            kept.parent,
            tuple(
                Concept(one.phrase, one.result_id, range(one.first, one.end))
                for one in kept.concepts
            ),
        )

    def _remember(self, stored: StoredResult) -> None:
        with self._lock:
            self._results[current_owner(), stored.id] = stored
            while len(self._results) > self._max_results:
                self._results.popitem(last=False)


class _Photos:
    """Photos that results are about, without loss, once for each user."""

    def __init__(self, files: KeptFiles, max_bytes: int) -> None:
        self._files = files
        self._max_bytes = max_bytes
        self._read_lately: OrderedDict[tuple[str, str], Photo] = OrderedDict()
        self._written_at: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, photo: Photo) -> None:
        """Keep a photo, again only where it would not outlive the newest result about it."""
        key = (current_owner(), photo.sha256)
        self._remember(key, photo)
        now, lifetime = time.time(), self._files.retention.max_age_s
        if now - self._written_at.get(key, 0.0) < lifetime:
            return
        buffer = io.BytesIO()
        Image.fromarray(photo.pixels).save(buffer, "PNG", compress_level=_COMPRESSION)
        self._files.put(PHOTOS, f"{photo.sha256}.png", buffer.getvalue())
        with self._lock:
            self._written_at[key] = now
            while len(self._written_at) > _PHOTOS_KNOWN:
                self._written_at.popitem(last=False)

    def opener(self, sha256: str, notes: tuple[str, ...], name: str) -> Callable[[], Photo]:
        """Return what reads a photo of the current user when it is wanted.

        It raises an InputError where the photo is kept no more.
        """
        key = (current_owner(), sha256)

        def read() -> Photo:
            with self._lock:
                known = self._read_lately.get(key)
            if known is not None:
                return known
            data = self._files.get(PHOTOS, f"{sha256}.png")
            if data is None:
                raise InputError("the photo of that result is kept no more", "call segment again")
            photo = replace(decode_photo(data, name), sha256=sha256, notes=notes, name=name)
            self._remember(key, photo)
            return photo

        return read

    def _remember(self, key: tuple[str, str], photo: Photo) -> None:
        with self._lock:
            self._read_lately[key] = photo
            self._read_lately.move_to_end(key)
            total = sum(one.pixels.nbytes for one in self._read_lately.values())
            while total > self._max_bytes and len(self._read_lately) > 1:
                _, dropped = self._read_lately.popitem(last=False)
                total -= dropped.pixels.nbytes
