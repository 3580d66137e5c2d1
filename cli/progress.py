"""Progress on a terminal; nothing where standard error is a file."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, ProgressColumn, TaskID


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
