"""Official checkpoints: every key has a home, and bad files get one clear error."""

import json
import logging
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.segmodel.checkpoints.conversion import convert_checkpoint
from sam3i_agent.segmodel.checkpoints.heads import attach_head
from sam3i_agent.segmodel.checkpoints.loading import load_segmenter
from sam3i_agent.segmodel.checkpoints.official import IGNORED, rename_weights
from sam3i_agent.segmodel.network.configuration import InstructionSam3Config
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from tests.conftest import small_config


@pytest.fixture(scope="module")
def weights(reference_checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(reference_checkpoint, weights_only=True)["model"]


def test_full_size_keys_all_have_a_home(weights):
    """The official key set grown to the published depth, on the meta device."""
    with torch.device("meta"):
        expected = InstructionSam3(InstructionSam3Config(adapter_dim=64)).state_dict()
    assert sum(tensor.numel() for tensor in expected.values()) == pytest.approx(1154e6, rel=0.01)
    depths = {
        "trunk.blocks.": 32,
        "language_backbone.encoder.transformer.resblocks.": 24,
        "transformer.encoder.layers.": 6,
        "transformer.decoder.layers.": 6,
    }
    full: dict[str, torch.Tensor] = {}
    for key in weights:
        if key.startswith("backbone.text."):
            continue
        deep = next((prefix for prefix in depths if prefix in key), None)
        if deep is None:
            full[key] = _official_shape(key, key, expected)
        elif f"{deep}0." in key:
            for layer in range(depths[deep]):
                named = key.replace(f"{deep}0.", f"{deep}{layer}.")
                full[named] = _official_shape(named, key, expected)
    ours = rename_weights(full, "sam3i.pt")
    assert ours.keys() == expected.keys()


def _official_shape(key: str, small_key: str, expected) -> torch.Tensor:
    rows = 3 if key.endswith(("in_proj_weight", "in_proj_bias", "qkv.weight", "qkv.bias")) else 2
    return torch.empty(rows, 2, device="meta")


def test_ignored_keys_say_why():
    assert all(reason for _, reason in IGNORED)


def test_detector_prefix_and_bare_state_are_read(weights, tmp_path):
    base = {
        key: tensor
        for key, tensor in weights.items()
        if "adapter" not in key and not key.startswith("backbone.text.") and "query_proj" not in key
    }
    path = tmp_path / "sam3.pt"
    renamed = {f"detector.{key}": tensor for key, tensor in base.items()}
    torch.save({**renamed, "tracker.memory": torch.zeros(1)}, path)
    model = InstructionSam3.from_official(path, small_config(adapter_dim=None))
    assert not model.config.has_instruction_head


def _without(weights, part):
    return {key: value for key, value in weights.items() if part not in key}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: _without(w, "decoder.layers.1.adapter12."), "lacks 6 weights.*complex_in"),
        (lambda w: {**w, "transformer.mystery": torch.zeros(1)}, "no place for.*transformer.myst"),
        (lambda w: {"image_encoder.trunk.x": torch.zeros(1)}, "is a SAM 2 checkpoint"),
        (lambda w: {"layer.weight": torch.zeros(1)}, "is another checkpoint, not SAM 3"),
        (lambda w: {"epoch": 3}, "'epoch', which is no tensor"),
    ],
)
def test_wrong_contents_are_named(weights, tmp_path, change, message):
    path = tmp_path / "bad.pt"
    torch.save(change(weights), path)
    with pytest.raises(ModelError, match=message):
        InstructionSam3.from_official(path, small_config())


def test_wrong_adapter_dim_is_named(reference_checkpoint):
    with pytest.raises(ModelError, match=r"\(16, 32\), the configuration wants \(8, 32\)"):
        InstructionSam3.from_official(reference_checkpoint, small_config(adapter_dim=8))


def test_a_configuration_without_head_refuses_adapters(reference_checkpoint):
    with pytest.raises(ModelError, match=r"that the model lacks.*adapters"):
        InstructionSam3.from_official(reference_checkpoint, small_config(adapter_dim=None))


def test_the_published_size_is_the_default(reference_checkpoint):
    with pytest.raises(ModelError, match=r"has more layers"):
        InstructionSam3.from_official(reference_checkpoint)


def test_truncated_file(reference_checkpoint, tmp_path):
    path = tmp_path / "cut.pt"
    path.write_bytes(reference_checkpoint.read_bytes()[:100_000])
    with pytest.raises(ModelError, match=r"cut\.pt is damaged"):
        InstructionSam3.from_official(path, small_config())


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="there is no checkpoint file"):
        InstructionSam3.from_official(tmp_path / "none.pt")


def test_an_official_file_loads_without_a_warning(reference_checkpoint: Path):
    said: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = said.append
    logger = logging.getLogger("transformers")
    logger.addHandler(handler)
    try:
        InstructionSam3.from_official(reference_checkpoint, small_config())
    finally:
        logger.removeHandler(handler)
    assert not said


class _Payload:
    def __reduce__(self):
        return (Path.touch, (Path("run-by-a-pickle"),))


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pt"
    torch.save({"model": _Payload()}, path)
    with pytest.raises(ModelError, match="wants to run code on loading and is refused"):
        InstructionSam3.from_official(path)
    plain = tmp_path / "plain.pt"
    plain.write_bytes(pickle.dumps(_Payload(), protocol=2))
    with pytest.raises(ModelError):
        InstructionSam3.from_official(plain)
    assert not (tmp_path / "run-by-a-pickle").exists()


def test_other_zip_files_are_refused(tmp_path):
    path = tmp_path / "archive.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ModelError, match="damaged or no PyTorch checkpoint"):
        InstructionSam3.from_official(path)


def test_convert_writes_a_folder_that_loads(reference_checkpoint, tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps(small_config().to_dict()))
    convert_checkpoint(reference_checkpoint, tmp_path / "out", config)
    model = InstructionSam3.from_pretrained(tmp_path / "out")
    official = InstructionSam3.from_official(reference_checkpoint, small_config())
    for key, tensor in official.state_dict().items():
        assert torch.equal(model.state_dict()[key], tensor), key
    with pytest.raises(InputError, match="not an empty folder"):
        convert_checkpoint(reference_checkpoint, tmp_path / "out", config)


def test_adapters_only_load_on_top_of_their_base(reference_checkpoint, tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps(small_config().to_dict()))
    convert_checkpoint(reference_checkpoint, tmp_path / "head", config, adapters_only=True)
    official = InstructionSam3.from_official(reference_checkpoint, small_config())
    base = InstructionSam3(small_config(adapter_dim=None))
    base.load_state_dict(
        {key: official.state_dict()[key] for key in base.state_dict()}, strict=True
    )
    base.save_pretrained(tmp_path / "base")
    whole = attach_head(InstructionSam3.from_pretrained(tmp_path / "base"), tmp_path / "head")
    for key, tensor in official.state_dict().items():
        assert torch.equal(whole.state_dict()[key], tensor), key

    about = tmp_path / "head" / "instruction_head.json"
    about.write_text(about.read_text().replace("facebook/sam3", str(tmp_path / "base")))
    segmenter = load_segmenter(str(tmp_path / "head"), device="cpu", attn_implementation="eager")
    assert segmenter.levels == tuple(InstructionLevel)
    assert segmenter.model.config._attn_implementation == "eager"
