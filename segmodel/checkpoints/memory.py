"""Whether a model fits into what memory is free, asked before it is loaded; and what it took."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sam3i_agent.core.errors import ModelError
from sam3i_agent.segmodel.machine_limits import memory_left

_MEMINFO = Path("/proc/meminfo")
_GB = 1e9
_KIB = 1024
_SMALLER = "close other programs, or take a smaller one: owlv2+sam2 needs 0.8 GB"


def check_memory(name: str, files: Iterable[Path]) -> None:
    """Check that the weights of a model fit into memory; asks Linux alone.

    Args:
        name: of the model, for the message.
        files: with its weights.

    Raises:
        ModelError: they do not.
    """
    needed, free = sum(one.stat().st_size for one in files), free_bytes()
    if free is not None and needed > free:
        raise ModelError(
            f"{name!r} needs {needed / _GB:.1f} GB of memory, {free / _GB:.1f} GB are free",
            _SMALLER,
        )


def free_bytes() -> int | None:
    """Return what this program can have without swapping; None where nobody says."""
    try:
        lines = _MEMINFO.read_text("ascii").splitlines()
    except OSError:
        lines = []
    free = [int(line.split()[1]) * _KIB for line in lines if line.startswith("MemAvailable:")]
    left = memory_left()
    return min([*free, *([] if left is None else [left])], default=None)


@contextmanager
def shortage_named(name: str) -> Iterator[None]:
    """Turn what an allocator says of too little memory into one error.

    Raises:
        ModelError: memory ran out within the block.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        said = str(error).lower()
        if isinstance(error, MemoryError) or "out of memory" in said or "allocate memory" in said:
            raise ModelError(f"memory ran out while {name!r} was loaded", _SMALLER) from error
        raise


def peak_bytes() -> int | None:
    """Return what this process took at its largest; None where nobody says."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIB
