"""Progress bars of transformers, which draws them even into files."""

import sys

from transformers.utils.logging import disable_progress_bar


def hide_progress_unless_terminal() -> None:
    """Turn the bars off where standard error is not a terminal."""
    if not sys.stderr.isatty():
        disable_progress_bar()
