"""Features of texts, kept for the next photo: the same phrases are asked for again and again."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

MAX_TEXTS = 2048
"""32 x 256 numbers each, 64 MiB in fp32, at full size."""


class TextCache:
    """The latest features by key. Not for several threads at a time."""

    def __init__(self, max_texts: int = MAX_TEXTS) -> None:
        self.max_texts = max_texts
        self.hits = 0
        self.misses = 0
        self._kept: OrderedDict[Hashable, Tensor] = OrderedDict()

    def clear(self) -> None:
        """Forget all features."""
        self._kept.clear()

    def get(self, keys: Sequence[Hashable], compute: Callable[[Sequence[int]], Tensor]) -> Tensor:
        """Return the features of all keys, (N, ...).

        Args:
            keys: what the features depend on.
            compute: called once with the positions of keys that are not kept, all different; its
                rows are their features.
        """
        missing = [
            position
            for position, key in enumerate(keys)
            if key not in self._kept and key not in keys[:position]
        ]
        rows = (
            dict(zip((keys[one] for one in missing), compute(missing), strict=True))
            if (missing)
            else {}
        )
        self.misses += len(missing)
        self.hits += len(keys) - len(missing)
        found = torch.stack([rows[key] if key in rows else self._kept[key] for key in keys])
        for key in keys:
            if key in rows:
                self._kept[key] = rows[key].clone()  # a row alone, not the batch it was part of
            self._kept.move_to_end(key)
        while len(self._kept) > self.max_texts:
            self._kept.popitem(last=False)
        return found
