"""Stopping a computation from outside: between two layers, nobody waits for the rest.

A thread cannot be cancelled, so long computations ask `check_stop` between their steps.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import partial
from typing import ParamSpec, TypeVar

from sam3i_agent.core.errors import TryAgainError

P = ParamSpec("P")
R = TypeVar("R")

_stop: ContextVar[threading.Event | None] = ContextVar("sam3i_stop", default=None)
_deadline: ContextVar[float | None] = ContextVar("sam3i_deadline", default=None)
_AFTER_DEADLINE_S = 10
"""To wait before asking again for what took too long."""


class StoppedError(Exception):
    """The caller no longer wants the result."""


def check_stop() -> None:
    """Raise where the caller does not wait any more.

    Raises:
        StoppedError: the caller of `run_in_thread` has been cancelled.
        TryAgainError: the time of `until` is over.
    """
    stop, end = _stop.get(), _deadline.get()
    if stop is not None and stop.is_set():
        raise StoppedError
    if end is not None and time.time() > end:
        raise TryAgainError("the answer was not ready in time", _AFTER_DEADLINE_S)


def deadline() -> float | None:
    """Return when the answer must be ready, in seconds since 1970; None where nobody says."""
    return _deadline.get()


@contextmanager
def until(end: float | None) -> Iterator[None]:
    """Let everything inside be ready at a time, in seconds since 1970; None sets no end."""
    token = _deadline.set(end)
    try:
        yield
    finally:
        _deadline.reset(token)


async def run_in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `function` in a thread; cancelling this stops it at its next `check_stop`."""
    return await _run(None, partial(function, *args, **kwargs))


async def run_in_pool(
    pool: Executor, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """Call `function` in a thread of a pool; see `run_in_thread`."""
    return await _run(pool, partial(function, *args, **kwargs))


async def _run(pool: Executor | None, call: Callable[[], R]) -> R:
    stop = threading.Event()
    token = _stop.set(stop)
    try:
        context = copy_context()
        return await asyncio.get_running_loop().run_in_executor(pool, context.run, call)
    except asyncio.CancelledError:
        stop.set()
        raise
    finally:
        _stop.reset(token)
