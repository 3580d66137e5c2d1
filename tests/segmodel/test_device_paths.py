"""What a GPU does differently, as far as a CPU can tell: resizing in float, a compiled encoder."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.data.scenes import generate_scene
from sam3i_agent.segmodel.checkpoints import loading
from sam3i_agent.segmodel.checkpoints.loading import load_segmenter
from sam3i_agent.segmodel.network.compiling import compile_encoder, compile_finder
from sam3i_agent.segmodel.preprocessing import resize_in_float
from sam3i_agent.segmodel.sam3_segmenter import MAX_PHOTOS, _photos_per_pass


@pytest.mark.parametrize("size_hw", [(300, 400), (97, 1013), (40, 30)])
def test_resizing_in_float_differs_by_one_level_at_most(size_hw):
    noise = np.random.default_rng(1).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    pixels = torch.from_numpy(noise).permute(2, 0, 1)[None]
    wanted = interpolate(pixels, (128, 128), mode="bilinear", antialias=True).int()
    found = resize_in_float(pixels, (128, 128))
    assert torch.equal(found, found.round()) and found.dtype == torch.float32
    assert (found.int() - wanted).abs().max() <= 1
    assert (found.int() != wanted).float().mean() < 0.2


def test_a_compiled_encoder_gives_the_same_features():
    plain, compiled = (load_segmenter("tiny", device="cpu") for _ in range(2))
    compile_encoder(compiled, backend="eager")
    for number in range(2):
        photo = Photo(generate_scene(5, number).image, f"{number}")
        a, b = (one.encode(photo) for one in (plain, compiled))
        for ours, theirs in zip(a.features.maps, b.features.maps, strict=True):
            assert (ours - theirs).abs().max() < 1e-4
        first, second = (one.segment([Prompt("thing", min_score=0.1)])[0] for one in (a, b))
        np.testing.assert_allclose(first.scores, second.scores, atol=1e-4)


def test_a_compiled_finder_fills_up_buckets_and_finds_the_same():
    plain, compiled = (load_segmenter("tiny", device="cpu") for _ in range(2))
    shapes: list[int] = []

    def backend(graph: Any, inputs: Any) -> Any:
        shapes.append(1)
        return graph.forward

    compile_finder(compiled, backend=backend)
    photo = Photo(generate_scene(5, 1).image, "buckets")
    a, b = plain.encode(photo), compiled.encode(photo)
    levels = [InstructionLevel.CONCEPT, InstructionLevel.SIMPLE, InstructionLevel.COMPLEX]
    for number in (3, 4):
        prompts = [Prompt("red circle", levels[i % 3], min_score=0.02) for i in range(number)]
        wanted, found = a.segment(prompts), b.segment(prompts)
        before = len(shapes)
        for one, other in zip(wanted, found, strict=True):
            assert len(one.masks) == len(other.masks)
            np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
            np.testing.assert_array_equal(np.asarray(one.masks), np.asarray(other.masks))
    b.segment(prompts)
    assert before == len(shapes), "compiled once for a number of prompts"


def test_a_compiled_encoder_no_longer_stops_between_its_layers(monkeypatch):
    segmenter = load_segmenter("tiny", device="cpu")
    compile_encoder(segmenter, backend="eager")
    asked: list[int] = []
    monkeypatch.setattr("sam3i_agent.segmodel.stop_hooks.check_stop", lambda: asked.append(1))
    image = segmenter.encode(Photo(generate_scene(5, 0).image, "0"))
    assert not asked
    image.segment([Prompt("thing")])
    assert asked


def test_large_models_take_bf16_where_the_cpu_is_fast_at_it(monkeypatch):
    for limit, capable, wanted in (
        (10, True, torch.bfloat16), (10, False, torch.float32), (10**9, True, torch.float32),
    ):  # fmt: skip
        monkeypatch.setattr(loading, "_LARGE_PARAMETERS", limit)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=capable: {"amx_bf16": able})
        assert load_segmenter("tiny", device="cpu").model.dtype == wanted


def test_photos_share_a_pass_where_that_gains_something():
    def model(side: int, patch: int, device: str) -> Any:
        backbone = SimpleNamespace(image_size=side, patch_size=patch)
        vision = SimpleNamespace(backbone_config=backbone)
        config = SimpleNamespace(vision_config=vision)
        return SimpleNamespace(config=config, device=torch.device(device))

    assert _photos_per_pass(model(128, 8, "cpu")) == MAX_PHOTOS
    assert _photos_per_pass(model(1008, 14, "cpu")) == 1
    assert _photos_per_pass(model(1008, 14, "cuda")) == MAX_PHOTOS
