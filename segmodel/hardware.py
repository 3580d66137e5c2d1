"""What a model runs on: in words for logs and reports, and on how many threads."""

import logging
import os

import torch

from sam3i_agent.segmodel.machine_limits import allowed_processors

logger = logging.getLogger(__name__)
_THREADS = "OMP_NUM_THREADS"


def device_name(device: torch.device) -> str:
    """Return the card's name for CUDA, else the kind of device: "cpu", "mps"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def dtype_name(dtype: torch.dtype) -> str:
    """Return a type as people write it: "float32", "bfloat16"."""
    return str(dtype).removeprefix("torch.")


def take_allowed_threads() -> None:
    """Have torch use no more threads than this process may have processors.

    Whoever sets OMP_NUM_THREADS has said how many.
    """
    allowed, before = allowed_processors(), torch.get_num_threads()
    if _THREADS not in os.environ and allowed < before:
        torch.set_num_threads(allowed)
        logger.info("%d threads instead of %d: what this process may have", allowed, before)
