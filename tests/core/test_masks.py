"""Run-length encoded masks against pycocotools and dense arithmetic."""

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from sam3i_agent.core.masks import Masks, encode_cut_out, mask_ious, union_iou
from sam3i_agent.segmodel.postprocessing import encode_on_device

SIZE = (13, 17)


def _stack() -> np.ndarray:
    """Random, empty, full, single corners, whole columns, and a checkerboard."""
    stack = np.random.default_rng(0).random((9, *SIZE)) > 0.6
    stack[1], stack[2] = False, True
    stack[3:7] = False
    stack[3, 0, 0] = stack[4, -1, -1] = True
    stack[5, :, 3:5] = True
    stack[6, :, 0] = True
    stack[7] = np.indices(SIZE).sum(0) % 2 == 0
    return stack


def test_encodings_are_those_of_pycocotools():
    stack = _stack()
    wanted = [
        coco_mask.encode(np.asfortranarray(one, np.uint8))["counts"].decode() for one in stack
    ]
    assert encode_on_device(torch.from_numpy(stack)) == wanted
    assert Masks.encode(stack, SIZE).counts == tuple(wanted)
    assert encode_on_device(torch.zeros(0, *SIZE, dtype=torch.bool)) == []
    for mask, counts in zip(stack, wanted, strict=True):
        assert encode_cut_out(mask, 0, 0, SIZE) == counts


@pytest.mark.parametrize("place", [(0, 0), (2, 3), (12, 0), (0, 8), (12, 8)])
def test_a_cut_out_is_encoded_where_it_lies(place):
    x0, y0 = place
    for cut_out in (np.ones((5, 5), bool), np.eye(5, dtype=bool), np.zeros((5, 5), bool)):
        whole = np.zeros(SIZE, bool)
        whole[y0 : y0 + 5, x0 : x0 + 5] = cut_out
        assert encode_cut_out(cut_out, x0, y0, SIZE) == Masks.encode([whole], SIZE).counts[0]


def test_they_read_as_the_dense_stack():
    stack = _stack()
    masks = Masks.encode(stack, SIZE)
    assert masks.shape == stack.shape and len(masks) == 9
    np.testing.assert_array_equal(masks, stack)
    np.testing.assert_array_equal(masks[4], stack[4])
    np.testing.assert_array_equal(masks[-1], stack[-1])
    np.testing.assert_array_equal(masks[[2, 0]], stack[[2, 0]])
    np.testing.assert_array_equal(masks[1:3], stack[1:3])
    np.testing.assert_array_equal(masks[stack.any((1, 2))], stack[stack.any((1, 2))])
    assert masks[[]].shape == (0, *SIZE) and not masks[[]].union().any()
    assert masks.areas.tolist() == stack.sum((1, 2)).tolist()
    np.testing.assert_array_equal(masks[[3, 4]].union(), stack[3] | stack[4])


def test_overlaps_are_those_of_the_pixels():
    stack = _stack()
    masks = Masks.encode(stack, SIZE)
    ious = mask_ious(masks[[0, 7]], masks[[8, 2, 1]])
    for row, a in enumerate((0, 7)):
        for column, b in enumerate((8, 2, 1)):
            shared, union = (stack[a] & stack[b]).sum(), (stack[a] | stack[b]).sum()
            assert ious[row, column] == pytest.approx(shared / union)
    assert mask_ious(masks[[]], masks).shape == (0, 9)
    both, other = stack[0] | stack[7], stack[8]
    wanted = (both & other).sum() / (both | other).sum()
    assert union_iou(masks[[0, 7]], masks[[8]]) == pytest.approx(wanted)
    nothing = masks[[1]]
    assert union_iou(nothing, masks[[]]) == 1 and union_iou(masks[[]], masks[[]]) == 1
    assert union_iou(masks[[2]], nothing) == 0 and union_iou(masks[[]], masks[[2]]) == 0
