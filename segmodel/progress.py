"""What transformers says while it loads: progress bars even into files, and warnings."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils.logging import (
    disable_progress_bar,
    get_verbosity,
    set_verbosity,
    set_verbosity_error,
)


def hide_progress_unless_terminal() -> None:
    """Turn the bars off where standard error is not a terminal."""
    if not sys.stderr.isatty():
        disable_progress_bar()


@contextmanager
def errors_alone() -> Iterator[None]:
    """Keep transformers from warning that a repository's model is loaded as another kind.

    That is meant: the concept model of a video model, and SAM 2 of one for videos.
    """
    before = get_verbosity()
    set_verbosity_error()
    try:
        yield
    finally:
        set_verbosity(before)
