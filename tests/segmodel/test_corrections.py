"""Examples and clicks: the right coordinates, the official numbers, and clear refusals."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Sam3TrackerConfig, Sam3TrackerModel
from typer.testing import CliRunner

from sam3i_agent.cli.app import app
from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.core.masks import Masks, union_iou
from sam3i_agent.core.photo import Photo, read_photo
from sam3i_agent.core.prompt import VISUAL, Click, Exemplar, Prompt
from sam3i_agent.data.scenes import generate_scene
from sam3i_agent.segmodel.clicks import ClickModel, load_click_model
from sam3i_agent.segmodel.exemplars import pad_exemplars
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from sam3i_agent.segmodel.postprocessing import to_instances
from sam3i_agent.segmodel.preprocessing import to_pixel_values
from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter
from sam3i_agent.tools.service import SegmentationService
from tests.conftest import DATA, small_config
from tests.segmodel.whole_outputs import kept_of

SIDE = 112
PROMPTS = (
    Exemplar((20.0, 10.0, 60.0, 50.0)),
    Exemplar((70.0, 30.0, 110.0, 75.0), positive=False),
)


@pytest.fixture(scope="module")
def segmenter(reference_checkpoint: Path) -> Sam3Segmenter:
    return Sam3Segmenter(
        InstructionSam3.from_official(reference_checkpoint, small_config()), "small"
    )


@pytest.fixture(scope="module")
def tracker(segmenter: Sam3Segmenter) -> Sam3TrackerModel:
    """A tracker of the same ViT, random elsewhere."""
    torch.manual_seed(0)
    config = Sam3TrackerConfig(
        vision_config=segmenter.model.config.vision_config.to_dict(),
        prompt_encoder_config={"hidden_size": 32, "image_size": SIDE, "patch_size": 14},
        mask_decoder_config={
            "hidden_size": 32, "mlp_dim": 64, "num_attention_heads": 4, "iou_head_hidden_dim": 32,
        },
    )  # fmt: skip
    model = Sam3TrackerModel(config).eval()
    with torch.no_grad():
        model.no_memory_embedding.normal_()
    backbone = segmenter.model.vision_encoder.backbone
    model.vision_encoder.backbone.load_state_dict(backbone.state_dict())
    return model


@pytest.fixture(scope="module")
def photo() -> Photo:
    return read_photo(DATA / "sam3i_small" / "image.png")


def test_boxes_reach_the_model_as_the_official_numbers(segmenter: Sam3Segmenter, photo: Photo):
    expected = np.load(DATA / "sam3i_small" / "outputs.npz")
    height, width = photo.size_hw
    cx, cy, w, h = expected["exemplar_boxes_cxcywh"].reshape(-1, 4).T
    corners = np.stack(
        [(cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height]
    ).T
    labels = expected["exemplar_labels"].reshape(-1)
    exemplars = tuple(
        Exemplar(tuple(box), bool(positive))
        for box, positive in zip(corners.tolist(), labels, strict=True)
    )
    boxes, kinds = pad_exemplars([(exemplars, photo.size_hw), (exemplars[:1], photo.size_hw)])
    assert np.abs(boxes[0].numpy() - expected["exemplar_boxes_cxcywh"].reshape(-1, 4)).max() < 1e-6
    assert kinds.tolist() == [labels.tolist(), [1, -10]]
    # The whole path, against the model called with the official tensors.
    image = segmenter.encode(photo)
    with torch.inference_mode():
        tokens = segmenter.tokenizer(["circle"])
        output = segmenter.model(
            pixel_values=to_pixel_values(photo.pixels, segmenter.input_side),
            input_ids=tokens.input_ids,
            input_boxes=torch.from_numpy(expected["exemplar_boxes_cxcywh"])[None],
            input_boxes_labels=torch.from_numpy(expected["exemplar_labels"])[None],
        )
    (row,) = kept_of(output, [0.0])
    wanted = to_instances(row, photo.size_hw)
    (plain, found) = image.segment(
        [
            Prompt("circle", min_score=0.0),
            Prompt("circle", exemplars=exemplars, min_score=0.0),
        ]
    )
    assert np.abs(found.scores - wanted.scores).max() < 1e-4
    assert np.abs(found.boxes_xyxy - wanted.boxes_xyxy).max() < 1e-2
    (alone,) = image.segment([Prompt("circle", min_score=0.0)])
    assert np.abs(plain.scores - alone.scores).max() < 1e-5  # each in a batch of its own
    assert np.abs(plain.scores - found.scores).max() > 1e-4


def test_boxes_are_those_of_the_upright_photo(
    segmenter: Sam3Segmenter, photo: Photo, tmp_path: Path
):
    upright, turned = Image.fromarray(photo.pixels), tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right by a quarter
    upright.transpose(Image.Transpose.ROTATE_90).save(turned, exif=exif)
    read = read_photo(turned)
    assert read.size_hw == photo.size_hw and read.notes
    prompt = [Prompt("circle", exemplars=PROMPTS, min_score=0.0)]
    answers = [segmenter.encode(one).segment(prompt)[0] for one in (photo, read)]
    assert np.abs(answers[0].scores - answers[1].scores).max() < 1e-5


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ((10, 10, 10, 20), "no area"), ((20, 20, 10, 30), "no area"),
        ((-1, 0, 10, 10), "reaches out"), ((0, 0, 121, 10), "120 x 80"),
        ((0, 0, float("nan"), 10), "four numbers"),
    ],
)  # fmt: skip
def test_boxes_beside_the_photo_are_refused(segmenter: Sam3Segmenter, photo: Photo, box, said: str):
    with pytest.raises(InputError, match=said):
        segmenter.encode(photo).segment([Prompt("x", exemplars=(Exemplar(box),))])


def test_the_shipped_model_finds_what_is_like_a_box(tiny: Sam3Segmenter):
    """Boxes alone: all objects of one shape and colour, and no other."""
    right = asked = 0
    for number in range(40):
        scene = generate_scene(31, number)
        kinds = [(item.shape, item.colour) for item in scene.objects]
        if not kinds:
            continue
        exemplar = Exemplar(scene.objects[0].box_xyxy)
        image = tiny.encode(Photo(scene.image, f"{number}"))
        (found,) = image.segment([Prompt(VISUAL, exemplars=(exemplar,))])
        wanted = [one.mask for one in scene.objects if (one.shape, one.colour) == kinds[0]]
        asked += 1
        size = (scene.image.shape[0], scene.image.shape[1])
        right += union_iou(found.masks, Masks.encode(wanted, size)) > 0.5
    assert asked > 30 and right > 0.75 * asked, (right, asked)


def test_a_model_without_examples_says_so(tiny: Sam3Segmenter, photo: Photo, monkeypatch):
    monkeypatch.setattr(tiny.model.config, "takes_exemplars", False)
    with pytest.raises(InputError, match="not trained on example boxes"):
        tiny.encode(photo).segment([Prompt("circle", exemplars=PROMPTS)])


def test_a_model_without_a_click_half_says_so(tiny: Sam3Segmenter):
    for name in ("tiny", str(DATA)):
        with pytest.raises(ModelError, match=r"takes no clicks.*owlv2\+sam2"):
            load_click_model(name, tiny.model)


def test_the_command_refuses_clicks_before_it_answers(
    scene_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(SegmentationService, "answer", None)
    words = ["segment", str(scene_file), "circle", "--point", "9,9", "--device", "cpu"]
    refused = CliRunner().invoke(app, words)
    assert isinstance(refused.exception, ModelError) and "no clicks" in str(refused.exception)


def test_clicks_give_the_numbers_of_the_tracker_over_the_shared_encoding(
    segmenter: Sam3Segmenter, tracker: Sam3TrackerModel, photo: Photo
):
    whole, clicker = copy.deepcopy(tracker), ClickModel(copy.deepcopy(tracker))
    height, width = photo.size_hw
    pixels = to_pixel_values(photo.pixels, SIDE)
    image = segmenter.encode(photo)
    for ours, theirs in zip(
        clicker.image_embeddings(image), whole.get_image_embeddings(pixels), strict=True
    ):
        assert (ours - theirs).abs().max() < 1e-5
    clicks = (Click((30.0, 20.0)), Click((90.0, 60.0), positive=False))
    found = clicker.segment(image, clicks)
    points = torch.tensor([[30.0, 20.0], [90.0, 60.0]])
    points *= torch.tensor([SIDE / width, SIDE / height])
    with torch.inference_mode():
        output = whole(
            pixel_values=pixels,
            input_points=points[None, None],
            input_labels=torch.tensor([[[1, 0]]]),
        )
    assert found.masks.shape == (3, height, width)
    wanted = output.iou_scores[0, 0].sort(descending=True).values.clamp(0, 1).numpy()
    assert np.abs(found.scores - wanted).max() < 1e-5
    assert len(clicker.segment(image, clicks, several=False).masks) == 1
    box = clicker.segment(image, box_xyxy=(10.0, 10.0, 60.0, 60.0))
    again = clicker.segment(image, clicks, mask=box.masks[0])
    assert np.abs(again.scores - found.scores).max() > 1e-7  # the mask so far counts


@pytest.mark.parametrize(
    ("clicks", "box", "said"),
    [
        ((), None, "nothing says where"),
        ((Click((5, 5), positive=False),), None, "nothing says where"),
        ((Click((120, 5)),), None, "outside the photo of 120 x 80"),
        ((Click((5, -1)),), None, "outside the photo"),
        ((Click((5, 5)), Click((5, 5), positive=False)), None, "both positive and negative"),
        ((Click((5, 5)),), (10.0, 10.0, 20.0, 20.0), "outside the box"),
    ],
)
def test_clicks_that_make_no_sense_are_refused(segmenter, tracker, photo, clicks, box, said):
    clicker = ClickModel(copy.deepcopy(tracker))
    with pytest.raises(InputError, match=said):
        clicker.segment(segmenter.encode(photo), clicks, box)
