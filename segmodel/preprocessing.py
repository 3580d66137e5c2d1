"""Pixels in: the official image path, without torchvision.

Resize to a square (aspect ratio not kept; bilinear, antialiased, on uint8, which is what
torchvision does in the official predictor), scale to 0..1, then mean 0.5 and std 0.5.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

_MEAN = 0.5
_STD = 0.5
_UINT8_MAX = 255.0
_CPU = torch.device("cpu")


def to_pixel_values(
    image: NDArray[np.uint8], image_size: int, device: torch.device = _CPU
) -> torch.Tensor:
    """Return the model's input for one picture.

    On CUDA the pixels go up as they are and are resized there, as torchvision does it there: in
    float, then rounded. Both ways differ by one level of 255 at most.

    Args:
        image: (H, W, 3) uint8, RGB.
        image_size: side of the model's square input, in pixels.
        device: where to resize, and where the result is.

    Returns:
        (1, 3, image_size, image_size) float32 in -1..1.
    """
    pixels = torch.from_numpy(np.require(image, requirements=["C", "W"])).permute(2, 0, 1)[None]
    size = (image_size, image_size)
    if device.type == "cuda":
        uploaded = pixels.pin_memory().to(device, non_blocking=True)
        resized = resize_in_float(uploaded, size)
    else:
        resized = interpolate(pixels, size, mode="bilinear", antialias=True).to(device)
    return (resized.to(torch.float32) / _UINT8_MAX - _MEAN) / _STD


def resize_in_float(pixels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize (1, 3, H, W) uint8 where there is no arithmetic on uint8; whole float32 levels."""
    resized = interpolate(pixels.to(torch.float32), size, mode="bilinear", antialias=True)
    return resized.round_().clamp_(0, _UINT8_MAX)
