"""OWLv2 and SAM 2 as one segmenter: the numbers of transformers' own classes, and refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.ops import nms
from transformers import (
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    Sam2ImageProcessor,
    Sam2Model,
)

from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Click, Exemplar, Prompt
from sam3i_agent.core.stopping import StoppedError
from sam3i_agent.segmodel.checkpoints.loading import load_by_choice, load_segmenter
from sam3i_agent.segmodel.checkpoints.repository import DETECTOR, MASKER, two_models
from sam3i_agent.segmodel.open_vocabulary.detector import MAX_INSTANCES, NMS_IOU
from sam3i_agent.segmodel.open_vocabulary.segmenter import OpenVocabularySegmenter
from tests.segmodel.small_models import SAM2_SIDE

PROMPTS = [Prompt(text, min_score=0.3) for text in ("red circle", "a mug on the far left", "ring")]
THRESHOLD = 0.2
"""Of OWLv2's own score, which becomes 0.5."""
SIDE = 96


@pytest.fixture(scope="module")
def photo(scene) -> Photo:
    return Photo(np.ascontiguousarray(scene.image[:200]), "0" * 64)  # wider than high


@pytest.fixture(scope="module")
def segmenter(owlv2_sam2: str) -> OpenVocabularySegmenter:
    loaded = load_by_choice(ModelChoice(owlv2_sam2, "cpu"))
    assert isinstance(loaded, OpenVocabularySegmenter)
    return loaded


@pytest.fixture(scope="module")
def stock(owlv2_sam2: str) -> tuple[Any, Any]:
    detector, masker = two_models(owlv2_sam2)
    return (
        Owlv2ForObjectDetection.from_pretrained(detector).eval(),
        Sam2Model.from_pretrained(masker).eval(),
    )


def _pixels(photo: Photo, processor: Any) -> torch.Tensor:
    return processor(
        images=photo.pixels, input_data_format="channels_last", return_tensors="pt"
    ).pixel_values


def _raw(score: float) -> float:
    """Undo the calibration."""
    odds = score / (1 - score) * THRESHOLD / (1 - THRESHOLD)
    return odds / (1 + odds)


def test_each_phrase_is_answered_as_by_the_classes_of_transformers(segmenter, stock, photo):
    detector, masker = stock
    processor = Owlv2ImageProcessor(size={"height": SIDE, "width": SIDE})
    sam_processor = Sam2ImageProcessor(size={"height": SAM2_SIDE, "width": SAM2_SIDE})
    height, width = photo.size_hw
    for prompt, ours in zip(PROMPTS, segmenter.encode(photo).segment(PROMPTS), strict=True):
        tokens = segmenter.tokens([prompt.text])
        with torch.no_grad():
            output = detector(
                input_ids=tokens.input_ids,
                attention_mask=tokens.attention_mask,
                pixel_values=_pixels(photo, processor),
            )
            (theirs,) = processor.post_process_object_detection(
                output, threshold=_raw(prompt.min_score), target_sizes=[photo.size_hw]
            )
            limits = torch.tensor([width, height, width, height])
            boxes = theirs["boxes"].clamp(min=torch.zeros(4), max=limits)
            inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
            boxes, scores = boxes[inside], theirs["scores"][inside]
            kept = nms(boxes, scores, NMS_IOU)
            assert 1 < len(kept) < MAX_INSTANCES
            scale = torch.tensor([SAM2_SIDE / width, SAM2_SIDE / height] * 2)
            drawn = masker(
                pixel_values=_pixels(photo, sam_processor),
                input_boxes=(boxes[kept] * scale)[None],
                multimask_output=False,
            )
        masks = sam_processor.post_process_masks([drawn.pred_masks[0]], [photo.size_hw])[0][:, 0]
        np.testing.assert_allclose([_raw(one) for one in ours.scores], scores[kept], atol=1e-4)
        np.testing.assert_allclose(ours.boxes_xyxy, boxes[kept], atol=1e-4 * width)
        assert 0 < masks.float().mean() < 1
        assert np.mean(np.stack(list(ours.masks)) == masks.numpy()) > 0.9999
        assert _raw(ours.presence) == pytest.approx(float(output.logits.sigmoid().max()), abs=1e-4)


def test_one_encoding_serves_any_number_of_phrases_alone_as_together(segmenter, photo, monkeypatch):
    looked: list[str] = []
    for part in (segmenter.detector, segmenter.masker):
        real = part.look
        monkeypatch.setattr(
            part, "look", lambda photo, real=real: looked.append("look") or real(photo)
        )
    again = Photo(photo.pixels, "another name")
    together = segmenter.encode(again).segment(PROMPTS)
    for prompt, found in zip(PROMPTS, together, strict=True):
        (alone,) = segmenter.encode(again).segment([prompt])
        np.testing.assert_allclose(alone.scores, found.scores, atol=1e-4)
        np.testing.assert_allclose(alone.boxes_xyxy, found.boxes_xyxy, atol=1e-2)
        np.testing.assert_array_equal(np.stack(list(alone.masks)), np.stack(list(found.masks)))
    segmenter.click(again, [Click((30, 40))])
    assert len(looked) == 2


def test_where_nothing_is_found_sam_2_does_not_look(segmenter, photo, monkeypatch):
    monkeypatch.setattr(segmenter.masker, "look", None)
    image = segmenter.encode(Photo(photo.pixels, "nothing"))
    (found,) = image.segment([Prompt("zebra", min_score=0.9999)])
    assert len(found) == 0 and found.masks.size_hw == photo.size_hw and found.presence > 0


def test_clicks_are_those_of_sam_2_on_the_photo_itself(segmenter, stock, photo):
    height, width = photo.size_hw
    spots = [Click((30, 40)), Click((100, 20), positive=False)]
    ours = segmenter.click(photo, spots)
    scale = torch.tensor([SAM2_SIDE / width, SAM2_SIDE / height])
    processor = Sam2ImageProcessor(size={"height": SAM2_SIDE, "width": SAM2_SIDE})
    with torch.no_grad():
        output = stock[1](
            pixel_values=_pixels(photo, processor),
            input_points=(torch.tensor([one.point_xy for one in spots]) * scale)[None, None],
            input_labels=torch.tensor([[[1, 0]]]),
        )
    order = output.iou_scores[0, 0].argsort(descending=True)
    np.testing.assert_allclose(ours.scores, output.iou_scores[0, 0][order], atol=1e-4)
    masks = processor.post_process_masks([output.pred_masks[0]], [photo.size_hw])[0][0][order]
    assert np.mean(np.stack(list(ours.masks)) == masks.numpy()) > 0.9999


def test_an_example_is_found_again_and_first(segmenter, photo):
    box = (32.0, 64.0, 80.0, 112.0)
    (found,) = segmenter.encode(photo).segment([Prompt("", exemplars=(Exemplar(box),))])
    assert len(found) and found.scores[0] > 0.5
    x0, y0, x1, y1 = found.boxes_xyxy[0]
    assert x0 < 80 and x1 > 32 and y0 < 112 and y1 > 64


def test_a_word_with_an_example_counts_by_the_surer_of_them(segmenter, photo):
    example = Exemplar((32.0, 64.0, 80.0, 112.0))
    word, shown, both = segmenter.encode(photo).segment(
        [
            Prompt("ring", min_score=0.0),
            Prompt("", exemplars=(example,), min_score=0.0),
            Prompt("ring", exemplars=(example,), min_score=0.0),
        ]
    )
    assert both.presence == pytest.approx(max(word.presence, shown.presence), abs=1e-6)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (Prompt("the mug left of it", InstructionLevel.SIMPLE), "no simple instructions"),
        (Prompt("what one drinks from", InstructionLevel.COMPLEX), "no complex instructions"),
        (Prompt("mug", exemplars=(Exemplar((1, 1, 9, 9), positive=False),)), "counterexamples"),
    ],
)
def test_what_it_cannot_do_is_refused_before_any_work(
    segmenter, photo, monkeypatch, prompt, message
):
    image = segmenter.encode(photo)
    monkeypatch.setattr(segmenter, "detector", None)
    with pytest.raises(InputError, match=message) as refused:
        image.segment([PROMPTS[0], prompt])
    assert refused.value.hint


def test_a_caller_who_left_stops_it_between_its_layers(segmenter, photo, monkeypatch):
    def stop() -> None:
        raise StoppedError

    monkeypatch.setattr("sam3i_agent.segmodel.stop_hooks.check_stop", stop)
    with pytest.raises(StoppedError):
        segmenter.encode(Photo(photo.pixels, "stopped"))


def test_saved_and_loaded_it_is_the_same(segmenter, photo, tmp_path):
    segmenter.detector.model.save_pretrained(tmp_path / "owlv2")
    segmenter.masker.model.save_pretrained(tmp_path / "sam2")
    name = f"owlv2+sam2:{tmp_path / 'owlv2'},{tmp_path / 'sam2'}"
    again = load_by_choice(ModelChoice(name, "cpu"))
    for one, other in zip(
        segmenter.encode(photo).segment(PROMPTS), again.encode(photo).segment(PROMPTS), strict=True
    ):
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_array_equal(np.stack(list(one.masks)), np.stack(list(other.masks)))


def test_its_name_stands_for_two_models():
    assert two_models("owlv2+sam2") == (DETECTOR, MASKER)
    assert two_models("owlv2+sam2:a/b@v1, c/d") == ("a/b@v1", "c/d")
    for name in ("owlv2+sam2:a/b", "owlv2+sam2:,c/d", "owlv2+sam2:a/b,c/d,e/f"):
        with pytest.raises(InputError, match="does not name two models"):
            two_models(name)


def test_a_model_of_another_kind_is_named(owlv2_sam2, lite_text: Path):
    detector, masker = two_models(owlv2_sam2)
    with pytest.raises(ModelError, match="OWLv2"):
        load_by_choice(ModelChoice(f"owlv2+sam2:{masker},{masker}", "cpu"))
    with pytest.raises(ModelError, match="SAM 2"):
        load_by_choice(ModelChoice(f"owlv2+sam2:{detector},{lite_text}", "cpu"))
    with pytest.raises(InputError, match="there is no model 'nowhere'"):
        load_by_choice(ModelChoice(f"owlv2+sam2:nowhere,{masker}", "cpu"))


def test_what_needs_a_sam_3_says_so(owlv2_sam2):
    with pytest.raises(InputError, match="is no SAM 3"):
        load_segmenter(owlv2_sam2)
