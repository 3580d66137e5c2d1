"""What users keep in a shared store: apart from each other, for a time, within a size."""

import logging
import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from sam3i_agent.core.errors import Sam3iError, TryAgainError
from sam3i_agent.core.storage.blobs import Blob, Blobs
from sam3i_agent.tools.users import current_owner

logger = logging.getLogger(__name__)

_TOP = "users"
PHOTOS = "photos"
_PHOTO_LIVES = 2
"""A photo is kept so many times longer than a result, so that each result about it finds it."""
_NAME = re.compile(r"[0-9a-f]{8,64}(/[a-z]+)?\.[a-z0-9]+")
_SWEEP_S = 60
_USAGE_S = 30
"""How long a count of a user's bytes is believed; what this process adds is seen at once."""
_GIGA = 1_000_000_000


@dataclass(frozen=True)
class Retention:
    """How long and how much is kept."""

    max_age_s: float = 24 * 3600.0
    max_bytes: int = 20 * _GIGA
    """Of all users; beyond that the oldest goes first, within a minute."""
    user_bytes: int | None = None
    """Of each user, who has to wait beyond that; None sets no limit."""


DEFAULT_RETENTION = Retention()


class KeptFiles:
    """The current user's files in a store.

    Args:
        blobs: the store.
        retention: how long and how much.
    """

    def __init__(self, blobs: Blobs, retention: Retention = DEFAULT_RETENTION) -> None:
        self._blobs = blobs
        self.retention = retention
        self._lock = threading.Lock()
        self._usage: dict[str, tuple[float, int]] = {}
        self._swept_at = time.monotonic()

    def put(self, kind: str, name: str, data: bytes) -> None:
        """Keep a file.

        Args:
            kind: a folder of the user.
            name: an id that cannot be guessed, with an ending.
            data: the file.

        Raises:
            StorageError: the store refuses.
            TryAgainError: the user keeps as much as is allowed, or the store does not answer.
        """
        self._count(len(data))
        self._blobs.put(_key(kind, name), data)
        self._sweep_now_and_then()

    def check(self) -> str:
        """Say that the store answers.

        Raises:
            StorageError: it refuses.
            TryAgainError: it does not answer.
        """
        self._blobs.check()
        return "answers"

    def get(self, kind: str, name: str) -> bytes | None:
        """Return a file of the current user; None where there is none, or it is too old.

        Raises:
            StorageError: the store refuses.
            TryAgainError: the store does not answer.
        """
        if not _NAME.fullmatch(name):
            return None
        return self._blobs.get(_key(kind, name), self._max_age_s(kind))

    def list(self, kind: str) -> list[Blob]:
        """Return the current user's files of a kind, the latest first."""
        files = self._blobs.list(f"{_TOP}/{current_owner()}/{kind}")
        young = [one for one in files if one.age_s <= self._max_age_s(kind)]
        return sorted(young, key=lambda one: one.written_at, reverse=True)

    def _max_age_s(self, kind: str) -> float:
        return self.retention.max_age_s * (_PHOTO_LIVES if kind == PHOTOS else 1)

    def _count(self, size: int) -> None:
        """Add to what the user keeps, unless that is too much."""
        limit, owner = self.retention.user_bytes, current_owner()
        if limit is None:
            return
        with self._lock:
            measured_at, used = self._usage.get(owner, (0.0, 0))
        if time.monotonic() - measured_at > _USAGE_S or used + size > limit:
            files = self._blobs.list(f"{_TOP}/{owner}")
            measured_at, used = time.monotonic(), sum(one.size for one in files)
            if used + size > limit:
                self._delete([one for one in files if self._is_old(one)])
                files = [one for one in files if not self._is_old(one)]
                used = sum(one.size for one in files)
            if used + size > limit:
                raise TryAgainError(
                    f"you keep {used / 1e6:.1f} MB of results, and may keep {limit / 1e6:.1f} MB",
                    self._wait_s(files, used + size - limit),
                )
        with self._lock:
            self._usage[owner] = (measured_at, used + size)

    def _wait_s(self, files: Iterable[Blob], excess: int) -> float:
        """Return after how many seconds enough has become too old to be kept."""
        left = [(self._age_of(one) - one.age_s, one.size) for one in files]
        longest = 0.0
        for wait_s, size in sorted(left):
            excess, longest = excess - size, wait_s
            if excess <= 0:
                break
        return longest

    def _age_of(self, blob: Blob) -> float:
        return self._max_age_s(blob.key.split("/")[2])

    def _is_old(self, blob: Blob) -> bool:
        return blob.age_s > self._age_of(blob)

    def _sweep_now_and_then(self) -> None:
        with self._lock:
            due = time.monotonic() - self._swept_at > _SWEEP_S
            if due:
                self._swept_at = time.monotonic()
        if due:
            threading.Thread(target=self.sweep, name="sam3i-sweep", daemon=True).start()

    def sweep(self) -> None:
        """Remove what is too old, then the oldest of what is too much, of all users."""
        try:
            files = sorted(self._blobs.list(_TOP), key=lambda one: one.written_at)
            gone = [one for one in files if self._is_old(one)]
            kept = [one for one in files if not self._is_old(one)]
            excess = sum(one.size for one in kept) - self.retention.max_bytes
            for one in kept:
                if excess <= 0:
                    break
                gone.append(one)
                excess -= one.size
            self._delete(gone)
        except Sam3iError as error:
            logger.warning("the store could not be tidied: %s", error)

    def _delete(self, files: Iterable[Blob]) -> None:
        self._blobs.delete(one.key for one in files)


def _key(kind: str, name: str) -> str:
    return f"{_TOP}/{current_owner()}/{kind}/{name}"
