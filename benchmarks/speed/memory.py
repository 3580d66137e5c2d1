"""The most memory that a piece of work takes beyond what was there before."""

import ctypes
import resource
import sys
from pathlib import Path

import torch

_MIB = 1024 * 1024
_KIB_IN_MIB = 1024
_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_FORGET_PEAK = "5"


class PeakMemory:
    """MiB on a device since this was made: of CUDA what torch allocated, else of the process.

    Outside Linux the process's peak cannot be forgotten, so that only a new peak is seen.

    Args:
        device: where the work is done.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device) / _MIB
        else:
            _give_back()
            if _CLEAR.exists():
                _CLEAR.write_text(_FORGET_PEAK)
            self._before = _of_process()

    def extra_mib(self) -> float:
        """Return how much more than at the start there was at the most."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / _MIB - self._before
        return _of_process() - self._before


def _give_back() -> None:
    """Hand what the allocator keeps of freed memory back, or the work takes that and shows none."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:  # glibc's
        trim(0)


def _of_process() -> float:
    if _STATUS.exists():
        (line,) = [one for one in _STATUS.read_text().splitlines() if one.startswith("VmHWM:")]
        return int(line.split()[1]) / _KIB_IN_MIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (_MIB if sys.platform == "darwin" else _KIB_IN_MIB)
