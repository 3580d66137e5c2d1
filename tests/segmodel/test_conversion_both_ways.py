"""An official checkpoint to a folder and back, by the commands: bit-equal, key by key."""

import json

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from sam3i_agent.cli.app import app
from sam3i_agent.core.errors import InputError
from tests.conftest import small_config


@pytest.fixture(scope="module")
def folder(reference_checkpoint, tmp_path_factory):
    root = tmp_path_factory.mktemp("converted")
    config = root / "config.json"
    config.write_text(json.dumps(small_config().to_dict()))
    run = _invoke(str(reference_checkpoint), str(root / "model"), "--config", str(config))
    assert run.exit_code == 0, run.output
    assert "weights left out: a second text encoder" in run.stdout
    assert "weights left out: projectors of the training losses" in run.stdout
    return root / "model"


def _invoke(*arguments):
    return CliRunner().invoke(app, ["convert", "checkpoint", *arguments])


def _official(path):
    return torch.load(path, map_location="cpu", weights_only=True)["model"]


def test_there_and_back_with_what_has_no_place_is_the_same_file(
    folder, reference_checkpoint, tmp_path
):
    out = tmp_path / "back.pt"
    run = _invoke(str(folder), str(out), "--to-official", "--keep-from", str(reference_checkpoint))
    assert run.exit_code == 0, run.output
    before, after = _official(reference_checkpoint), _official(out)
    assert before.keys() == after.keys()
    for key, tensor in before.items():
        assert torch.equal(tensor, after[key]), key


def test_alone_a_model_lacks_only_what_inference_ignores(folder, reference_checkpoint, tmp_path):
    out = tmp_path / "back.safetensors"
    assert _invoke(str(folder), str(out), "--to-official", "--base-layout").exit_code == 0
    before, after = _official(reference_checkpoint), load_file(out)
    missing = before.keys() - {key.removeprefix("detector.") for key in after}
    assert all(key.startswith("detector.") for key in after)
    ignored = ("backbone.text.", "geometry_encoder.points_")
    assert missing and all(
        key.startswith(ignored) or "_proj." in key or key.endswith("freqs_cis") for key in missing
    )


def test_options_that_do_not_go_together_are_refused(folder, tmp_path):
    for arguments in (
        ("--to-official", "--adapters-only"),
        ("--base-layout",),
        ("--keep-from", "x.pt"),
    ):
        run = _invoke(str(folder), str(tmp_path / "x.pt"), *arguments)
        assert isinstance(run.exception, InputError)
