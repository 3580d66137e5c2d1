"""Example boxes: from pixels of the photo to what the model takes."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.prompt import Exemplar

PADDING = -10
"""Label of a box that is none, as in the official model."""


def check_box(box_xyxy: Sequence[float], size_hw: tuple[int, int]) -> None:
    """Check that a box has an area within the photo.

    Raises:
        InputError: it is no box, or lies beside the photo.
    """
    height, width = size_hw
    if len(box_xyxy) != 4 or not all(map(math.isfinite, box_xyxy)):
        raise InputError(f"a box is four numbers x0, y0, x1, y1, not {list(box_xyxy)}")
    x0, y0, x1, y1 = box_xyxy
    if x0 >= x1 or y0 >= y1:
        raise InputError(f"the box {list(box_xyxy)} has no area", "give x0, y0, x1, y1 in pixels")
    if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
        raise InputError(
            f"the box {list(box_xyxy)} reaches out of the photo of {width} x {height} pixels"
        )


def check_point(point_xy: Sequence[float], size_hw: tuple[int, int]) -> None:
    """Check that a point is in the photo.

    Raises:
        InputError: it is no point, or lies beside the photo.
    """
    height, width = size_hw
    if len(point_xy) != 2 or not all(map(math.isfinite, point_xy)):
        raise InputError(f"a point is two numbers x, y, not {list(point_xy)}")
    if not (0 <= point_xy[0] < width and 0 <= point_xy[1] < height):
        raise InputError(
            f"the point {list(point_xy)} is outside the photo of {width} x {height} pixels"
        )


def pad_exemplars(
    rows: Sequence[tuple[Sequence[Exemplar], tuple[int, int]]],
) -> tuple[Tensor, Tensor]:
    """Return the boxes of N prompts as one batch.

    Args:
        rows: each prompt's exemplars, in pixels, and the height and width of its photo.

    Returns:
        (N, K, 4) centre and size in 0..1, and (N, K) labels: 1 positive, 0 negative, -10 padding.
    """
    return pad_boxes(
        [
            [(_to_centre_and_size(one, size_hw), one.positive) for one in row]
            for row, size_hw in rows
        ]
    )


def _to_centre_and_size(exemplar: Exemplar, size_hw: tuple[int, int]) -> Tensor:
    height, width = size_hw
    x0, y0, x1, y1 = exemplar.box_xyxy
    return torch.tensor(
        [(x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height]
    )


def pad_boxes(rows: Sequence[Sequence[tuple[Tensor, bool]]]) -> tuple[Tensor, Tensor]:
    """Return as one batch the boxes of N prompts, each (4,) cxcywh and whether it is positive.

    Returns:
        As `pad_exemplars`.
    """
    most = max(map(len, rows), default=0)
    boxes = torch.zeros(len(rows), most, 4)
    labels = torch.full((len(rows), most), PADDING, dtype=torch.long)
    for row, examples in enumerate(rows):
        for column, (box, positive) in enumerate(examples):
            boxes[row, column] = box
            labels[row, column] = int(positive)
    return boxes, labels
