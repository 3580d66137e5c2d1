"""Tiles cover every pixel, and what they find is put where it is, once."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import find_objects, label

from sam3i_agent.core.instances import Instances
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.model_choice import Tiling
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Exemplar, Prompt
from sam3i_agent.segmodel.tiling import TilingSegmenter, tiles_of

INPUT = 16
"""Side of the fake model's input: a tile has twice that."""


@pytest.mark.parametrize("size_hw", [(32, 32), (33, 32), (100, 100), (77, 203), (5, 300)])
def test_tiles_cover_every_pixel_and_overlap(size_hw):
    seen = np.zeros(size_hw, int)
    tiles = tiles_of(size_hw, 32)
    for tile in tiles:
        assert 0 <= tile.x0 < tile.x1 <= size_hw[1] and 0 <= tile.y0 < tile.y1 <= size_hw[0]
        assert tile.x1 - tile.x0 == min(32, size_hw[1])
        seen[tile.y0 : tile.y1, tile.x0 : tile.x1] += 1
    assert seen.min() >= 1
    rows = sorted({(tile.x0, tile.x1) for tile in tiles})
    assert all(a[1] - b[0] >= 32 // 4 - 1 for a, b in pairwise(rows))


@dataclass
class _Seeing:
    """Sees every bright blob that is at least two input pixels wide."""

    looked: list[tuple[int, ...]] = field(default_factory=list)
    input_side: int = INPUT

    def encode(self, photo: Photo, *, keep: bool = True) -> "_Seen":
        self.looked.append(photo.size_hw)
        return _Seen(photo)


@dataclass
class _Seen:
    photo: Photo

    def segment(self, prompts: list[Prompt]) -> list[Instances]:
        grey = self.photo.pixels[..., 0]
        blobs, count = label(grey > 128)
        least = 2 * max(grey.shape) / INPUT
        found = [
            (blobs == number, (x.start, y.start, x.stop, y.stop))
            for number, (y, x) in enumerate(find_objects(blobs), start=1)
            if min(x.stop - x.start, y.stop - y.start) >= least
        ]
        assert count >= len(found)
        instances = Instances(
            masks=Masks.encode([mask for mask, _ in found], grey.shape),
            boxes_xyxy=np.array([box for _, box in found], np.float32).reshape(-1, 4),
            scores=np.full(len(found), 0.9, np.float32),
            presence=0.9 if found else 0.1,
        )
        return [instances] * len(prompts)


def _photo(height: int, width: int, *boxes: tuple[int, int, int, int]) -> Photo:
    pixels = np.zeros((height, width, 3), np.uint8)
    for x0, y0, x1, y1 in boxes:
        pixels[y0:y1, x0:x1] = 255
    return Photo(pixels, sha256="x")


def _boxes(answer: Instances) -> set[tuple[int, ...]]:
    return {tuple(int(side) for side in box) for box in answer.boxes_xyxy}


def test_small_objects_are_found_everywhere_once():
    """In corners, at odd sizes, on seams: the right answer is known from geometry."""
    boxes = [(0, 0, 5, 5), (198, 72, 203, 77), (21, 30, 26, 35), (22, 0, 27, 5), (100, 40, 105, 45)]
    image = TilingSegmenter(_Seeing()).encode(_photo(77, 203, *boxes))
    (answer,) = image.segment([Prompt("blob")])
    assert _boxes(answer) == set(boxes) and len(answer) == len(boxes)
    for mask, (x0, y0, x1, y1) in zip(answer.masks, answer.boxes_xyxy.astype(int), strict=True):
        assert mask.sum() == 25 and mask[y0:y1, x0:x1].all()
    assert image.encodings == 1 + len(tiles_of((77, 203), 2 * INPUT))
    assert answer.presence == pytest.approx(0.9)


def test_one_pass_is_enough_where_objects_are_large():
    segmenter, large = _Seeing(), (10, 10, 90, 90)
    image = TilingSegmenter(segmenter).encode(_photo(200, 200, large))
    (answer,) = image.segment([Prompt("blob")])
    assert _boxes(answer) == {large} and image.encodings == 1 == len(segmenter.looked)


def test_large_objects_are_those_of_the_whole_photo_also_in_tiles():
    large, small = (10, 10, 130, 130), (160, 20, 165, 25)
    tiled = TilingSegmenter(_Seeing(), Tiling.ON).encode(_photo(200, 200, large, small))
    (answer,) = tiled.segment([Prompt("blob")])
    assert _boxes(answer) == {large, small}


def test_ordinary_and_small_photos_are_never_tiled_by_themselves():
    segmenter = _Seeing()
    for photo in (_photo(60, 60), _photo(32, 32)):
        TilingSegmenter(segmenter).encode(photo).segment([Prompt("blob")])
    assert segmenter.looked == [(60, 60), (32, 32)]
    TilingSegmenter(segmenter, Tiling.OFF).encode(_photo(300, 300)).segment([Prompt("blob")])
    exemplar = Prompt("blob", exemplars=(Exemplar((0, 0, 5, 5)),))
    TilingSegmenter(segmenter).encode(_photo(300, 300)).segment([exemplar])
    assert segmenter.looked[2:] == [(300, 300)] * 2
