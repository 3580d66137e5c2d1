"""Stopping a computation from outside: between two layers, nobody waits for the rest.

A thread cannot be cancelled, so long computations ask `check_stop` between their steps.
"""

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_stop: ContextVar[threading.Event | None] = ContextVar("sam3i_stop", default=None)


class StoppedError(Exception):
    """The caller no longer wants the result."""


def check_stop() -> None:
    """Raise a `StoppedError` where the caller of `run_in_thread` has been cancelled."""
    stop = _stop.get()
    if stop is not None and stop.is_set():
        raise StoppedError


async def run_in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `function` in a thread; cancelling this stops it at its next `check_stop`."""
    stop = threading.Event()
    token = _stop.set(stop)
    try:
        return await asyncio.to_thread(function, *args, **kwargs)
    except asyncio.CancelledError:
        stop.set()
        raise
    finally:
        _stop.reset(token)
