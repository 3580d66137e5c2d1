"""Importing thousands of modules at once, as a command does that needs a model."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import without looking for garbage in between, and never look through what was imported.

    Modules are kept, so every look in vain goes through all that came before: a fifth of the time
    that importing torch and transformers takes. What else the block makes is kept as well.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def quick_end() -> None:
    """Let the process end without a look through all of its objects, which takes a second."""
    gc.disable()
    gc.freeze()
