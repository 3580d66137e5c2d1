"""A folder of results belongs to one run, and says so in one way wherever it is met."""

import json

import pytest

from sam3i_agent.core.claimed_folder import SETTINGS_NAME, claim_folder
from sam3i_agent.core.errors import InputError, StorageError

SETTINGS = {"model": "tiny", "losses": {"dense": 1.0, "mask": 2.0}, "text": None}


@pytest.fixture
def folder(tmp_path):
    claim_folder(tmp_path / "out", SETTINGS)
    (tmp_path / "out" / "results.jsonl").write_text("{}\n")
    return tmp_path / "out"


def test_the_same_run_goes_on(folder):
    before = (folder / SETTINGS_NAME).read_text()
    claim_folder(folder, dict(reversed(SETTINGS.items())))
    assert (folder / SETTINGS_NAME).read_text() == before


def test_another_run_is_refused_with_what_differs(folder):
    with pytest.raises(InputError) as caught:
        claim_folder(folder, {**SETTINGS, "losses": {"dense": 0.5, "mask": 2.0}, "model": "big"})
    assert caught.value.message.endswith(
        "holds another run: its losses.dense is 1.0, not 0.5; its model is 'tiny', not 'big'"
    )
    assert caught.value.hint == "give another --out"
    assert json.loads((folder / SETTINGS_NAME).read_text()) == SETTINGS


def test_many_and_long_differences_are_shortened(folder):
    with pytest.raises(InputError) as caught:
        claim_folder(folder, {**SETTINGS, **{f"key{i}": "x" * 100 for i in range(5)}}, "move on")
    assert str(caught.value).endswith("… and 2 more (move on)")
    assert len(caught.value.message.split("holds another run")[1]) < 320


def test_a_claim_that_came_to_nothing_lapses(tmp_path):
    claim_folder(tmp_path, {"model": "tyni"})
    claim_folder(tmp_path, {"model": "tiny"})
    assert json.loads((tmp_path / SETTINGS_NAME).read_text()) == {"model": "tiny"}


def test_results_from_before_there_were_settings_are_claimed(tmp_path):
    (tmp_path / "checkpoint.pt").write_text("x")
    claim_folder(tmp_path, SETTINGS)
    with pytest.raises(InputError, match="another run"):
        claim_folder(tmp_path, {**SETTINGS, "model": "big"})


@pytest.mark.parametrize("text", ["", '{"model"', "[1]"])
def test_damaged_settings_and_folders_that_are_none_are_the_storages_fault(folder, text):
    (folder / SETTINGS_NAME).write_text(text)
    with pytest.raises(StorageError, match=SETTINGS_NAME):
        claim_folder(folder, SETTINGS)
    with pytest.raises(StorageError, match="cannot be written"):
        claim_folder(folder / "results.jsonl", SETTINGS)
