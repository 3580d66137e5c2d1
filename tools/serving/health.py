"""Whether what a server depends on answers: each is asked for a short time, in its own thread.

The threads that serve calls may all be busy; that is load, and no ill health.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from sam3i_agent.core.errors import Sam3iError
from sam3i_agent.core.storage.blobs import CHECKPOINTS_VARIABLE
from sam3i_agent.tools.toolbox import Toolbox

logger = logging.getLogger(__name__)

CHECK_S = 2.0
"""Within which a dependency answers."""
_FRESH_S = 3.0
"""How long an answer is believed: probes come from many sides."""


@dataclass(frozen=True)
class Dependency:
    """Something that a server needs to answer.

    Args:
        name: for people and metrics.
        check: says how it is, or raises.
        needed: whether calls fail without it.
    """

    name: str
    check: Callable[[], str]
    needed: bool = True


@dataclass(frozen=True)
class State:
    """How a dependency is."""

    ok: bool
    says: str
    needed: bool

    @property
    def keeps_away(self) -> bool:
        """Whether calls would fail for want of it."""
        return self.needed and not self.ok


class Health:
    """Asks dependencies.

    Args:
        dependencies: to ask.
        check_s: within which each answers.
        fresh_s: how long an answer is believed.
    """

    def __init__(
        self,
        dependencies: Sequence[Dependency],
        check_s: float = CHECK_S,
        fresh_s: float = _FRESH_S,
    ) -> None:
        self._watched = [_Watched(one, check_s, fresh_s) for one in dependencies]

    async def states(self) -> dict[str, State]:
        """Return how each dependency is, by name; takes no longer than one check may."""
        states = await asyncio.gather(*(one.state() for one in self._watched))
        return {one.name: state for one, state in zip(self._watched, states, strict=True)}


class _Watched:
    """One dependency, asked once at a time."""

    def __init__(self, dependency: Dependency, check_s: float, fresh_s: float) -> None:
        self.name = dependency.name
        self._dependency = dependency
        self._check_s = check_s
        self._fresh_s = fresh_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"health {self.name}")
        self._asked: Future[str] | None = None
        self._state: State | None = None
        self._known_at = 0.0

    async def state(self) -> State:
        if self._state is not None and time.monotonic() - self._known_at < self._fresh_s:
            return self._state
        if self._asked is None:
            self._asked = self._thread.submit(self._dependency.check)
        asked = self._asked
        answer = asyncio.shield(asyncio.wrap_future(asked))
        try:
            state = self._is(True, await asyncio.wait_for(answer, self._check_s))
        except TimeoutError:  # it goes on, and is asked no second time
            return self._is(False, f"no answer within {self._check_s:g} s")
        except Sam3iError as error:
            state = self._is(False, error.message)
        except Exception as error:
            logger.warning("%s: %s", self.name, error)
            state = self._is(False, type(error).__name__)
        if self._asked is asked:
            self._asked, self._state, self._known_at = None, state, time.monotonic()
        return state

    def _is(self, ok: bool, says: str) -> State:
        return State(ok, says, self._dependency.needed)


def dependencies_of(toolbox: Toolbox) -> list[Dependency]:
    """Return the model and, where results are kept outside of the process, their store."""
    store = [] if toolbox.files is None else [Dependency("store", toolbox.files.check)]
    return [Dependency("model", toolbox.service.check), *store]


def run_database() -> list[Dependency]:
    """Return the database with the checkpoints of runs, where one is named; no call needs it."""
    url = os.environ.get(CHECKPOINTS_VARIABLE)
    if not url:
        return []

    def check() -> str:
        import psycopg

        with psycopg.connect(url, connect_timeout=round(CHECK_S)) as connection:
            connection.execute("SELECT 1")
        return "answers"

    return [Dependency("run database", check, needed=False)]
