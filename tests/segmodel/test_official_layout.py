"""Official names there and back: bit for bit the same weights, and files that both sides read."""

import json
from pathlib import Path

import pytest
import torch

from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.segmodel.checkpoints.conversion import convert_checkpoint
from sam3i_agent.segmodel.checkpoints.loading import load_segmenter
from sam3i_agent.segmodel.checkpoints.official import from_official, to_official
from sam3i_agent.segmodel.checkpoints.official_files import read_checkpoint, write_official
from sam3i_agent.segmodel.network.configuration import InstructionSam3Config
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from tests.conftest import small_config

POSITIONS = "backbone.vision_backbone.trunk.pos_embed"
Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def official(reference_checkpoint: Path) -> Weights:
    return torch.load(reference_checkpoint, weights_only=True)["model"]


@pytest.fixture(scope="module")
def model(reference_checkpoint: Path) -> InstructionSam3:
    return InstructionSam3.from_official(reference_checkpoint, small_config())


def _assert_equal(found: Weights, wanted: Weights) -> None:
    assert found.keys() == wanted.keys()
    for key, tensor in wanted.items():
        assert found[key].dtype == tensor.dtype and torch.equal(found[key], tensor), key


def test_a_whole_official_checkpoint_there_and_back_is_the_same_to_the_bit(official: Weights):
    ours = from_official(official, "checkpoint.pt")
    _assert_equal(to_official(ours.weights, ours.aside), official)


def test_what_has_no_home_is_kept_aside(official: Weights):
    aside = from_official(official, "checkpoint.pt").aside
    assert aside[POSITIONS].shape[1] == 1
    starts = {key.split(".")[0] for key in aside if key != POSITIONS}
    assert starts == {
        "backbone", "complex_query_proj", "concept_proj", "geometry_encoder", "simple_query_proj",
    }  # fmt: skip


def test_a_base_file_keeps_its_prefix_and_its_tracker(official: Weights):
    base = {
        f"detector.{key}": tensor
        for key, tensor in official.items()
        if "adapter" not in key and "_proj.layers" not in key
    }
    base["tracker.memory"] = torch.ones(2)
    ours = from_official(base, "sam3.pt")
    assert not any(".adapters." in key for key in ours.weights)
    _assert_equal(to_official(ours.weights, ours.aside, detector_prefix=True), base)


def test_weights_alone_lack_only_what_is_listed_with_its_reason(
    official: Weights, model: InstructionSam3
):
    alone, ours = to_official(model.state_dict()), from_official(official, "checkpoint.pt")
    assert official.keys() - alone.keys() == ours.aside.keys() - {POSITIONS}
    assert not alone[POSITIONS][:, 0].any()  # nothing reads the class token's position
    assert torch.equal(alone[POSITIONS][:, 1:], official[POSITIONS][:, 1:])


def test_every_weight_of_the_published_size_has_an_official_name():
    with torch.device("meta"):
        for adapter_dim in (None, 64):
            ours = InstructionSam3(InstructionSam3Config(adapter_dim=adapter_dim)).state_dict()
            there = to_official(ours)
            back = from_official(there, "sam3.pt").weights
            assert back.keys() == ours.keys()
            assert all(back[key].shape == ours[key].shape for key in ours)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("tracker_model.weight", "no official name: tracker_model.weight"),
        ("detr_decoder.layers.0.mystery.weight", "no official name: detr_decoder.layers.0.myst"),
        ("detr_decoder.layers.0.self_attn.q_proj.weight", "has no .*k_proj.weight' beside it"),
    ],
)
def test_strangers_among_our_weights_are_named(key: str, said: str):
    with pytest.raises(ModelError, match=said):
        to_official({key: torch.zeros(2, 2)})


@pytest.mark.parametrize("name", ["sam3i.pt", "sam3i.safetensors"])
@pytest.mark.parametrize("detector_prefix", [False, True])
def test_written_files_load_as_the_same_model(
    model: InstructionSam3, tmp_path: Path, name: str, detector_prefix: bool
):
    path = tmp_path / "new" / name
    write_official(model, path, detector_prefix=detector_prefix)
    assert [one.name for one in path.parent.iterdir()] == [name]
    keys = read_checkpoint(path).keys()
    assert all(key.startswith("detector.") is detector_prefix for key in keys)
    again = InstructionSam3.from_official(path, small_config())
    _assert_equal(again.state_dict(), model.state_dict())
    with pytest.raises(InputError, match="exists"):
        write_official(model, path)


def test_a_file_of_pytorch_is_wrapped_as_the_official_ones_are(
    model: InstructionSam3, tmp_path: Path
):
    write_official(model, tmp_path / "sam3i.pt")
    assert torch.load(tmp_path / "sam3i.pt", weights_only=True).keys() == {"model"}
    with pytest.raises(InputError, match=r"ends neither in \.pt nor in \.safetensors"):
        write_official(model, tmp_path / "sam3i.bin")


def test_a_file_of_safetensors_converts_and_loads_as_a_model(
    model: InstructionSam3, tmp_path: Path
):
    path, config = tmp_path / "sam3i.safetensors", tmp_path / "config.json"
    write_official(model, path)
    config.write_text(json.dumps(small_config().to_dict()))
    convert_checkpoint(path, tmp_path / "out", config)
    assert load_segmenter(str(tmp_path / "out"), device="cpu").levels == tuple(InstructionLevel)
    with pytest.raises(ModelError, match=r"sam3i\.safetensors lacks .* weights"):
        load_segmenter(str(path))  # of the published size, as a name alone says


def test_other_files_of_safetensors_are_refused_in_words(tmp_path: Path, model: InstructionSam3):
    model.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="under the names of transformers") as refused:
        InstructionSam3.from_official(tmp_path / "model.safetensors")
    assert refused.value.hint is not None and "folder" in refused.value.hint
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((tmp_path / "model.safetensors").read_bytes()[:10_000])
    with pytest.raises(ModelError, match=r"cut\.safetensors is damaged"):
        InstructionSam3.from_official(cut)
