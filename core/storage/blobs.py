"""Named bytes in a folder or an object store, for every process of a service (extra `store`)."""

import contextlib
import logging
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sam3i_agent.core.errors import InputError, StorageError, TryAgainError

STORE_VARIABLE = "SAM3I_STORE"
"""The URL that is used where none is given."""
CHECKPOINTS_VARIABLE = "SAM3I_CHECKPOINTS"
"""A `postgresql://` URL keeps the checkpoints of all runs there instead of beside each run."""
logger = logging.getLogger(__name__)

MEMORY = "memory:"
"""The URL that keeps nothing outside of the process."""
_SCHEMES = frozenset({"file", "memory", "s3", "gs", "az"})
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_PROBE = "probe"
_RETRIES = 4
_PATIENCE = timedelta(seconds=20)
"""For a store that does not answer, all tries together."""
_WAIT_S = 5
"""To wait before it is asked again."""
_AT_ONCE = 1000
"""Deleted in one request, at most."""


@dataclass(frozen=True)
class Blob:
    """One entry of a store."""

    key: str
    size: int
    """Bytes."""
    written_at: float
    """Seconds since 1970, by the store's clock."""

    @property
    def age_s(self) -> float:
        """Seconds since it was written."""
        return time.time() - self.written_at


class Blobs:
    """Bytes by key; each is written whole or not at all, and the last writer wins.

    Args:
        url: a folder, `file:///FOLDER`, `s3://BUCKET/PREFIX` (also `gs://`, `az://`), or `memory:`
            for this object alone. Keys and addresses of object stores are taken from their usual
            variables, such as `AWS_ACCESS_KEY_ID` and `AWS_ENDPOINT_URL`.

    Raises:
        InputError: it is no such URL.
        StorageError: the extra is not installed, or the folder cannot be made.
    """

    def __init__(self, url: str) -> None:
        try:
            from obstore.store import from_url
        except ModuleNotFoundError as error:
            raise StorageError(
                "a store needs obstore", "install the extra: pip install 'sam3i-agent[store]'"
            ) from error
        self.url = _normal(url)
        options: dict[str, Any] = {}
        if self.url.startswith("file:"):
            options = {"mkdir": True, "automatic_cleanup": False}
        elif not self.url.startswith("memory:"):
            options["retry_config"] = {"max_retries": _RETRIES, "retry_timeout": _PATIENCE}
            # A server that is not AWS's is often on plain http within its own network.
            options["client_options"] = {"allow_http": True}
        try:
            self._store: Any = from_url(self.url, **options)
        except Exception as error:  # obstore's exceptions share no base with those of the system
            reason = _first_line(error)
            raise StorageError(f"the store {url!r} cannot be opened: {reason}") from error

    def put(self, key: str, data: bytes) -> None:
        """Write bytes under a key, in place of what was there.

        Raises:
            StorageError: the store refuses.
            TryAgainError: it does not answer.
        """
        import obstore

        _check(key)
        try:
            obstore.put(self._store, key, data, use_multipart=False)
        except Exception as error:
            raise _failed("written", error) from error

    def get(self, key: str, max_age_s: float | None = None) -> bytes | None:
        """Return the bytes under a key; None where there are none, or older ones than asked.

        Raises:
            StorageError: the store refuses.
            TryAgainError: it does not answer.
        """
        import obstore

        _check(key)
        try:
            found = obstore.get(self._store, key)
            written = found.meta["last_modified"].timestamp()
            if max_age_s is not None and time.time() - written > max_age_s:
                return None
            return bytes(found.bytes())
        except FileNotFoundError:
            return None
        except Exception as error:
            raise _failed("read", error) from error

    def check(self) -> None:
        """Ask for something that there need not be.

        Raises:
            StorageError: the store refuses.
            TryAgainError: it does not answer.
        """
        self.get(_PROBE)

    def list(self, folder: str = "") -> list[Blob]:
        """Return what lies in a folder of keys and below, in no order.

        Raises:
            StorageError: the store refuses.
            TryAgainError: it does not answer.
        """
        import obstore

        if folder:
            _check(folder)
        try:
            return [
                Blob(one["path"], one["size"], one["last_modified"].timestamp())
                for some in obstore.list(self._store, f"{folder}/" if folder else None)
                for one in some
            ]
        except Exception as error:
            raise _failed("listed", error) from error

    def delete(self, keys: Iterable[str]) -> None:
        """Remove what lies under keys; missing ones do not matter.

        Raises:
            StorageError: the store refuses.
            TryAgainError: it does not answer.
        """
        import obstore

        all_keys = list(keys)
        for start in range(0, len(all_keys), _AT_ONCE):
            some = all_keys[start : start + _AT_ONCE]
            for key in some:
                _check(key)
            try:
                obstore.delete(self._store, some)
            except FileNotFoundError:
                self._delete_one_by_one(some)
            except Exception as error:
                raise _failed("cleared", error) from error

    def _delete_one_by_one(self, keys: Iterable[str]) -> None:
        import obstore

        for key in keys:
            with contextlib.suppress(FileNotFoundError):
                obstore.delete(self._store, key)


def _normal(url: str) -> str:
    """Return the URL of a folder that is given as a path, others as they are."""
    scheme = urlsplit(url).scheme
    if not url or (scheme and len(scheme) > 1 and scheme not in _SCHEMES):
        raise InputError(f"{url!r} is no store", "say memory:, a folder, or s3://BUCKET/PREFIX")
    if scheme == "memory":
        return "memory:///"
    if len(scheme) > 1:
        return url
    return Path(url).expanduser().absolute().as_uri()


def _check(key: str) -> None:
    """Keys are made here of checked parts; a wrong one is a fault, and goes no further."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no key of a store")


def _failed(what: str, error: Exception) -> StorageError | TryAgainError:
    from obstore.exceptions import GenericError

    # The details name addresses within, which are not for clients.
    logger.warning("the store cannot be %s: %s", what, _first_line(error))
    if isinstance(error, GenericError):  # the network, or the store itself
        return TryAgainError(f"the store cannot be {what} at the moment", _WAIT_S)
    return StorageError(f"the store cannot be {what}", "its owner checks URL, keys and rights")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
