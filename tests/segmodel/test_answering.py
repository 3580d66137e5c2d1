"""What is left out of an answer changes nothing of it: against the whole network, row by row."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn
from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput

from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Exemplar, Prompt
from sam3i_agent.data.scenes import generate_scene
from sam3i_agent.segmodel.checkpoints.loading import load_segmenter
from sam3i_agent.segmodel.network.answering import Question, RowAnswer, answer
from sam3i_agent.segmodel.network.finding import position_bias
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from sam3i_agent.segmodel.network.photo_features import PhotoFeatures, doubling_kernel
from sam3i_agent.segmodel.preprocessing import to_pixel_values
from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter
from sam3i_agent.segmodel.tokenization import InstructionTokenizer
from tests.conftest import small_config
from tests.segmodel.whole_outputs import kept_of

TOLERANCE = 1e-5
ABSENT = 1.0
"""A floor that nothing scores above."""


@pytest.fixture(scope="module")
def segmenter() -> Sam3Segmenter:
    return load_segmenter("tiny", device="cpu")


def _pixels(number: int, side: int) -> torch.Tensor:
    return to_pixel_values(generate_scene(5, number).image, side)


@torch.inference_mode()
def _both(
    model: InstructionSam3,
    pixels: torch.Tensor,
    counts: Sequence[int],
    levels: Sequence[InstructionLevel],
    floors: Sequence[float],
    photos: Sequence[PhotoFeatures] | None = None,
    **boxes: torch.Tensor,
) -> tuple[list[RowAnswer], list[RowAnswer]]:
    """Answer by the whole network and by what an answer needs."""
    words = ("red circle", "the largest thing", "a ring left of the square")
    tokenizer = InstructionTokenizer(model.vocab_size)
    ids = tokenizer([words[i % len(words)] for i in range(len(levels))]).input_ids
    of_rows = torch.repeat_interleave(pixels, torch.tensor(counts), dim=0)
    given = {f"input_{name.replace('box_', 'boxes_')}": one for name, one in boxes.items()}
    whole = model(pixel_values=of_rows, input_ids=ids, level=levels, **given)
    if photos is None:
        photos = [PhotoFeatures(model.get_vision_features(one[None])) for one in pixels]
    texts = model.encode_text(ids, levels).pooler_output
    assert texts is not None
    question = Question(
        photos=[one for one, count in zip(photos, counts, strict=True) for _ in range(count)],
        texts=texts,
        mask=(ids != 0).long(),
        levels=levels,
        min_scores=floors,
        **boxes,
    )
    return kept_of(whole, floors), answer(model, question)


def _assert_same(wanted: Sequence[RowAnswer], found: Sequence[RowAnswer]) -> None:
    assert len(wanted) == len(found)
    for a, b in zip(wanted, found, strict=True):
        assert abs(a.presence - b.presence) < TOLERANCE
        assert a.mask_logits.shape == b.mask_logits.shape
        torch.testing.assert_close(b.scores, a.scores, atol=TOLERANCE, rtol=0)
        torch.testing.assert_close(b.boxes, a.boxes, atol=TOLERANCE, rtol=0)
        scale = max(1.0, float(a.mask_logits.abs().max())) if len(a.scores) else 1.0
        assert len(a.scores) == 0 or (a.mask_logits - b.mask_logits).abs().max() / scale < TOLERANCE


@pytest.mark.parametrize("counts", [(1,), (4,), (2, 1, 3)])
def test_answers_are_those_of_the_whole_network(segmenter: Sam3Segmenter, counts: tuple[int, ...]):
    model = segmenter.model
    pixels = torch.cat([_pixels(i, segmenter.input_side) for i in range(len(counts))])
    rows = sum(counts)
    levels = [list(InstructionLevel)[i % 3] for i in range(rows)]
    floors = [(0.0, ABSENT, 0.02)[i % 3] for i in range(rows)]
    wanted, found = _both(model, pixels, counts, levels, floors)
    _assert_same(wanted, found)
    certain = {0.0: False, ABSENT: True}  # whether nothing is found; in between either may be
    for floor, one in zip(floors, found, strict=True):
        assert certain.get(floor) in (None, len(one.scores) == 0)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_model_without_head_answers_the_same_once_and_again(attention: str):
    torch.manual_seed(0)
    model = InstructionSam3(small_config(None)).eval()
    model.set_attn_implementation(attention)
    pixels = torch.randn(1, 3, 112, 112)
    with torch.inference_mode():
        photo = PhotoFeatures(model.get_vision_features(pixels))
    for time in range(3):
        concept = [InstructionLevel.CONCEPT]
        _assert_same(*_both(model, pixels, [1], concept, [0.0], photos=[photo]))
        assert photo.is_convolved is (time > 0)


def test_example_boxes_are_read_as_by_the_whole_network(segmenter: Sam3Segmenter):
    pixels = torch.cat([_pixels(i, segmenter.input_side) for i in range(2)])
    boxes = torch.tensor([[[0.3, 0.4, 0.2, 0.1], [0.7, 0.7, 0.2, 0.2]]] * 3)
    labels = torch.tensor([[1, 0], [1, -10], [1, 1]])
    levels = [InstructionLevel.CONCEPT] * 3
    _assert_same(
        *_both(segmenter.model, pixels, (2, 1), levels, [0.0] * 3, boxes=boxes, box_labels=labels)
    )


@contextmanager
def _calls_of(*modules: nn.Module) -> Iterator[list[int]]:
    """Gather the rows of each call of modules."""
    seen: list[int] = []
    hooks = [
        one.register_forward_pre_hook(
            lambda _, given, named: seen.append(len([*given, *named.values()][0])),
            with_kwargs=True,
        )
        for one in modules
    ]
    yield seen
    for hook in hooks:
        hook.remove()


def test_what_an_answer_does_not_need_is_not_done(segmenter: Sam3Segmenter):
    model = segmenter.model
    decoder = model.mask_decoder
    photo = Photo(generate_scene(5, 1).image, "not done")
    image = segmenter.encode(photo, keep=False)
    prompts = [Prompt("circle", min_score=ABSENT) for _ in range(5)]
    with (
        _calls_of(*decoder.pixel_decoder.norms, decoder.semantic_projection) as maps,
        _calls_of(decoder.mask_embedder) as embedded,
        _calls_of(*model.geometry_encoder.layers) as geometry,
    ):
        image.segment(prompts)
        assert not maps and not embedded
        image.segment([*prompts, Prompt("square", min_score=0.0)])
        assert embedded == [1] and len(maps) == len(image.features.maps) - 1
    assert geometry == [1] * len(model.geometry_encoder.layers)


def test_the_photos_own_part_is_computed_once(segmenter: Sam3Segmenter):
    model = segmenter.model
    image = segmenter.encode(Photo(generate_scene(5, 2).image, "once"), keep=False)
    bytes_before = image.nbytes
    with _calls_of(model.get_submodule("detr_encoder.layers.0.self_attn")) as rows:
        for _ in range(3):
            image.segment([Prompt("circle"), Prompt("square")])
    assert rows == [1]
    cells = image.features.maps[-1][0].numel() * 4
    assert image.nbytes - bytes_before < 2 * cells, "the convolved maps take no further memory"


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_doubling_kernel_is_growing_and_convolving(layout: torch.memory_format):
    torch.manual_seed(0)
    weight, coarse = torch.randn(5, 3, 3, 3).to(memory_format=layout), torch.randn(2, 3, 7, 6)
    grown = nn.functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
    wanted = nn.functional.conv2d(grown, weight, padding=1)
    found = nn.functional.conv_transpose2d(coarse, doubling_kernel(weight), stride=2, padding=1)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    assert found.is_contiguous(memory_format=layout)  # as maps lie, or sums of both are slow


def test_the_position_bias_is_that_of_the_stock_decoder(segmenter: Sam3Segmenter):
    decoder = segmenter.model.detr_decoder
    boxes = torch.rand(3, 7, 4, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        stock = decoder._get_rpb_matrix(boxes, (torch.tensor(5), torch.tensor(4)))
        first = position_bias(decoder, boxes.flip(0), (5, 4))
        again = position_bias(decoder, boxes, (5, 4), first)
    assert again is first and not again[:, :, 0].any()
    torch.testing.assert_close(again[:, :, 1:], stock, atol=1e-6, rtol=1e-5)


def test_maps_that_do_not_double_are_grown_the_plain_way(segmenter: Sam3Segmenter):
    maps = tuple(torch.zeros(1, 2, side, side) for side in (9, 5, 3, 2))
    vision = Sam3VisionEncoderOutput(fpn_hidden_states=maps, fpn_position_encoding=maps)
    photo = PhotoFeatures(vision)
    photo.expect_masks(segmenter.model.mask_decoder.pixel_decoder, 5)
    assert not photo.is_convolved


def test_boxes_and_texts_share_no_pass_but_one_answer(segmenter: Sam3Segmenter):
    photo = Photo(generate_scene(5, 3).image, "mixed")
    image = segmenter.encode(photo, keep=False)
    example = Exemplar((20.0, 20.0, 90.0, 90.0))
    mixed = [Prompt("circle"), Prompt("circle", exemplars=(example,)), Prompt("square")]
    together = image.segment(mixed)
    for prompt, found in zip(mixed, together, strict=True):
        (alone,) = image.segment([prompt])
        np.testing.assert_allclose(found.scores, alone.scores, atol=TOLERANCE)


@pytest.mark.parametrize("level", list(InstructionLevel))
def test_texts_are_those_of_the_whole_length_where_anyone_looks(
    segmenter: Sam3Segmenter, level: InstructionLevel
):
    model = segmenter.model
    tokens = segmenter.tokenizer(["circle", "the red square!!"])
    used = int(tokens.attention_mask.sum(1).max())
    first = model.get_submodule("text_encoder.text_model.encoder.layers.0")
    seen: list[int] = []
    hook = first.register_forward_pre_hook(
        lambda _, given, named: seen.append([*given, *named.values()][0].shape[1]),
        with_kwargs=True,
    )
    with torch.inference_mode():
        found = segmenter.encode_texts(tokens.input_ids, [level] * 2)
        whole = model.encode_text(tokens.input_ids, level).pooler_output
    hook.remove()
    is_cut = level is InstructionLevel.CONCEPT
    assert whole is not None and whole.shape == found.shape
    assert seen == [used if is_cut else segmenter.context_length, segmenter.context_length]
    looked_at = tokens.attention_mask.bool() if is_cut else torch.ones(2, found.shape[1]).bool()
    torch.testing.assert_close(found[looked_at], whole[looked_at], atol=TOLERANCE, rtol=0)
    assert not is_cut or not found[:, used:].any()
