"""What a model runs on, in words for logs and reports."""

import torch


def device_name(device: torch.device) -> str:
    """Return the card's name for CUDA, else the kind of device: "cpu", "mps"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def dtype_name(dtype: torch.dtype) -> str:
    """Return a type as people write it: "float32", "bfloat16"."""
    return str(dtype).removeprefix("torch.")
