"""Models by name, and the segmenter that they become."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.segmodel.checkpoints.loading import load_segmenter
from sam3i_agent.segmodel.checkpoints.repository import path_of
from sam3i_agent.segmodel.sam3_segmenter import MAX_ROWS

PROMPTS = [Prompt("red circle"), Prompt("blue thing"), Prompt("striped star")]


@pytest.fixture(scope="module")
def photo(scene) -> Photo:
    return Photo(scene.image, "0" * 64)


def test_the_shipped_model_is_small_and_answers_all_levels(tiny):
    assert tiny.levels == tuple(InstructionLevel)
    parameters = sum(parameter.numel() for parameter in tiny.model.parameters())
    assert parameters * 2 < 15e6  # bytes in fp16


def test_the_head_of_the_shipped_model_leaves_its_base_alone(tiny, photo):
    base = load_segmenter("tiny", device="cpu", with_head=False)
    assert base.levels == (InstructionLevel.CONCEPT,)
    answers = [one.encode(photo).segment(PROMPTS) for one in (tiny, base)]
    for ours, theirs in zip(*answers, strict=True):
        np.testing.assert_array_equal(ours.masks, theirs.masks)
        np.testing.assert_array_equal(ours.scores, theirs.scores)
        assert ours.presence == pytest.approx(theirs.presence, abs=1e-6)


def test_a_head_is_not_taken_for_an_adapter_of_peft_where_that_is_installed(monkeypatch):
    monkeypatch.setattr("transformers.integrations.peft.is_peft_available", lambda: True)
    assert load_segmenter("tiny", device="cpu").levels == tuple(InstructionLevel)


def test_a_head_whose_file_has_its_former_name_is_not_passed_over(tmp_path):
    folder = tmp_path / "former"
    shutil.copytree(path_of("tiny"), folder)
    (folder / "instruction_head.json").rename(folder / "adapter_config.json")
    with pytest.raises(ModelError, match=r"no instruction_head\.json") as refused:
        load_segmenter(str(folder), device="cpu")
    assert "adapter_config.json" in refused.value.hint


def test_prompts_in_one_batch_answer_as_one_by_one(tiny, photo):
    image = tiny.encode(photo)
    together = image.segment(PROMPTS)
    for prompt, found in zip(PROMPTS, together, strict=True):
        (alone,) = image.segment([prompt])
        np.testing.assert_array_equal(alone.masks, found.masks)
        np.testing.assert_allclose(alone.scores, found.scores, atol=1e-5)
        assert found.masks.shape[1:] == photo.size_hw
        assert found.presence == pytest.approx(alone.presence, abs=1e-5)


def test_more_prompts_than_one_pass_holds(tiny, photo):
    image = tiny.encode(photo)
    assert MAX_ROWS < 75
    many = image.segment(PROMPTS * 25)
    assert len(many) == 75
    np.testing.assert_array_equal(many[0].masks, many[72].masks)


def test_bf16_and_eager_attention_agree_with_fp32(photo):
    plain = load_segmenter("tiny", device="cpu")
    every_score = [replace(one, min_score=0.0) for one in PROMPTS]
    wanted = plain.encode(photo).segment(every_score)
    for options in ({"dtype": torch.bfloat16}, {"attn_implementation": "eager"}):
        other = load_segmenter("tiny", device="cpu", **options)
        found = other.encode(photo).segment(every_score)
        for ours, theirs in zip(found, wanted, strict=True):
            assert ours.presence == pytest.approx(theirs.presence, abs=0.05)
            assert len(ours) == len(theirs)


@pytest.mark.parametrize("name", ["", "no such model", "https://example.com/model"])
def test_unknown_names(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((InputError, ModelError)):
        load_segmenter(name)


def test_a_hub_id_that_cannot_be_had_says_what_to_do(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"HF_HUB_OFFLINE is set.*sam3i models get"):
        load_segmenter("facebook/sam3-that-nobody-has")
