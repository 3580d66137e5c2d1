"""Masks of large photos are made in parts, equal to the bit to those made at once."""

import numpy as np
import torch
from torch.nn.functional import interpolate

from sam3i_agent.segmodel import postprocessing


def test_parts_equal_the_whole(monkeypatch):
    logits = torch.randn(7, 32, 32, generator=torch.Generator().manual_seed(0))
    whole = interpolate(logits[None], (333, 517), mode="bilinear", align_corners=False)[0] > 0
    largest: list[int] = []

    def watch(some: torch.Tensor, size: tuple[int, int], **options: object) -> torch.Tensor:
        largest.append(some.shape[1] * size[0] * size[1])
        return interpolate(some, size, **options)

    monkeypatch.setattr(postprocessing, "interpolate", watch)
    for limit in (1, 2 * 333 * 517, 1 << 26):
        monkeypatch.setattr(postprocessing, "_LOGITS_AT_ONCE", limit)
        largest.clear()
        masks = postprocessing.masks_at(logits, (333, 517))
        assert np.array_equal(masks, whole.numpy())
        assert max(largest) <= max(limit, 333 * 517)
    assert postprocessing.masks_at(logits[:0], (9, 9)).shape == (0, 9, 9)
