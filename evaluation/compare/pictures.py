"""The pictures of a report: a photo once, and masks small enough to be drawn by the page."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam3i_agent.core.masks import Masks
from sam3i_agent.core.photo import read_photo
from sam3i_agent.evaluation.compare.scoring import Scored
from sam3i_agent.evaluation.metrics.concept_f1 import MIN_SCORE

PICTURE_SIDE = 640
"""Longest side of a picture in pixels; smaller photos stay as they are."""
_JPEG_QUALITY = 80


def most_different(answers: Sequence[Scored], count: int) -> list[list[Scored]]:
    """Return the cases whose routes' IoUs are farthest apart, each with all its answers.

    Where no routes differ, as with one alone, those that were answered worst.
    """
    by_case: dict[str, list[Scored]] = {}
    for one in answers:
        by_case.setdefault(one.case.id, []).append(one)

    def interest(some: list[Scored]) -> tuple[float, float]:
        values = [one.iou for one in some]
        return max(values) - min(values), 1 - min(values)

    apart = [some for some in by_case.values() if interest(some) > (0, 0)]
    return sorted(apart, key=interest, reverse=True)[:count]


class Photos:
    """Photos of a report, each encoded once however many cases are about it.

    Args:
        images: folder of the photos.
    """

    def __init__(self, images: Path) -> None:
        self._images = images
        self.data: dict[str, dict[str, Any]] = {}
        """By file name: size and the JPEG as a data address."""

    def add(self, file_name: str) -> tuple[int, int]:
        """Take in a photo and return the width and height of its picture."""
        if file_name not in self.data:
            picture = Image.fromarray(read_photo(self._images / file_name).pixels)
            picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
            buffer = io.BytesIO()
            picture.save(buffer, format="JPEG", quality=_JPEG_QUALITY)
            encoded = base64.b64encode(buffer.getvalue()).decode()
            self.data[file_name] = {
                "size": picture.size,
                "address": f"data:image/jpeg;base64,{encoded}",
            }
        return self.data[file_name]["size"]


def example(answers: Sequence[Scored], photos: Photos) -> dict[str, Any]:
    """Return what the page shows of a case: its words, and masks as runs along its rows."""
    case = answers[0].case
    size = photos.add(case.record.file_name)
    layers = [
        {"name": "truth", "iou": None, "failure": None, "runs": _runs(case.record.masks(), size)}
    ]
    for one in answers:
        masks = Masks(
            (case.record.height, case.record.width),
            (
                mask.counts
                for mask, score in zip(one.prediction.masks, one.prediction.scores, strict=True)
                if score >= MIN_SCORE
            ),
        )
        layers.append(
            {
                "name": one.prediction.route,
                "iou": one.iou,
                "failure": one.failure,
                "runs": _runs(masks, size),
            }
        )
    return {
        "id": case.id,
        "text": case.text,
        "level": str(case.level),
        "kind": case.record.kinds.get(case.level, ""),
        "file": case.record.file_name,
        "photo": list(photos.data).index(case.record.file_name),
        "size": size,
        "layers": layers,
        "steps": [
            {"name": one.prediction.route, "lines": one.prediction.trace}
            for one in answers
            if one.prediction.trace
        ],
    }


def _runs(masks: Masks, size: tuple[int, int]) -> list[list[int]]:
    """Return each mask at a picture's size: lengths of runs along the rows, outside first."""
    return [run_lengths(_resized(mask, size)) for mask in masks]


def _resized(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """Return the lengths of the runs of an (H, W) mask along its rows, the first one outside."""
    flat = mask.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = [0, 0] if flat.size and flat[0] else [0]
    return np.diff(np.concatenate([starts, changes, [flat.size]])).astype(int).tolist()
