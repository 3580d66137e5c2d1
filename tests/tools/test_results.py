"""The result store forgets by number, size and age; short outlines fill their masks."""

import time

import numpy as np
import pytest
from PIL import Image, ImageDraw

from sam3i_agent.agent.run import segment_photo_sync
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.photo import Photo
from sam3i_agent.tools.results.polygons import polygons_of
from sam3i_agent.tools.results.store import ResultStore
from tests.conftest import KnowingSegmenter, block


@pytest.fixture
def ring():
    mask = block(10, 20, 60, 70)
    mask[35:55, 25:45] = False
    return mask


@pytest.fixture
def result(grey_photo, ring):
    found = {"star": [(ring, 0.9), (block(80, 80, 90, 95), 0.8)]}
    return segment_photo_sync(KnowingSegmenter(found), grey_photo, "star")


def test_the_oldest_results_go_first(result, grey_photo):
    store = ResultStore(max_results=2)
    ids = [store.add(result, grey_photo).id for _ in range(3)]
    assert store.ids() == [ids[2], ids[1]] and len(set(ids)) == 3
    with pytest.raises(InputError, match="no result"):
        store.get(ids[0])


def test_large_photos_make_room_and_shared_ones_count_once(result, grey_photo):
    store = ResultStore(max_bytes=2 * grey_photo.pixels.nbytes)
    for _ in range(5):
        store.add(result, grey_photo)
    assert len(store.ids()) == 5
    other = Photo(grey_photo.pixels.copy(), "1" * 64)
    another = Photo(grey_photo.pixels.copy(), "2" * 64)
    last = [store.add(result, photo).id for photo in (other, another)]
    assert store.ids() == last[::-1]


def test_results_age(result, grey_photo):
    store = ResultStore(max_age_s=0.01)
    id_ = store.add(result, grey_photo).id
    time.sleep(0.02)
    with pytest.raises(InputError, match="kept for a time"):
        store.get(id_)


def _filled(rings, size):
    """Even-odd fill, as vector programs do it."""
    total = np.zeros(size, bool)
    for one in rings:
        canvas = Image.new("1", (size[1] * 8, size[0] * 8))
        ImageDraw.Draw(canvas).polygon([(8 * x, 8 * y) for x, y in one], fill=1)
        total ^= np.asarray(canvas)[4::8, 4::8]
    return total


def test_polygons_fill_the_mask_and_leave_its_hole(ring):
    rings = polygons_of(ring)
    assert len(rings) == 2
    again = _filled(rings, ring.shape)
    assert np.logical_xor(again, ring).sum() <= 8  # corners are cut by half a pixel
    assert len(polygons_of(block(5, 5, 6, 6))) == 1  # one pixel has an outline
