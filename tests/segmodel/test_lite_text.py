"""SAM3-LiteText through this project's segmenter: the numbers of transformers' own class."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Sam3ImageProcessor, Sam3LiteTextModel
from transformers.models.sam3.modeling_sam3 import Sam3DetrDecoderLayer

from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Exemplar, Prompt
from sam3i_agent.core.stopping import StoppedError
from sam3i_agent.segmodel.checkpoints.heads import attach_head, save_head
from sam3i_agent.segmodel.checkpoints.loading import load_model, load_segmenter
from sam3i_agent.segmodel.checkpoints.official_files import write_official
from sam3i_agent.segmodel.preprocessing import to_pixel_values
from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter
from sam3i_agent.training.config import TrainConfig
from sam3i_agent.training.loop import train
from sam3i_agent.training.stages import Stage
from tests.segmodel.small_models import LITE_CONTEXT

PROMPTS = [Prompt(text, min_score=0.0) for text in ("red circle", "a mug on the far left", "ring")]
CONCEPT = (InstructionLevel.CONCEPT,)
PADDING = -10


@pytest.fixture(scope="module")
def photo(scene) -> Photo:
    return Photo(scene.image, "0" * 64)


@pytest.fixture(scope="module")
def segmenter(lite_text: Path) -> Sam3Segmenter:
    return load_segmenter(str(lite_text), device="cpu")


def test_it_answers_as_the_class_of_transformers(segmenter, lite_text, photo):
    stock = Sam3LiteTextModel.from_pretrained(lite_text).eval()
    answers = segmenter.encode(photo).segment(PROMPTS)
    pixels = to_pixel_values(photo.pixels, segmenter.input_side)
    for prompt, ours in zip(PROMPTS, answers, strict=True):
        tokens = segmenter.tokenizer([prompt.text])
        assert tokens.input_ids.shape == (1, LITE_CONTEXT)
        with torch.no_grad():
            # As the official student: no padding mask for the text encoder, and the token of the
            # empty geometry prompt, which a box of padding stands for.
            output = stock(
                pixel_values=pixels,
                text_embeds=stock.get_text_features(tokens.input_ids),
                attention_mask=tokens.attention_mask,
                input_boxes=torch.zeros(1, 1, 4),
                input_boxes_labels=torch.full((1, 1), PADDING),
            )
        (theirs,) = Sam3ImageProcessor().post_process_instance_segmentation(
            output, threshold=0.0, target_sizes=[photo.size_hw]
        )
        order = theirs["scores"].argsort(descending=True, stable=True)
        np.testing.assert_allclose(ours.scores, theirs["scores"][order], atol=1e-4)
        np.testing.assert_allclose(ours.boxes_xyxy, theirs["boxes"][order], atol=1e-2)
        # They take the sigmoid before they resize, which flips pixels at edges.
        assert np.mean(np.stack(list(ours.masks)) == theirs["masks"][order].numpy()) > 0.995


def test_a_phrase_alone_is_the_phrase_in_a_batch_over_one_encoding(segmenter, photo):
    segmenter.encodings.clear()
    before = segmenter.encodings.misses
    image = segmenter.encode(photo)
    for prompt, together in zip(PROMPTS, image.segment(PROMPTS), strict=True):
        (alone,) = segmenter.encode(photo).segment([prompt])
        np.testing.assert_allclose(alone.scores, together.scores, atol=1e-4)
        np.testing.assert_allclose(alone.boxes_xyxy, together.boxes_xyxy, atol=1e-2)
    assert segmenter.encodings.misses == before + 1


def test_long_texts_are_cut_where_its_configuration_says(segmenter):
    assert segmenter.context_length == LITE_CONTEXT
    assert segmenter.count_tokens("mug " * 20) == 22
    assert segmenter.levels == (InstructionLevel.CONCEPT,)
    assert segmenter.takes_exemplars and not segmenter.takes_clicks and not segmenter.has_memory


def test_example_boxes_move_the_answer(segmenter, photo):
    with_box = replace(PROMPTS[0], exemplars=(Exemplar((10, 10, 60, 60)),))
    plain, shown = segmenter.encode(photo).segment([PROMPTS[0], with_box])
    assert not np.allclose(plain.scores, shown.scores, atol=1e-4)


def test_a_caller_who_left_stops_it_between_its_layers(segmenter, photo, monkeypatch):
    ran: list[str] = []

    def stop() -> None:
        raise StoppedError

    image = segmenter.encode(photo)
    (first, *_) = [
        one for one in segmenter.model.modules() if isinstance(one, Sam3DetrDecoderLayer)
    ]
    handle = first.register_forward_hook(lambda *_: ran.append("decoder layer"))
    monkeypatch.setattr("sam3i_agent.segmodel.stop_hooks.check_stop", stop)
    with pytest.raises(StoppedError):
        image.segment(PROMPTS)
    handle.remove()
    assert not ran


def test_saved_and_loaded_it_is_the_same(segmenter, photo, tmp_path):
    segmenter.model.save_pretrained(tmp_path)
    again = load_segmenter(str(tmp_path), device="cpu")
    for one, other in zip(
        segmenter.encode(photo).segment(PROMPTS), again.encode(photo).segment(PROMPTS), strict=True
    ):
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_array_equal(np.stack(list(one.masks)), np.stack(list(other.masks)))


def test_a_head_goes_on_top_and_comes_back_from_its_own_folder(lite_text, photo, tmp_path):
    base = load_model(str(lite_text))
    model = base.with_fresh_head(adapter_dim=8, adapter_heads=4)
    torch.manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".adapters." in name:
                parameter.normal_(0, 0.3)
    save_head(model, tmp_path, str(lite_text))
    again = Sam3Segmenter(attach_head(load_model(str(lite_text)), tmp_path).eval(), "with head")
    assert again.levels == tuple(InstructionLevel)
    prompts = [Prompt("red circle", level, min_score=0.0) for level in InstructionLevel]
    wanted = Sam3Segmenter(model.eval(), "trained").encode(photo).segment(prompts)
    found = again.encode(photo).segment(prompts)
    plain = Sam3Segmenter(base, "base").encode(photo).segment(prompts[:1])
    for one, other in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(one.scores, other.scores)
    np.testing.assert_allclose(plain[0].scores, found[0].scores, atol=1e-6)
    assert not np.allclose(found[0].scores, found[1].scores, atol=1e-4)


def test_what_needs_a_head_is_refused_without_one(segmenter, photo):
    with pytest.raises(InputError, match="no instruction head"):
        segmenter.encode(photo).segment([Prompt("the ring", InstructionLevel.SIMPLE)])


def test_it_has_no_official_names(segmenter, tmp_path):
    with pytest.raises(ModelError, match="no official name"):
        write_official(segmenter.model, tmp_path / "lite.pt")


def test_a_head_is_trained_on_it(lite_text, photo, tmp_path):
    config = TrainConfig(
        output=tmp_path, stage=Stage.SIMPLE, start_from=str(lite_text), steps=2, images=1,
        samples_per_image=2, warmup_steps=1, checkpoint_every=2, workers=0, device="cpu",
        adapter_dim=8,
    )  # fmt: skip
    trained = load_segmenter(str(train(config, progress=False)), device="cpu")
    assert InstructionLevel.SIMPLE in trained.levels
    assert trained.context_length == LITE_CONTEXT
    text = "the red circle that is on the left"
    moved, plain = trained.encode(photo).segment(
        [Prompt(text, level, min_score=0.0) for level in (InstructionLevel.SIMPLE, *CONCEPT)]
    )
    assert not np.allclose(moved.scores, plain.scores, atol=1e-6)
