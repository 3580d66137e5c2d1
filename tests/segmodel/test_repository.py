"""What a model's name stands for, known before anything is loaded."""

import json
from pathlib import Path

import pytest

from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.segmodel.checkpoints.loading import load_segmenter
from sam3i_agent.segmodel.checkpoints.repository import has_video_half, hub_name

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, which cannot be reached."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path


def _put(cache: Path, name: str, config: str) -> None:
    folder = cache / f"models--{name.replace('/', '--')}"
    snapshot = folder / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(config)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "sam3_video"}, True),
        ({"architectures": ["Sam3VideoModel"]}, True),
        ({"model_type": "sam3", "architectures": ["Sam3Model"]}, False),
        ({"model_type": "instruction_sam3", "architectures": None}, False),
        ({}, False),
    ],
)
def test_a_hub_id_has_a_video_half_where_its_configuration_says_so(cache, config, expected):
    _put(cache, "some/model", json.dumps(config))
    assert has_video_half("some/model") is expected


def test_a_hub_id_that_nobody_knows_is_not_guessed_at(cache):
    with pytest.raises(ModelError, match=r"cannot be known.*config\.json is not in the cache"):
        has_video_half("some/model")


@pytest.mark.parametrize("config", ["not JSON", "[]", '{"architectures": 3}'])
def test_a_damaged_configuration_is_named(cache, config):
    _put(cache, "some/model", config)
    with pytest.raises(ModelError, match="configuration of the model 'some/model' is damaged"):
        has_video_half("some/model")


def test_a_file_in_a_folder_that_is_not_there_is_not_looked_for_on_the_hub():
    assert hub_name("weights/sam3.pt") is None and hub_name("some/model.v2") is not None
    with pytest.raises(InputError, match=r"there is no model 'weights/sam3\.pt'"):
        load_segmenter("weights/sam3.pt", device="cpu")


def test_names_of_this_machine_need_no_hub(cache, repository, reference_checkpoint, tmp_path):
    assert has_video_half(str(repository))
    for name in ("tiny", str(reference_checkpoint), str(tmp_path), "random full size at 672"):
        assert not has_video_half(name)
