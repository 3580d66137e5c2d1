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


def to_pixel_values(image: NDArray[np.uint8], image_size: int) -> torch.Tensor:
    """Return the model's input for one picture.

    Args:
        image: (H, W, 3) uint8, RGB.
        image_size: side of the model's square input, in pixels.

    Returns:
        (1, 3, image_size, image_size) float32 in -1..1.
    """
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    resized = interpolate(pixels, (image_size, image_size), mode="bilinear", antialias=True)
    return (resized.to(torch.float32) / _UINT8_MAX - _MEAN) / _STD
