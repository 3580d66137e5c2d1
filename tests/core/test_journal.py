"""A journal keeps what was written, whatever a crash leaves of the last line."""

import os

import pytest
from pydantic import BaseModel

from sam3i_agent.core.errors import StorageError
from sam3i_agent.core.files import write_whole
from sam3i_agent.core.journal import Journal


class Step(BaseModel):
    number: int


@pytest.fixture
def journal(tmp_path):
    one = Journal(tmp_path / "steps.jsonl", Step)
    for number in range(3):
        one.append(Step(number=number))
    return one


def _numbers(journal):
    return [one.number for one in journal]


@pytest.mark.parametrize("cut", [1, 5, 13])
def test_half_a_last_line_is_passed_over_and_cut_off(journal, cut):
    data = journal.path.read_bytes()
    journal.path.write_bytes(data[:-cut])
    assert _numbers(journal) == [0, 1]
    journal.repair()
    journal.append(Step(number=7))
    assert _numbers(journal) == [0, 1, 7]


def test_a_line_is_on_the_disk_before_the_next_step(journal, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda file: (synced.append(os.fstat(file).st_size), real(file))
    )
    journal.append(Step(number=3))
    assert synced == [journal.path.stat().st_size]


def test_a_damaged_whole_line_is_named(journal):
    journal.path.write_text('{"number":0}\n{"number":"x"}\n')
    with pytest.raises(StorageError, match=r"line 2 of 'steps.jsonl' is damaged"):
        list(journal)


def test_lines_are_dropped_in_one_step_and_nothing_else_is_left(journal):
    journal.path.write_bytes(journal.path.read_bytes() + b'{"numb')
    journal.keep(lambda one: one.number != 1)
    assert _numbers(journal) == [0, 2]
    assert list(journal.path.parent.iterdir()) == [journal.path]


def test_what_is_not_there_is_empty_and_what_cannot_be_written_is_said(tmp_path):
    journal = Journal(tmp_path / "none" / "steps.jsonl", Step)
    journal.repair()
    journal.keep(lambda one: True)
    assert _numbers(journal) == []
    with pytest.raises(StorageError, match="cannot be written: No such file"):
        journal.append(Step(number=0))


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    write_whole(path, "old")

    def full(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
