"""Progress on a terminal; nothing where standard error is a file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from sam3i_agent.core.storage.folders import kept_in


@contextmanager
def progress_bar(
    description: str, total: float | None = None, *columns: ProgressColumn
) -> Iterator[tuple[Progress, TaskID]]:
    """Show a bar while the block runs.

    Args:
        description: what is being done.
        total: steps; None where they are not known yet.
        *columns: of the bar; none takes the usual ones.
    """
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield bar, bar.add_task(description, total=total)


@contextmanager
def kept_progress(
    description: str, store: str | None, out: Path, *columns: ProgressColumn
) -> Iterator[Callable[..., None]]:
    """Show a bar while the block fills a folder, which may lie in a store, too.

    Args:
        description: what is being done.
        store: URL, as `kept_in` takes it.
        out: the folder.
        *columns: as `progress_bar` takes them.

    Yields:
        What to call with steps done, in all and, where it has changed, what is being done.

    Raises:
        InputError: it is no such URL.
        StorageError: the store refuses, or cannot be opened.
        TryAgainError: it does not answer.
    """
    with kept_in(store, out) as keep, progress_bar(description, None, *columns) as (bar, task):

        def advance(done: int, total: int, what: str = description) -> None:
            bar.update(task, description=what, completed=done, total=total)
            keep()

        yield advance


class RateColumn(ProgressColumn):
    """How many are done in a second.

    Args:
        what: they are, in the plural.
    """

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what

    def render(self, task: Task) -> Text:
        """Return the latest rate; empty before it is known."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} {self._what}/s")


def rate_columns(what: str) -> tuple[ProgressColumn, ...]:
    """Return the columns of a bar with the rate and the time left."""
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(what),
        TimeRemainingColumn(),
    )
