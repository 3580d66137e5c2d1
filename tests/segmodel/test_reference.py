"""Our numbers are the official ones, on a checkpoint that the official classes wrote."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sam3i_agent.core.instances import Instances
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.prompt import SCORE_THRESHOLD
from sam3i_agent.segmodel.network.answering import Question, answer
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from sam3i_agent.segmodel.network.photo_features import PhotoFeatures
from sam3i_agent.segmodel.postprocessing import to_instances
from sam3i_agent.segmodel.preprocessing import to_pixel_values
from sam3i_agent.segmodel.tokenization import PAD_ID, InstructionTokenizer
from tests.conftest import DATA, small_config

FOLDER = DATA / "sam3i_small"
SUFFIXES = {
    InstructionLevel.CONCEPT: "_1",
    InstructionLevel.SIMPLE: "_2",
    InstructionLevel.COMPLEX: "_4",
}
TOLERANCE = 1e-4
OUTPUTS = (
    ("pred_logits", "pred_logits"),
    ("pred_boxes", "pred_boxes_xyxy"),
    ("pred_masks", "pred_masks"),
    ("presence_logits", "presence_logit_dec"),
    ("semantic_seg", "semantic_seg"),
)


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "outputs.npz") as content:
        return dict(content)


@pytest.fixture(scope="module")
def official(reference_checkpoint: Path) -> InstructionSam3:
    return InstructionSam3.from_official(reference_checkpoint, small_config())


@pytest.fixture(scope="module", params=["official file", "saved and reloaded", "eager attention"])
def model(
    request: pytest.FixtureRequest,
    official: InstructionSam3,
    tmp_path_factory: pytest.TempPathFactory,
) -> InstructionSam3:
    if request.param == "official file":
        return official
    folder = tmp_path_factory.mktemp("saved")
    official.save_pretrained(folder)
    options = {"attn_implementation": "eager"} if request.param == "eager attention" else {}
    return InstructionSam3.from_pretrained(folder, **options)


def _assert_equal(output, expected: dict[str, np.ndarray], suffix: str, row: int = 0) -> None:
    for ours, theirs in OUTPUTS:
        value = getattr(output, ours)[row].float().numpy()
        wanted = expected[theirs + suffix][0].reshape(value.shape)
        assert np.abs(value - wanted).max() < TOLERANCE, ours


@pytest.mark.parametrize("level", InstructionLevel)
def test_every_level(model, expected, level):
    with torch.inference_mode():
        output = model(
            pixel_values=torch.from_numpy(expected["pixel_values"]),
            input_ids=torch.from_numpy(expected["ids" + SUFFIXES[level]]),
            level=level,
        )
    _assert_equal(output, expected, SUFFIXES[level])


def test_exemplar_boxes(model, expected):
    with torch.inference_mode():
        output = model(
            pixel_values=torch.from_numpy(expected["pixel_values"]),
            input_ids=torch.from_numpy(expected["ids_1"]),
            input_boxes=torch.from_numpy(expected["exemplar_boxes_cxcywh"])[None],
            input_boxes_labels=torch.from_numpy(expected["exemplar_labels"])[None],
        )
    _assert_equal(output, expected, "_exemplar")


def test_levels_mixed_in_one_batch_over_one_encoding(official, expected):
    levels = list(InstructionLevel)
    ids = np.concatenate([expected["ids" + SUFFIXES[level]] for level in levels])
    with torch.inference_mode():
        vision = official.get_vision_features(torch.from_numpy(expected["pixel_values"]))
        output = official(vision_embeds=vision, input_ids=torch.from_numpy(ids), level=levels)
    for row, level in enumerate(levels):
        _assert_equal(output, expected, SUFFIXES[level], row)


def test_answers_equal_the_official_postprocessing(official, expected):
    size_hw = (80, 120)
    pixel_values = torch.from_numpy(expected["pixel_values"])
    for together in (1, 2):  # the second time the photo's own maps are convolved by themselves
        with torch.inference_mode():
            photo = PhotoFeatures(official.get_vision_features(pixel_values))
        for level, suffix in SUFFIXES.items():
            ids = torch.from_numpy(expected["ids" + suffix]).expand(together, -1)
            with torch.inference_mode():
                question = Question(
                    photos=[photo] * together,
                    texts=official.encode_text(ids, level).pooler_output,
                    mask=(ids != PAD_ID).long(),
                    levels=[level] * together,
                    min_scores=[SCORE_THRESHOLD] * together,
                )
                rows = answer(official, question)
            for row in rows:
                _assert_official(to_instances(row, size_hw), expected, suffix)
        assert photo.is_convolved


def _assert_official(found: Instances, expected: dict[str, np.ndarray], suffix: str) -> None:
    size_hw = found.masks.size_hw
    scores = expected["post_scores" + suffix]
    order = np.argsort(-scores, kind="stable")
    bits = np.unpackbits(expected["post_masks" + suffix])[: len(scores) * size_hw[0] * size_hw[1]]
    masks = bits.reshape(len(scores), *size_hw).astype(bool)
    np.testing.assert_allclose(found.scores, scores[order], atol=1e-5)
    np.testing.assert_allclose(found.boxes_xyxy, expected["post_boxes" + suffix][order], atol=1e-3)
    np.testing.assert_array_equal(found.masks, masks[order])


def test_pixels_and_tokens_are_the_official_inputs(expected):
    pixels = np.array(Image.open(FOLDER / "image.png").convert("RGB"))
    np.testing.assert_allclose(
        to_pixel_values(pixels, 112).numpy(), expected["pixel_values"], atol=1e-6
    )
    texts = json.loads((FOLDER / "prompts.json").read_text())["texts"]
    tokenizer = InstructionTokenizer()
    for key, text in texts.items():
        np.testing.assert_array_equal(tokenizer([text]).input_ids.numpy(), expected[f"ids_{key}"])
