"""Jobs of several threads in one pass: whoever gets the model takes along all that waits for it.

Nobody waits for company, so a lone job is as fast as without; while the model is busy, what comes
in meanwhile becomes the next batch.
"""

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sam3i_agent.core.stopping import StoppedError, check_stop

J = TypeVar("J")
R = TypeVar("R")


@dataclass(eq=False)
class _Entry(Generic[J, R]):
    job: J
    kind: Hashable
    cost: int
    context: Context
    """Of whoever waits for it, by which it can be stopped."""
    result: "Future[R]" = field(default_factory=Future)


class Combiner(Generic[J, R]):
    """Runs jobs in batches of one kind, in the order in which they came.

    Args:
        run: answers jobs of one kind, in order.
        turn: held while it runs.
        limit: largest cost of a batch; a dearer job is a batch of its own.
    """

    def __init__(
        self, run: Callable[[Sequence[J]], Sequence[R]], turn: threading.Lock, limit: int
    ) -> None:
        self.batches = 0
        self.jobs = 0
        self._run = run
        self._turn = turn
        self._limit = limit
        self._waiting: deque[_Entry[J, R]] = deque()
        self._queue = threading.Lock()

    def __call__(self, job: J, kind: Hashable = None, cost: int = 1) -> R:
        """Return the answer to a job.

        Args:
            job: what `run` takes.
            kind: jobs of different kinds are not answered together.
            cost: of the job, in the units of the limit.

        Raises:
            StoppedError: the caller of `stopping.run_in_thread` was cancelled.
        """
        mine: _Entry[J, R] = _Entry(job, kind, cost, copy_context())
        with self._queue:
            self._waiting.append(mine)
        while not mine.result.done():
            with self._turn:
                if not mine.result.done():
                    self._answer(self._take())
        return mine.result.result()

    def limited_to(self, limit: int) -> "Combiner[J, R]":
        """Return one over the same model with another limit."""
        return Combiner(self._run, self._turn, limit)

    def _take(self) -> list[_Entry[J, R]]:
        """Take the oldest job, and what goes with it."""
        with self._queue:
            taken = [self._waiting.popleft()]
            cost = taken[0].cost
            for entry in list(self._waiting):
                if entry.kind == taken[0].kind and cost + entry.cost <= self._limit:
                    self._waiting.remove(entry)
                    taken.append(entry)
                    cost += entry.cost
        return taken

    def _answer(self, entries: Sequence[_Entry[J, R]]) -> None:
        wanted = [entry for entry in entries if self._still_wanted(entry)]
        if len(wanted) > 1:
            try:
                # Nobody's leaving may stop the others, so this context knows no stop.
                results = Context().run(self._run, [entry.job for entry in wanted])
            except Exception:  # one of them is at fault: each alone says which
                for entry in wanted:
                    self._answer_alone(entry)
                return
            self._count(len(wanted))
            for entry, result in zip(wanted, results, strict=True):
                entry.result.set_result(result)
        elif wanted:
            self._answer_alone(wanted[0])

    def _answer_alone(self, entry: _Entry[J, R]) -> None:
        try:
            (result,) = entry.context.run(self._run, [entry.job])
        except BaseException as error:
            entry.result.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        self._count(1)
        entry.result.set_result(result)

    def _still_wanted(self, entry: _Entry[J, Any]) -> bool:
        try:
            entry.context.run(check_stop)
        except StoppedError as error:
            entry.result.set_exception(error)
            return False
        return True

    def _count(self, jobs: int) -> None:
        self.batches += 1
        self.jobs += jobs
