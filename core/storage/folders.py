"""A folder of results that lies in a store, too, from where another machine goes on with it."""

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sam3i_agent.core.errors import Sam3iError, StorageError
from sam3i_agent.core.storage.blobs import Blobs

logger = logging.getLogger(__name__)

_TOP = "jobs"
_PUSH_S = 60.0
"""Between two looks at what has changed, while work goes on."""
_OUTSIDE = re.compile(rb"[^A-Za-z0-9.-]|^[.-]")
"""Bytes of a name that keys do not have, or not at the start; `_` stands for itself escaped."""
_ESCAPED = re.compile(rb"_([0-9a-f]{2})")

_Stamp = tuple[int, int]
"""Size and time of a change."""


class StoredFolder:
    """The files of a folder, in a store as well.

    Args:
        blobs: the store.
        folder: here; its name is the job's name there.
    """

    def __init__(self, blobs: Blobs, folder: Path) -> None:
        self._blobs = blobs
        self._folder = folder.resolve()
        self._top = f"{_TOP}/{_key_of(self._folder.name)}"
        self._there: dict[Path, _Stamp] = {}
        self._pushed_at = time.monotonic()

    def pull(self) -> int:
        """Fetch what lies there and not here; return the number of files.

        Raises:
            StorageError: the store refuses, or the folder cannot be written.
            TryAgainError: the store does not answer.
        """
        count = 0
        for one in self._blobs.list(self._top):
            path = self._folder / _name_of(one.key.removeprefix(f"{self._top}/"))
            if not path.resolve().is_relative_to(self._folder):
                raise StorageError(f"the store has {one.key!r}, which is no result")
            if path.exists():
                continue
            data = self._blobs.get(one.key)
            if data is None:
                continue
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            except OSError as error:
                raise StorageError(f"{str(path)!r} cannot be written: {error.strerror}") from error
            self._there[path] = _stamp_of(path)
            count += 1
        return count

    def push(self) -> None:
        """Keep there what is new here, or has changed.

        Raises:
            StorageError: the store refuses.
            TryAgainError: it does not answer.
        """
        for path in sorted(self._folder.rglob("*")):
            if not path.is_file():
                continue
            stamp = _stamp_of(path)
            if self._there.get(path) != stamp:
                name = path.relative_to(self._folder).as_posix()
                self._blobs.put(f"{self._top}/{_key_of(name)}", path.read_bytes())
                self._there[path] = stamp
        self._pushed_at = time.monotonic()

    def push_now_and_then(self) -> None:
        """Push once a minute, if possible."""
        if time.monotonic() - self._pushed_at >= _PUSH_S:
            self.push_if_possible()

    def push_if_possible(self) -> None:
        """Push; where the store is away, that only costs the other machines."""
        try:
            self.push()
        except Sam3iError as error:
            logger.warning("%s; the results are here for now", error)
            self._pushed_at = time.monotonic()


@contextmanager
def kept_in(url: str | None, folder: Path) -> Iterator[Callable[[], None]]:
    """Let a folder lie in a store, too, from what is there before the work inside to its end.

    Args:
        url: of the store; None keeps the folder here alone.
        folder: of the results.

    Yields:
        What to call now and then.

    Raises:
        InputError: it is no such URL.
        StorageError: the store refuses, or cannot be opened.
        TryAgainError: it does not answer.
    """
    if url is None:
        yield lambda: None
        return
    stored = StoredFolder(Blobs(url), folder)
    stored.pull()
    try:
        yield stored.push_now_and_then
    except BaseException:  # also at Ctrl-C: what is done is done
        stored.push_if_possible()
        raise
    stored.push()


def _key_of(name: str) -> str:
    """Return a path as a key of the store, whatever characters it has."""
    parts = [_OUTSIDE.sub(_escape, part.encode()) for part in name.split("/")]
    return b"/".join(parts).decode()


def _name_of(key: str) -> str:
    """Return the path that became a key."""
    return _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()), key.encode()).decode()


def _escape(found: re.Match[bytes]) -> bytes:
    return b"_%02x" % found[0][0]


def _stamp_of(path: Path) -> _Stamp:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
