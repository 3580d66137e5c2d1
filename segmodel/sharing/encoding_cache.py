"""Encoded photos, kept for further questions: the encoder is most of the work."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, Protocol, TypeVar

MAX_BYTES = 2 * 1024**3
"""Of features; about 17 photos of the full-size model in bf16, thousands of the tiny one."""


class Sized(Protocol):
    """Something whose memory is known."""

    @property
    def nbytes(self) -> int:
        """Bytes that it holds."""
        ...


T = TypeVar("T", bound=Sized)


class EncodingCache(Generic[T]):
    """The latest encodings by key, bounded in bytes; safe to share between threads.

    Two threads that ask for one key at a time compute it once. The latest encoding stays even where
    it alone is larger than the bound.

    Args:
        max_bytes: of all encodings together.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self.hits = 0
        self.misses = 0
        self._kept: OrderedDict[str, T] = OrderedDict()
        self._running: dict[str, Future[T]] = {}
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        with self._lock:
            return sum(one.nbytes for one in self._kept.values())

    def get(self, key: str, compute: Callable[[], T]) -> T:
        """Return the encoding of `key`, computed by `compute` where it is not kept."""
        while True:
            with self._lock:
                if key in self._kept:
                    self._kept.move_to_end(key)
                    self.hits += 1
                    return self._kept[key]
                running = self._running.get(key)
                if running is None:
                    mine = self._running[key] = Future()
                    self.misses += 1
                    break
            # Whoever computes it may be stopped or fail, which is no reason for us to.
            if running.exception() is None:
                return running.result()
        try:
            value = compute()
        except BaseException as error:
            self._finish(key, mine)
            mine.set_exception(error)
            raise
        self._finish(key, mine, value)
        mine.set_result(value)
        return value

    def clear(self) -> None:
        """Forget all encodings."""
        with self._lock:
            self._kept.clear()

    def _finish(self, key: str, mine: "Future[T]", value: T | None = None) -> None:
        with self._lock:
            if self._running.get(key) is mine:
                del self._running[key]
            if value is None:
                return
            self._kept[key] = value
            size = sum(one.nbytes for one in self._kept.values())
            while size > self.max_bytes and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                size -= oldest.nbytes
