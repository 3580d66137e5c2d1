"""Masks of one photo, run-length encoded: 24 MB of a large photo become a few kB.

Runs go down the columns, as in COCO's encoding.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from sam3i_agent.core.rle import as_rle, counts_of_changes, decode_mask, encode_mask, iou_matrix


class Masks(Sequence[NDArray[np.bool_]]):
    """N masks of a photo of H x W pixels; one is decoded when it is looked at.

    `masks[0]` is an (H, W) array, `masks[[0, 2]]` are masks again, `np.asarray(masks)` is dense.

    Args:
        size_hw: of the photo, in pixels.
        counts: COCO's compressed counts of each mask.
    """

    def __init__(self, size_hw: tuple[int, int], counts: Iterable[str]) -> None:
        self.size_hw = size_hw
        self.counts = tuple(counts)

    @classmethod
    def encode(cls, masks: Iterable[NDArray[np.bool_]], size_hw: tuple[int, int]) -> Self:
        """Encode dense (H, W) masks, one at a time."""
        return cls(size_hw, (encode_mask(mask)["counts"] for mask in masks))

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.counts)

    def __iter__(self) -> Iterator[NDArray[np.bool_]]:
        """Decode one mask after the other."""
        return (decode_mask(self.size_hw, one) for one in self.counts)

    @overload
    def __getitem__(self, index: int) -> NDArray[np.bool_]: ...
    @overload
    def __getitem__(self, index: slice | Sequence[int] | NDArray[Any]) -> Self: ...
    def __getitem__(
        self, index: int | slice | Sequence[int] | NDArray[Any]
    ) -> NDArray[np.bool_] | Self:
        """Return one mask, (H, W), or some of them."""
        if isinstance(index, int | np.integer):
            return decode_mask(self.size_hw, self.counts[index])
        if isinstance(index, list) and not index:
            return type(self)(self.size_hw, ())  # numpy takes an empty list for one of floats
        chosen = np.arange(len(self))[index]
        return type(self)(self.size_hw, (self.counts[i] for i in chosen))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the dense (N, H, W) stack."""
        dense = np.zeros(self.shape, dtype=bool)
        for row, mask in zip(dense, self, strict=True):
            row[:] = mask
        return dense if dtype is None else dense.astype(dtype)

    @property
    def shape(self) -> tuple[int, int, int]:
        """N, H, W."""
        return len(self), *self.size_hw

    @property
    def areas(self) -> NDArray[np.int64]:
        """(N,), in pixels."""
        rles: Any = self.rles
        return np.asarray(coco_mask.area(rles), np.int64).reshape(-1)

    @property
    def rles(self) -> list[Any]:
        """As pycocotools takes them."""
        return [as_rle(self.size_hw, one) for one in self.counts]

    def union(self) -> NDArray[np.bool_]:
        """Return the (H, W) pixels of any mask."""
        if not self.counts:
            return np.zeros(self.size_hw, dtype=bool)
        return np.asarray(coco_mask.decode(coco_mask.merge(self.rles)), bool)


def mask_ious(predictions: Masks, truths: Masks) -> NDArray[np.float64]:
    """Return the (P, T) mask IoUs of P predictions and T truths."""
    return iou_matrix(predictions.rles, truths.rles)


def union_iou(a: Masks, b: Masks) -> float:
    """Return the IoU of the united masks; 1 where both are empty."""
    joined = [coco_mask.merge(one.rles) for one in (a, b) if len(one)]
    areas = [int(coco_mask.area(one)) for one in joined]
    if not sum(areas):
        return 1.0
    if len(joined) < 2 or not all(areas):
        return 0.0
    return float(np.asarray(coco_mask.iou(joined[:1], joined[1:], [0]))[0, 0])


def encode_cut_out(mask: NDArray[np.bool_], x0: int, y0: int, size_hw: tuple[int, int]) -> str:
    """Return the compressed counts of a photo whose only pixels are an (h, w) cut-out at x0, y0."""
    height = size_hw[0]
    columns = np.pad(mask.T, ((0, 0), (1, 1)))  # so that each column starts and ends outside
    column, place = np.nonzero(columns[:, 1:] != columns[:, :-1])
    edges = (x0 + column) * height + y0 + place
    # A run to the bottom of one column and one from the top of the next are one run.
    values, times = np.unique(edges, return_counts=True)
    changes = values[times == 1]
    starts_inside = bool(len(changes)) and changes[0] == 0
    within = changes[(changes > 0) & (changes < height * size_hw[1])]
    return counts_of_changes(within, starts_inside, size_hw)
