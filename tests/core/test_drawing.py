"""Set-of-mark pictures: sizes, tints, and labels that stay apart."""

import numpy as np
import pytest

from sam3i_agent.core import drawing
from sam3i_agent.core.drawing import MIN_SIDE, crop_around, draw_marks, fit
from tests.conftest import block


def test_marks_tint_inside_and_number(grey_photo):
    masks = np.array([block(10, 10, 60, 60)])
    picture = np.array(draw_marks(grey_photo.pixels, masks, min_side=100)).astype(int)
    assert picture.shape == (100, 100, 3)
    assert (picture[80, 80] == 128).all()
    assert abs(picture[15, 15] - 128).max() > 20
    assert (picture[30:40, 30:40].reshape(-1, 3) > 180).all(axis=1).any()  # the white digit


def test_sizes_are_bounded_both_ways(grey_photo):
    large = np.zeros((50, 4000, 3), np.uint8)
    none = np.zeros((0, 50, 4000), bool)
    assert max(draw_marks(large, none, max_side=1000).size) == 1000
    assert draw_marks(grey_photo.pixels, np.zeros((0, 100, 100), bool)).size == (MIN_SIDE, MIN_SIDE)
    assert max(fit(large, 500).size) == 500


@pytest.mark.parametrize("count", [1, 30, 100])
def test_labels_never_cover_each_other(count, monkeypatch):
    """Also where all masks lie on one spot, or measure a few pixels."""
    rng = np.random.default_rng(count)
    masks = np.zeros((count, 200, 300), bool)
    for index, mask in enumerate(masks):
        if index % 3 == 0:
            mask[90:110, 140:160] = True
        else:
            y, x = rng.integers(0, 195), rng.integers(0, 295)
            mask[y : y + 3, x : x + 3] = True
    boxes: list[tuple[float, ...]] = []
    free = drawing._free_place

    def spy(anchor, half, size, taken, **how):
        centre = free(anchor, half, size, taken, **how)
        boxes.append(
            (centre[0] - half[0], centre[1] - half[1], centre[0] + half[0], centre[1] + half[1])
        )
        return centre

    monkeypatch.setattr(drawing, "_free_place", spy)
    picture = draw_marks(np.full((200, 300, 3), 90, np.uint8), masks, min_side=1024)
    assert len(boxes) == count
    for i, a in enumerate(boxes):
        assert a[0] >= 0 and a[1] >= 0 and a[2] <= picture.width and a[3] <= picture.height
        for b in boxes[:i]:
            assert a[2] < b[0] or a[0] > b[2] or a[3] < b[1] or a[1] > b[3]


def test_labels_lie_beside_small_instances(grey_photo):
    masks = np.array([block(10, 10, 60, 60), block(80, 80, 83, 83)])
    picture = np.array(draw_marks(grey_photo.pixels, masks, min_side=500)).astype(int)
    spot = picture[400:415, 400:415]  # where the small one is, five times enlarged
    assert (abs(spot - 128).max(-1) > 20).mean() > 0.9
    assert ((spot < 20).all(-1)).mean() < 0.1  # the label's line may touch it, the label not


def test_a_single_pixel_stays_visible_when_scaled_down():
    pixels = np.full((2000, 2000, 3), 90, np.uint8)
    mask = np.zeros((1, 2000, 2000), bool)
    mask[0, 1001, 777] = True
    picture = np.array(draw_marks(pixels, mask, max_side=500))
    assert (picture[240:260, 184:204] != 90).any()


def test_a_crop_shows_the_mask_enlarged():
    pixels = np.full((100, 100, 3), 90, np.uint8)
    pixels[40:50, 40:50] = 200
    crop = np.array(crop_around(pixels, block(40, 40, 50, 50)))
    assert max(crop.shape) == 384
    centre = crop[crop.shape[0] // 2, crop.shape[1] // 2]
    assert (centre == 200).all()
    crop_around(pixels, block(0, 0, 100, 100))  # as large as the photo
