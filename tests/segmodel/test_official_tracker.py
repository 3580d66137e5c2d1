"""The tracker half of an official file: converted, usable, and back to the bit."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Sam3VideoConfig, Sam3VideoModel
from typer.testing import CliRunner

from sam3i_agent.cli.app import app
from sam3i_agent.core.errors import ModelError
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Click
from sam3i_agent.segmodel.checkpoints.heads import save_head
from sam3i_agent.segmodel.checkpoints.loading import load_model, load_segmenter
from sam3i_agent.segmodel.checkpoints.official import from_official
from sam3i_agent.segmodel.checkpoints.official_files import write_official
from sam3i_agent.segmodel.checkpoints.official_tracker import (
    tracker_from_official,
    tracker_to_official,
)
from sam3i_agent.segmodel.network.configuration import InstructionSam3Config
from tests.conftest import small_config

HALVES = ("tracker_model.", "tracker_neck.")


@pytest.fixture(scope="module")
def published(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model with one matrix of positions under two names, as the published one has."""
    folder = tmp_path_factory.mktemp("published")
    shutil.copy(repository / "config.json", folder)
    weights = load_file(repository / "model.safetensors")
    matrix = weights["tracker_model.prompt_encoder.shared_embedding.positional_embedding"]
    weights["tracker_model.shared_image_embedding.positional_embedding"] = matrix.clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def official(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Meta's code would save of the small model."""
    path = tmp_path_factory.mktemp("official") / "sam3.pt"
    tracker = tracker_to_official(load_file(published / "model.safetensors"))
    write_official(load_model(str(published)), path, tracker, detector_prefix=True)
    return path


def _convert(*arguments: object) -> str:
    run = CliRunner().invoke(app, ["convert", "checkpoint", *map(str, arguments)])
    assert run.exit_code == 0, run.output
    return run.output


def _weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["model"]


def test_an_official_file_becomes_a_folder_with_clicks_and_memory_and_back(
    official: Path, published: Path, tmp_path: Path
):
    folder = tmp_path / "sam3"
    said = _convert(official, folder, "--config", published / "config.json")
    assert "with the tracker" in said and "left out: the video tracker" not in said
    wanted, found = (load_file(one / "model.safetensors") for one in (published, folder))
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)
    ours, theirs = (load_segmenter(str(one), device="cpu") for one in (folder, published))
    assert ours.takes_clicks and ours.has_memory
    photo = Photo(np.random.default_rng(3).integers(0, 255, (90, 150, 3), np.uint8), "a")
    clicks = [one.click(photo, (Click((40.0, 30.0)),)) for one in (ours, theirs)]
    assert np.array_equal(np.asarray(clicks[0].masks), np.asarray(clicks[1].masks))
    steps = [one.follow("circle").step(0, photo) for one in (ours, theirs)]
    assert steps[0][0] == steps[1][0] and np.array_equal(steps[0][1].scores, steps[1][1].scores)
    again = tmp_path / "again.pt"
    _convert(folder, again, "--to-official", "--base-layout")
    before, after = _weights(official), _weights(again)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_the_published_size_has_every_name_in_both_directions():
    with torch.device("meta"):
        ours = Sam3VideoModel(Sam3VideoConfig()).state_dict()
    halves = {key: one for key, one in ours.items() if key.startswith(HALVES)}
    there = tracker_to_official(ours)
    back = tracker_from_official(there, "sam3.pt")
    assert len(there) == 331 and back.keys() == halves.keys()
    assert all(back[key].shape == one.shape for key, one in halves.items())
    points = "tracker.sam_prompt_encoder.point_embeddings"
    assert [there[f"{points}.{i}.weight"].shape for i in range(4)] == [(1, 256)] * 4


def test_without_a_configuration_for_it_the_tracker_is_listed(official: Path, tmp_path: Path):
    values = small_config(None).to_dict()
    values["vision_config"]["fpn_hidden_size"] = 128
    for part in ("geometry_encoder", "detr_encoder", "detr_decoder", "mask_decoder"):
        values[f"{part}_config"]["hidden_size"] = 128
    (tmp_path / "config.json").write_text(json.dumps(values))
    said = _convert(official, tmp_path / "image", "--config", tmp_path / "config.json")
    tracker = tracker_to_official(_named(official))
    assert f"{len(tracker)} weights left out: the video tracker" in said
    assert not load_segmenter(str(tmp_path / "image"), device="cpu").takes_clicks


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_an_official_file_takes_clicks_and_remembers_clips_as_it_is(
    official: Path, published: Path, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / f"copy.{ending}"
    if ending == "pt":
        shutil.copy(official, path)
    else:
        save_file({key: one.contiguous() for key, one in _weights(official).items()}, path)
    _small_is_published(published, monkeypatch)
    ours, theirs = (load_segmenter(str(one), device="cpu") for one in (path, published))
    assert ours.takes_clicks and ours.has_memory
    photo = Photo(np.random.default_rng(3).integers(0, 255, (90, 150, 3), np.uint8), "a")
    clicks = [one.click(photo, (Click((40.0, 30.0)),)) for one in (ours, theirs)]
    assert np.array_equal(np.asarray(clicks[0].masks), np.asarray(clicks[1].masks))
    assert np.array_equal(clicks[0].scores, clicks[1].scores)
    for frame, (ours_sees, theirs_sees) in enumerate(
        [(ours.follow("circle"), theirs.follow("circle"))] * 2
    ):
        steps = [one.step(frame, photo) for one in (ours_sees, theirs_sees)]
        assert steps[0][0] == steps[1][0] and np.array_equal(steps[0][1].scores, steps[1][1].scores)


def test_a_head_takes_clicks_where_its_base_does(published: Path, tmp_path: Path):
    theirs = load_segmenter(str(published), device="cpu")
    save_head(theirs.model.with_fresh_head(8, 4), tmp_path, str(published))
    ours = load_segmenter(str(tmp_path), device="cpu")
    assert ours.takes_clicks and ours.has_memory and len(ours.levels) == 3
    photo = Photo(np.random.default_rng(3).integers(0, 255, (90, 150, 3), np.uint8), "a")
    clicks = [one.click(photo, (Click((40.0, 30.0)),)) for one in (ours, theirs)]
    assert np.array_equal(clicks[0].scores, clicks[1].scores)
    assert ours.follow("circle").step(0, photo)[0] == theirs.follow("circle").step(0, photo)[0]


def test_a_tracker_that_lacks_weights_is_named_at_the_first_click(
    official: Path, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    lacking = {key: one for key, one in _weights(official).items() if "conv_s0" not in key}
    torch.save({"model": lacking}, tmp_path / "half.pt")
    _small_is_published(published, monkeypatch)
    segmenter = load_segmenter(str(tmp_path / "half.pt"), device="cpu")
    photo = Photo(np.zeros((90, 150, 3), np.uint8), "a")
    with pytest.raises(ModelError, match=r"2 weights are missing.*'mask_decoder\.conv_s0\.weight'"):
        segmenter.click(photo, (Click((40.0, 30.0)),))


def test_an_official_file_without_a_tracker_takes_no_clicks(
    official: Path, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    alone = {key: one for key, one in _weights(official).items() if not key.startswith("tracker.")}
    save_file({key: one.contiguous() for key, one in alone.items()}, tmp_path / "a.safetensors")
    _small_is_published(published, monkeypatch)
    segmenter = load_segmenter(str(tmp_path / "a.safetensors"), device="cpu")
    assert not segmenter.takes_clicks and not segmenter.has_memory


def _small_is_published(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let official files be read with the sizes of the small model, not the published ones."""
    values = json.loads((published / "config.json").read_text())
    image = InstructionSam3Config.from_dict(values)
    monkeypatch.setattr(
        "sam3i_agent.segmodel.network.instruction_sam3.published_config", lambda weights: image
    )
    monkeypatch.setattr(
        "sam3i_agent.segmodel.checkpoints.other_half.Sam3VideoConfig",
        lambda: Sam3VideoConfig.from_dict(values),
    )


def _named(official: Path) -> dict[str, torch.Tensor]:
    return tracker_from_official(from_official(_weights(official), "sam3.pt").aside, "sam3.pt")


def test_a_tracker_of_another_kind_is_said_and_the_image_model_converted(
    official: Path, published: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    strange = tmp_path / "strange.pt"
    torch.save({"model": _weights(official) | {"tracker.mystery.weight": torch.ones(1)}}, strange)
    _convert(strange, tmp_path / "image", "--config", published / "config.json")
    assert "without a name here, such as 'tracker.mystery.weight'" in caplog.text
    with pytest.raises(ModelError, match=r"'tracker_model\.mystery' has no official name"):
        tracker_to_official({"tracker_model.mystery": torch.ones(1)})
