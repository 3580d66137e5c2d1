"""Large photographs: small objects are found in overlapping tiles and joined across the seams.

A photo is seen as a whole first. Where that is enough, nothing else is done: tiles are asked only
where the photo is much larger than the model's input and what was found is a few input pixels
small, or where nothing was found. Objects too large for a tile are those of the whole photo.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sam3i_agent.core.contracts import WeightsFile
from sam3i_agent.core.instances import ClickMasks, Instances
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks, encode_cut_out
from sam3i_agent.core.model_choice import Tiling
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Click, Prompt
from sam3i_agent.core.rle import tight_box
from sam3i_agent.segmodel.segmenter import Box, EncodedImage, Segmenter, Tracker

logger = logging.getLogger(__name__)

TILE_INPUTS = 2
"""Side of a tile, in sides of the model's input."""
OVERLAP = 0.25
"""Of neighbouring tiles, as a share of their side: objects up to that size are whole in one."""
LARGE_PHOTO_INPUTS = 4
"""Sides of the model's input from which a photo may be tiled without being asked for."""
SMALL_OBJECT_SHARE = 1 / 24
"""Of the photo's longer side: what is smaller is a few input pixels wide."""
MIN_TILE_SCORE = 0.85
"""Tiles show more ground without the object than the whole photo, so they must be surer."""
SAME_IOU = 0.5
FRAGMENT_SHARE = 0.7
"""Share of the smaller of two masks that lies in the larger: then it is a part of it."""
_SEAM_PX = 2
"""A mask that comes so near to a tile's inner edge is cut by it."""


@dataclass(frozen=True)
class Tile:
    """A square part of a photo, in pixels, right and bottom exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int


def tiles_of(size_hw: tuple[int, int], side: int, overlap: float = OVERLAP) -> list[Tile]:
    """Return tiles that cover a photo; those at the right and bottom edges are moved inside.

    Args:
        size_hw: of the photo, in pixels.
        side: of a tile, in pixels; a photo that is smaller is one tile along that axis.
        overlap: share of a side that neighbours share at least.
    """
    height, width = size_hw
    return [
        Tile(x, y, min(x + side, width), min(y + side, height))
        for y in _starts(height, side, overlap)
        for x in _starts(width, side, overlap)
    ]


def _starts(length: int, side: int, overlap: float) -> list[int]:
    if length <= side:
        return [0]
    count = 1 + math.ceil((length - side) / (side * (1 - overlap)))
    return [round(i * (length - side) / (count - 1)) for i in range(count)]


@dataclass(frozen=True)
class Piece:
    """An instance as its tight cut-out, with which tiles are joined quickly."""

    mask: NDArray[np.bool_]
    """(h, w) within its box."""
    x0: int
    y0: int
    box_xyxy: tuple[float, float, float, float]
    """The model's, in the photo's pixels."""
    score: float
    rank: int
    """0: large, of the whole photo. 1: within a tile. 2: small, of the whole photo. Of doubles the
    lowest stays."""

    @property
    def area(self) -> int:
        """Pixels."""
        return int(self.mask.sum())


def join(pieces: Sequence[Piece]) -> list[Piece]:
    """Drop doubles and fragments: of two pieces of one object, the better seen one stays."""
    kept: list[Piece] = []
    for one in sorted(pieces, key=lambda piece: (piece.rank, -piece.score)):
        if not any(_same(one, other) for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda piece: -piece.score)


def _same(a: Piece, b: Piece) -> bool:
    shared = _shared_pixels(a, b)
    if not shared:
        return False
    area_a, area_b = a.area, b.area
    iou = shared / (area_a + area_b - shared)
    return iou > SAME_IOU or shared / min(area_a, area_b) > FRAGMENT_SHARE


def _shared_pixels(a: Piece, b: Piece) -> int:
    x0, y0 = max(a.x0, b.x0), max(a.y0, b.y0)
    x1 = min(a.x0 + a.mask.shape[1], b.x0 + b.mask.shape[1])
    y1 = min(a.y0 + a.mask.shape[0], b.y0 + b.mask.shape[0])
    if x0 >= x1 or y0 >= y1:
        return 0
    one = a.mask[y0 - a.y0 : y1 - a.y0, x0 - a.x0 : x1 - a.x0]
    other = b.mask[y0 - b.y0 : y1 - b.y0, x0 - b.x0 : x1 - b.x0]
    return int(np.logical_and(one, other).sum())


class SizedSegmenter(Segmenter, Protocol):
    """A segmenter that says how large photos reach its model."""

    @property
    def input_side(self) -> int:
        """Side of the model's input, in pixels."""
        ...


class TilingSegmenter:
    """A segmenter that sees large photos in tiles where that helps.

    Clicks and clips go to the model as they are.

    Args:
        segmenter: a loaded model.
        tiling: when.
    """

    def __init__(self, segmenter: SizedSegmenter, tiling: Tiling = Tiling.AUTO) -> None:
        self._segmenter = segmenter
        self._tiling = tiling

    @property
    def name(self) -> str:
        """Of the model."""
        return self._segmenter.name

    @property
    def levels(self) -> tuple[InstructionLevel, ...]:
        """Levels that the model was trained for."""
        return self._segmenter.levels

    @property
    def weights(self) -> tuple[WeightsFile, ...]:
        """Files that the model was loaded from, with their hashes."""
        return self._segmenter.weights

    @property
    def takes_exemplars(self) -> bool:
        """Whether the model was trained on example boxes."""
        return self._segmenter.takes_exemplars

    @property
    def takes_clicks(self) -> bool:
        """Whether the model has a half for clicks."""
        return self._segmenter.takes_clicks

    @property
    def has_memory(self) -> bool:
        """Whether the model has a half for videos."""
        return self._segmenter.has_memory

    @property
    def context_length(self) -> int:
        """Ids that the model reads of a text."""
        return self._segmenter.context_length

    def count_tokens(self, text: str) -> int:
        """Return the ids that `text` needs."""
        return self._segmenter.count_tokens(text)

    def encode(self, photo: Photo, *, keep: bool = True) -> "TiledImage":
        """Compute the features of the whole photo; its tiles wait until they are needed."""
        whole = self._segmenter.encode(photo, keep=keep)
        return TiledImage(self._segmenter, photo, whole, self._tiling, keep=keep)

    def click(
        self,
        photo: Photo,
        clicks: Sequence[Click] = (),
        box_xyxy: Box | None = None,
        mask: NDArray[np.bool_] | None = None,
        *,
        several: bool = True,
    ) -> ClickMasks:
        """Return the masks of the one instance that clicks and a box mean; see `Segmenter`."""
        return self._segmenter.click(photo, clicks, box_xyxy, mask, several=several)

    def follow(self, text: str) -> Tracker:
        """Return what follows a noun phrase through a clip, whose frames are seen whole."""
        return self._segmenter.follow(text)


class TiledImage:
    """One photo, whole and in tiles.

    Args:
        segmenter: a loaded model.
        photo: the picture.
        whole: its encoding.
        tiling: when to look at the tiles.
        keep: whether to keep the features of tiles.
    """

    def __init__(
        self,
        segmenter: SizedSegmenter,
        photo: Photo,
        whole: EncodedImage,
        tiling: Tiling,
        *,
        keep: bool = True,
    ) -> None:
        self._segmenter = segmenter
        self._photo = photo
        self._whole = whole
        self._tiling = tiling
        self._keep = keep
        self._tiles = tiles_of(photo.size_hw, TILE_INPUTS * segmenter.input_side)
        self._tiles_seen = False

    @property
    def encodings(self) -> int:
        """Passes through the encoder that the answers so far have needed."""
        return 1 + (len(self._tiles) if self._tiles_seen else 0)

    def segment(self, prompts: Sequence[Prompt]) -> list[Instances]:
        """Return the instances of each prompt; see `EncodedImage.segment`."""
        answers = self._whole.segment(prompts)
        wanted = [
            index
            for index, (prompt, answer) in enumerate(zip(prompts, answers, strict=True))
            if self._needs_tiles(prompt, answer)
        ]
        if not wanted:
            return answers
        logger.info(
            "looking at %d tiles for %d of %d prompts", len(self._tiles), len(wanted), len(prompts)
        )
        pieces = {index: self._of_whole(answers[index]) for index in wanted}
        presences = {index: answers[index].presence for index in wanted}
        asked = [prompts[index] for index in wanted]
        for tile in self._tiles:
            for index, found in zip(wanted, self._ask_tile(tile, asked), strict=True):
                presences[index] = max(presences[index], found.presence)
                pieces[index] += self._of_tile(tile, found)
        self._tiles_seen = True
        for index in wanted:
            answers[index] = self._instances(join(pieces[index]), presences[index])
        return answers

    def _needs_tiles(self, prompt: Prompt, answer: Instances) -> bool:
        if self._tiling is Tiling.OFF or prompt.exemplars:
            return False  # an example box is in one tile, what it is like may be in all
        longer = max(self._photo.size_hw)
        input_side = self._segmenter.input_side
        if longer <= TILE_INPUTS * input_side:
            return False  # one tile would be the whole photo
        if self._tiling is Tiling.ON:
            return True
        if longer < LARGE_PHOTO_INPUTS * input_side:
            return False
        sides = _shorter_sides(answer.boxes_xyxy)
        return not len(answer) or bool((sides < SMALL_OBJECT_SHARE * longer).any())

    def _ask_tile(self, tile: Tile, prompts: Sequence[Prompt]) -> list[Instances]:
        pixels = self._photo.pixels[tile.y0 : tile.y1, tile.x0 : tile.x1]
        name = f"{self._photo.sha256} {tile.x0} {tile.y0} {tile.x1} {tile.y1}"
        return self._segmenter.encode(Photo(pixels, sha256=name), keep=self._keep).segment(prompts)

    def _of_whole(self, found: Instances) -> list[Piece]:
        least = SMALL_OBJECT_SHARE * max(self._photo.size_hw)
        ranks = np.where(_shorter_sides(found.boxes_xyxy) < least, 2, 0)
        return _pieces(found, Tile(0, 0, 0, 0), ranks.tolist())

    def _of_tile(self, tile: Tile, found: Instances) -> list[Piece]:
        """Return what lies within the tile: what an inner edge cuts is whole in a neighbour."""
        height, width = self._photo.size_hw
        return [
            one
            for one in _pieces(found, tile, [1] * len(found))
            if one.score >= MIN_TILE_SCORE
            and (one.x0 >= tile.x0 + _SEAM_PX or tile.x0 == 0)
            and (one.y0 >= tile.y0 + _SEAM_PX or tile.y0 == 0)
            and (one.x0 + one.mask.shape[1] <= tile.x1 - _SEAM_PX or tile.x1 == width)
            and (one.y0 + one.mask.shape[0] <= tile.y1 - _SEAM_PX or tile.y1 == height)
        ]

    def _instances(self, pieces: Sequence[Piece], presence: float) -> Instances:
        size = self._photo.size_hw
        return Instances(
            masks=Masks(size, (encode_cut_out(one.mask, one.x0, one.y0, size) for one in pieces)),
            boxes_xyxy=np.array([one.box_xyxy for one in pieces], np.float32).reshape(-1, 4),
            scores=np.array([one.score for one in pieces], np.float32),
            presence=presence,
        )


def _pieces(found: Instances, tile: Tile, ranks: Sequence[int]) -> list[Piece]:
    """Cut masks out and move them to the tile's place in the photo; empty ones are left out."""
    pieces: list[Piece] = []
    for mask, box, score, rank in zip(
        found.masks, found.boxes_xyxy.tolist(), found.scores.tolist(), ranks, strict=True
    ):
        around = tight_box(mask)
        if around is None:
            continue
        x0, y0, x1, y1 = around
        moved = (box[0] + tile.x0, box[1] + tile.y0, box[2] + tile.x0, box[3] + tile.y0)
        cut_out = mask[y0:y1, x0:x1].copy()
        pieces.append(Piece(cut_out, tile.x0 + x0, tile.y0 + y0, moved, score, rank))
    return pieces


def _shorter_sides(boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    return (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).min(axis=1, initial=np.inf)
