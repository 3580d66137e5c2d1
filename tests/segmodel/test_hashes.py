"""Results say which weights ran, and no file is hashed twice."""

import hashlib
import os
from pathlib import Path

import pytest

from sam3i_agent.agent.run import segment_photo_sync
from sam3i_agent.core.contracts import SegmentationResult, WeightsFile
from sam3i_agent.core.photo import read_photo
from sam3i_agent.segmodel.checkpoints import hashes
from sam3i_agent.segmodel.checkpoints.hashes import RunningWeights, sha256_of
from sam3i_agent.segmodel.checkpoints.heads import save_head
from sam3i_agent.segmodel.checkpoints.loading import load_model, load_segmenter
from sam3i_agent.segmodel.checkpoints.repository import path_of
from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_result_names_the_weights_that_ran(tiny: Sam3Segmenter, scene_file: Path):
    result = segment_photo_sync(tiny, read_photo(scene_file), "red circle")
    assert result.provenance is not None
    files = sorted(path_of("tiny").glob("*.safetensors"))
    assert result.provenance.weights == tuple(
        WeightsFile(model="tiny", name=one.name, sha256=_digest(one)) for one in files
    )
    values = result.model_dump(mode="json")
    assert SegmentationResult.model_validate(values) == result
    del values["provenance"]  # as earlier versions wrote it
    assert SegmentationResult.model_validate(values).provenance is None


def test_a_head_names_the_model_below_it(tmp_path: Path, scene_file: Path):
    head = tmp_path / "mine"
    head.mkdir()
    save_head(load_model("tiny"), head, "tiny")
    weights = load_segmenter(str(head), device="cpu").weights
    assert {one.model for one in weights} == {"mine", "tiny"}
    assert weights[0].name == "adapters.safetensors"
    assert weights[0].sha256 == _digest(head / "adapters.safetensors")


def test_a_model_without_files_has_none():
    assert RunningWeights("random full size at 336").files() == ()


def test_a_file_is_hashed_again_only_when_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []
    digest = hashlib.file_digest

    def counted(content, kind):
        asked.append(kind)
        return digest(content, kind)

    monkeypatch.setattr(hashes.hashlib, "file_digest", counted)
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    assert sha256_of(file) == sha256_of(file) == _digest(file) and len(asked) == 1
    file.write_bytes(b"two")
    os.utime(file, ns=(0, 0))
    assert sha256_of(file) == _digest(file) and len(asked) == 2
