"""A photo in memory, upright."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Photo:
    """Pixels in the orientation a person sees, and the identity of the file they came from."""

    pixels: NDArray[np.uint8]
    """(H, W, 3), RGB."""
    sha256: str
    """Of the file's bytes, hexadecimal."""
    notes: tuple[str, ...] = ()
    """What was done to read it (turned, converted), in words."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]
