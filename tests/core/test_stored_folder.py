"""A folder of results in a store, and on another machine again."""

from pathlib import Path

import pytest

from sam3i_agent.core.errors import StorageError
from sam3i_agent.core.storage.blobs import Blobs
from sam3i_agent.core.storage.folders import StoredFolder

NAMES = ["results.jsonl", "overlays/a b.jpg", "overlays/.ä_%/-1.png", "deep/__/x_20.png"]


def test_another_machine_finds_each_file_whatever_its_name(tmp_path: Path):
    here, there = tmp_path / "here" / "job 1", tmp_path / "there" / "job 1"
    for name in NAMES:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(name)
    blobs = Blobs(str(tmp_path / "store"))
    StoredFolder(blobs, here).push()
    assert StoredFolder(blobs, there).pull() == len(NAMES)
    found = {path.relative_to(there).as_posix() for path in there.rglob("*") if path.is_file()}
    assert found == set(NAMES) and all((there / name).read_text() == name for name in NAMES)


def test_what_has_changed_is_sent_and_what_is_here_stays(tmp_path: Path):
    here, blobs = tmp_path / "job", Blobs(str(tmp_path / "store"))
    here.mkdir()
    (here / "a").write_text("first")
    stored = StoredFolder(blobs, here)
    stored.push()
    blobs.delete(one.key for one in blobs.list())
    (here / "b").write_text("new")
    stored.push()
    assert [one.key for one in blobs.list()] == ["jobs/job/b"]  # the other has not changed
    (here / "a").write_text("second")
    stored.push()
    assert blobs.get("jobs/job/a") == b"second"
    (here / "a").write_text("mine")
    assert StoredFolder(blobs, here).pull() == 0
    assert (here / "a").read_text() == "mine"


def test_nothing_is_written_outside_of_the_folder(tmp_path: Path):
    blobs = Blobs(str(tmp_path / "store"))
    blobs.put("jobs/job/_2e_2e/evil", b"x")
    with pytest.raises(StorageError, match="no result"):
        StoredFolder(blobs, tmp_path / "job").pull()
    assert not (tmp_path / "evil").exists()
