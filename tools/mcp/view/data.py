"""What the view draws: a result with the outline of each mask as an SVG path."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sam3i_agent.core.contracts import CompressedMask, Frozen, Route, RunStatus
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.rle import runs_of
from sam3i_agent.tools.results.formats.outlines import outline
from sam3i_agent.tools.results.outputs import Pixels
from sam3i_agent.tools.results.pictures import PHOTO_SIDE
from sam3i_agent.tools.results.polygons import TOLERANCE_PX, rings_of
from sam3i_agent.tools.results.store import StoredResult
from sam3i_agent.tools.results.wording import place_of, whole_box

if TYPE_CHECKING:
    from shapely import MultiPolygon

MAX_PATH_CHARACTERS = 400_000
"""Of all outlines together: hosts put aside what is long."""
_COARSER = 2.0
"""Times the distance that outlines may stray, where they would be too long."""
_MOST_EDGES = 20_000
"""Between neighbours of a row of reduced pixels, of a mask."""
_PHOTO_CHARACTERS = 16


class ViewInstance(Frozen):
    """One object."""

    number: int
    name: str
    box: Pixels
    score: float
    area: int
    place: str
    path: str
    """Outline with holes, even-odd, in pixels of the photo."""


class ViewExample(Frozen):
    """A box that was given as more like this, or not this."""

    box: tuple[float, float, float, float]
    positive: bool


class ViewData(Frozen):
    """A result, to be drawn."""

    result_id: str
    parent_id: str | None
    instruction: str
    route: Route
    level: InstructionLevel
    status: RunStatus
    presence: float
    count: int
    width: int
    """Of the photo, in pixels."""
    height: int
    photo: str
    """The same for results about the same photo."""
    photo_name: str
    seconds: float
    trace: tuple[str, ...]
    warnings: tuple[str, ...]
    examples: tuple[ViewExample, ...]
    takes_boxes: bool
    takes_points: bool
    instances: tuple[ViewInstance, ...]


def view_data(stored: StoredResult, *, takes_boxes: bool, takes_points: bool) -> ViewData:
    """Return a result as the view draws it.

    Args:
        stored: the result.
        takes_boxes: whether it can be corrected by example boxes.
        takes_points: whether by clicks; a result about several phrases takes no boxes.
    """
    result = stored.result
    paths = paths_of([one.mask for one in result.instances])
    return ViewData(
        result_id=stored.id,
        parent_id=stored.parent,
        instruction=result.instruction,
        route=result.route,
        level=result.level,
        status=result.status,
        presence=round(result.presence, 2),
        count=result.count,
        width=result.image.width,
        height=result.image.height,
        photo=result.image.sha256[:_PHOTO_CHARACTERS],
        photo_name=stored.export.file_name,
        seconds=round(result.usage.seconds, 2),
        trace=result.trace,
        warnings=result.warnings,
        examples=tuple(
            ViewExample(box=one.box_xyxy, positive=one.positive) for one in stored.edits.exemplars
        ),
        takes_boxes=takes_boxes and not stored.concepts,
        takes_points=takes_points,
        instances=tuple(
            ViewInstance(
                number=number,
                name=name,
                box=whole_box(one),
                score=round(one.score, 2),
                area=one.area,
                place=place_of(one.box, result.image),
                path=path,
            )
            for number, (one, name, path) in enumerate(
                zip(result.instances, stored.export.names, paths, strict=True), start=1
            )
        ),
    )


def paths_of(masks: list[CompressedMask], most: int = MAX_PATH_CHARACTERS) -> list[str]:
    """Return an SVG path for each mask, coarser where all would be longer than `most`.

    The outlines are for looking at: of a photo larger than the picture under them, they are those
    of its reduced pixels, of which a mask has one at least.
    """
    outlines = [_outline(one) for one in masks]
    tolerance = TOLERANCE_PX
    while True:
        paths = ["".join(one.paths(tolerance)) for one in outlines]
        if sum(map(len, paths)) <= most or tolerance > PHOTO_SIDE:
            return paths
        tolerance *= _COARSER


@dataclass(frozen=True)
class _Outline:
    """The outline of a mask in reduced pixels."""

    shape: "MultiPolygon"
    step: int
    """Pixels of the photo to one."""
    x0: int
    """Of the shape's origin, in pixels of the photo."""
    y0: int

    def paths(self, tolerance: float) -> Iterator[str]:
        for ring in rings_of(self.shape, tolerance):
            corners = [
                (self.x0 + self.step * round(x), self.y0 + self.step * round(y)) for x, y in ring
            ]
            moves = " ".join(f"{x1 - x} {y1 - y}" for (x, y), (x1, y1) in pairwise(corners))
            yield f"M{corners[0][0]} {corners[0][1]}l{moves}z"


def _outline(mask: CompressedMask) -> _Outline:
    part, x0, y0 = _part(mask)
    step = math.ceil(max(mask.size) / PHOTO_SIDE)
    small = _reduced(part, step)
    # Every run of pixels costs; what is noise rather than a shape is drawn in larger pixels.
    while np.count_nonzero(small[:, 1:] != small[:, :-1]) > _MOST_EDGES:
        step *= 2
        small = _reduced(part, step)
    return _Outline(outline(small), step, x0, y0)


def _part(mask: CompressedMask) -> tuple[NDArray[np.bool_], int, int]:
    """Return the part of a mask that is not empty, and its x and y."""
    height = mask.size[0]
    runs = runs_of(mask.counts)
    if not len(runs):
        return np.zeros((0, 0), dtype=bool), 0, 0
    first, last = int(runs[0, 0]) // height, (int(runs[-1, 1]) - 1) // height
    edges = np.zeros((last - first + 1) * height + 1, np.int8)
    edges[runs[:, 0] - first * height] += 1
    edges[runs[:, 1] - first * height] -= 1
    columns = np.cumsum(edges[:-1], dtype=np.int8).astype(bool).reshape(-1, height).T
    rows = np.flatnonzero(columns.any(axis=1))
    y0, y1 = int(rows[0]), int(rows[-1]) + 1
    return columns[y0:y1], first, y0


def _reduced(mask: NDArray[np.bool_], step: int) -> NDArray[np.bool_]:
    """Return a mask with `step` x `step` pixels made one, inside where any of them is."""
    height, width = mask.shape
    whole = np.pad(mask, ((0, -height % step), (0, -width % step)))
    blocks = whole.reshape(whole.shape[0] // step, step, whole.shape[1] // step, step)
    return np.asarray(blocks.any(axis=(1, 3)))
