"""What every segmenter keeps to, whoever runs the model."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sam3i_agent.core.errors import InputError, ModelError, Sam3iError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.model_choice import ModelChoice, Tiling
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Click, Exemplar, Prompt
from sam3i_agent.data.scenes import generate_scene
from sam3i_agent.segmodel.checkpoints.loading import load_by_choice, load_segmenter
from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter
from sam3i_agent.segmodel.segmenter import Segmenter
from sam3i_agent.segmodel.tiling import TilingSegmenter
from sam3i_agent.tools.serving.cluster.service import ReplicatedService
from sam3i_agent.tools.serving.settings import ServeSettings
from tests.conftest import KnowingSegmenter

SCENE = generate_scene(seed=901, index=1)
PHOTO = Photo(SCENE.image, sha256="the contract's scene")
OBJECT = SCENE.objects[0]
PROMPTS = [Prompt(f"{OBJECT.colour} {OBJECT.shape}"), Prompt("zebra")]
KINDS = (
    "plain",
    "all halves",
    "lite text",
    "owlv2 and sam 2",
    "tiling",
    "fake",
    # Ray leaves sockets and threads to the end of the process.
    pytest.param(
        "replicas",
        marks=[
            pytest.mark.slow,
            pytest.mark.filterwarnings("default"),
            pytest.mark.timeout(300),
        ],
    ),
)


@pytest.fixture(scope="module", params=KINDS)
def segmenter(
    request: pytest.FixtureRequest,
    tiny: Sam3Segmenter,
    repository: Path,
    lite_text: Path,
    owlv2_sam2: str,
) -> Iterator[Segmenter]:
    match request.param:
        case "plain":
            yield tiny
        case "all halves":
            yield load_segmenter(str(repository), device="cpu")
        case "lite text":
            yield load_segmenter(str(lite_text), device="cpu")
        case "owlv2 and sam 2":
            yield load_by_choice(ModelChoice(owlv2_sam2, "cpu"))
        case "tiling":
            yield TilingSegmenter(tiny, Tiling.ON)
        case "fake":
            yield KnowingSegmenter({PROMPTS[0].text: [(OBJECT.mask, 0.9)]})
        case _:
            settings = ServeSettings(model=ModelChoice(owlv2_sam2, "cpu"), replicas=1)
            service = ReplicatedService(settings)
            yield service.segmenter()
            service.stop()


def test_it_says_what_it_is(segmenter: Segmenter):
    assert segmenter.name
    assert InstructionLevel.CONCEPT in segmenter.levels
    for said in (segmenter.takes_exemplars, segmenter.takes_clicks, segmenter.has_memory):
        assert isinstance(said, bool)
    for file in segmenter.weights:
        assert "/" not in file.name and len(file.sha256) == 64


def test_tokens_are_counted_in_the_units_of_the_context(segmenter: Segmenter):
    short, long = "mug", " ".join(["mug"] * segmenter.context_length)
    assert 2 < segmenter.count_tokens(short) <= segmenter.context_length
    assert segmenter.count_tokens(long) > segmenter.context_length


def test_each_prompt_gets_its_answer_in_the_photos_pixels(segmenter: Segmenter):
    image = segmenter.encode(PHOTO)
    answers = image.segment(PROMPTS)
    assert len(answers) == len(PROMPTS) and image.encodings >= 1
    height, width = PHOTO.size_hw
    for found in answers:
        assert found.masks.size_hw == PHOTO.size_hw
        assert 0 <= found.presence <= 1
        assert (np.diff(found.scores) <= 0).all() and (
            (0 < found.scores) & (found.scores <= 1)
        ).all()
        assert (found.boxes_xyxy >= 0).all()
        assert (found.boxes_xyxy <= (width, height, width, height)).all()
    swapped = image.segment(PROMPTS[::-1])
    for one, other in zip(answers, swapped[::-1], strict=True):
        assert len(one) == len(other)
        assert one.presence == pytest.approx(other.presence, abs=1e-4)


def test_no_prompts_no_answers(segmenter: Segmenter):
    assert segmenter.encode(PHOTO).segment([]) == []


def test_every_level_that_it_names_is_answered(segmenter: Segmenter):
    prompts = [Prompt("zebra", level) for level in segmenter.levels]
    assert len(segmenter.encode(PHOTO).segment(prompts)) == len(prompts)


def test_a_level_that_it_does_not_name_is_refused(segmenter: Segmenter):
    missing = [level for level in InstructionLevel if level not in segmenter.levels]
    for level in missing:
        with pytest.raises(InputError):
            segmenter.encode(PHOTO).segment([Prompt("zebra", level)])


def test_a_frame_that_is_not_kept_gets_the_same_answer(segmenter: Segmenter):
    kept, passing = (segmenter.encode(PHOTO, keep=keep).segment(PROMPTS) for keep in (True, False))
    for one, other in zip(kept, passing, strict=True):
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)


def test_example_boxes_are_answered_or_refused_as_it_says(segmenter: Segmenter):
    image, prompt = (
        segmenter.encode(PHOTO),
        Prompt("visual", exemplars=(Exemplar(OBJECT.box_xyxy),)),
    )
    if segmenter.takes_exemplars:
        assert len(image.segment([prompt])) == 1
    else:
        with pytest.raises(InputError):
            image.segment([prompt])


def test_a_box_beside_the_photo_is_refused(segmenter: Segmenter):
    bad = Prompt("visual", exemplars=(Exemplar((0, 0, 9999, 10)),))
    with pytest.raises(InputError):
        segmenter.encode(PHOTO).segment([bad])


def test_clicks_are_answered_or_refused_as_it_says(segmenter: Segmenter):
    click = Click((OBJECT.box_xyxy[0] + 1, OBJECT.box_xyxy[1] + 1))
    if segmenter.takes_clicks:
        found = segmenter.click(PHOTO, [click])
        assert found.masks.shape == (3, *PHOTO.size_hw) and found.scores.shape == (3,)
        assert len(segmenter.click(PHOTO, [click], several=False).masks) == 1
        with pytest.raises(InputError):
            segmenter.click(PHOTO, [])
    else:
        with pytest.raises(ModelError) as refused:
            segmenter.click(PHOTO, [click])
        assert refused.value.hint


def test_a_clip_is_followed_or_refused(segmenter: Segmenter):
    try:
        tracker = segmenter.follow(PROMPTS[0].text)
    except Sam3iError as refused:
        assert isinstance(refused, ModelError) and refused.hint and not segmenter.has_memory
        return
    for frame in range(2):
        numbers, found = tracker.step(frame, PHOTO)
        assert len(numbers) == len(found) == len(set(numbers))
        assert all(number >= 1 for number in numbers)
        assert found.masks.size_hw == PHOTO.size_hw
