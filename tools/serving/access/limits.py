"""How much each user may ask for: calls and pixels a minute, and calls at a time."""

import secrets
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Protocol

from sam3i_agent.core.errors import TryAgainError

WINDOW_S = 60.0
_LEASE_S = 900.0
"""After which a call counts as ended: its front end may have died."""
_ENDS_IN_S = 1.0
"""To wait for one of one's own calls to end."""
_MEGA = 1_000_000
_KNOWN_USERS = 100_000


@dataclass(frozen=True)
class UserLimits:
    """Of each user; None sets no limit."""

    calls_per_minute: int | None = None
    concurrent_calls: int | None = None
    megapixels_per_minute: float | None = None
    """Of the photos that are asked about."""

    @property
    def any(self) -> bool:
        """Whether one is set."""
        return (self.calls_per_minute, self.concurrent_calls, self.megapixels_per_minute) != (
            None,
            None,
            None,
        )


NO_LIMITS = UserLimits()


class Limiter(Protocol):
    """Counts what users ask for."""

    async def begin(self, owner: str) -> str:
        """Count a call, and return its number for `end`.

        Raises:
            TryAgainError: it would be one too many.
        """
        ...

    async def end(self, owner: str, call: str) -> None:
        """Say that a call has ended."""
        ...

    async def spend(self, owner: str, pixels: int) -> None:
        """Count the pixels of a photo.

        Raises:
            TryAgainError: they would be too many.
        """
        ...


@dataclass
class _Window:
    """Amounts of the last minute."""

    entries: deque[tuple[float, int]] = field(default_factory=deque)
    total: int = 0

    def wait_s(self, amount: int, limit: int, now: float) -> float:
        """Return in how many seconds `amount` more fits; 0 where it does now."""
        while self.entries and self.entries[0][0] <= now - WINDOW_S:
            self.total -= self.entries.popleft()[1]
        excess = self.total + amount - limit
        if excess <= 0:
            return 0.0
        for at, size in self.entries:
            excess -= size
            if excess <= 0:
                return at + WINDOW_S - now
        return WINDOW_S

    def add(self, amount: int, now: float) -> None:
        self.entries.append((now, amount))
        self.total += amount


@dataclass
class _User:
    calls: _Window = field(default_factory=_Window)
    pixels: _Window = field(default_factory=_Window)
    running: dict[str, float] = field(default_factory=dict)
    """When each call under way began."""


class LocalLimiter:
    """Counts in this process.

    Args:
        limits: of each user.
    """

    def __init__(self, limits: UserLimits) -> None:
        self._limits = limits
        self._users: OrderedDict[str, _User] = OrderedDict()
        self._lock = threading.Lock()

    async def begin(self, owner: str) -> str:
        """Count a call, and return its number for `end`.

        Raises:
            TryAgainError: it would be one too many.
        """
        now, limits = time.monotonic(), self._limits
        with self._lock:
            user = self._user(owner)
            user.running = {call: at for call, at in user.running.items() if at > now - _LEASE_S}
            most = limits.concurrent_calls
            if most is not None and len(user.running) >= most:
                raise TryAgainError(f"you may have {most} calls under way", _ENDS_IN_S)
            per_minute = limits.calls_per_minute
            if per_minute is not None:
                wait_s = user.calls.wait_s(1, per_minute, now)
                if wait_s > 0:
                    raise TryAgainError(f"you may make {per_minute} calls a minute", wait_s)
                user.calls.add(1, now)
            call = secrets.token_hex(8)
            user.running[call] = now
            return call

    async def end(self, owner: str, call: str) -> None:
        """Say that a call has ended."""
        with self._lock:
            self._user(owner).running.pop(call, None)

    async def spend(self, owner: str, pixels: int) -> None:
        """Count the pixels of a photo.

        Raises:
            TryAgainError: they would be too many.
        """
        allowed = self._limits.megapixels_per_minute
        if allowed is None:
            return
        now, limit = time.monotonic(), round(allowed * _MEGA)
        with self._lock:
            window = self._user(owner).pixels
            # A photo larger than all of a minute may be the only one in it.
            amount = min(pixels, limit)
            wait_s = window.wait_s(amount, limit, now)
            if wait_s > 0:
                raise TryAgainError(f"you may ask about {allowed:g} megapixels a minute", wait_s)
            window.add(amount, now)

    def _user(self, owner: str) -> _User:
        user = self._users.setdefault(owner, _User())
        self._users.move_to_end(owner)
        while len(self._users) > _KNOWN_USERS:
            self._users.popitem(last=False)
        return user
