"""A path that became slower is caught by the guard; how fast it is is not tested."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor
from typer.testing import CliRunner

from sam3i_agent.benchmarks.speed import guard
from sam3i_agent.benchmarks.speed.guard import Expected, Guard, Verdict, read_expected, table_of
from sam3i_agent.benchmarks.speed.peers import CASES
from sam3i_agent.cli.app import app
from sam3i_agent.core.errors import InputError
from sam3i_agent.segmodel.checkpoints.loading import load_segmenter
from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter

_NAME = "one phrase, to stock with features kept"


def test_a_slowed_path_is_a_regression(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tiny = load_segmenter("tiny", device="cpu")
    monkeypatch.setattr(guard, "small_segmenter", lambda: tiny)
    monkeypatch.setattr(guard, "CASES", {"one": CASES["one"]})
    nothing, written = tmp_path / "nothing.json", tmp_path / "expected.json"
    nothing.write_text("{}")
    command = ["bench", "guard", "--only", "peers", "--expected"]
    first = CliRunner().invoke(app, [*command, str(nothing), "--update", str(written)])
    assert first.exit_code == 0 and "not written down" in first.output, first.output
    expected = json.loads(written.read_text())
    assert set(expected) == {_NAME, "one phrase, to stock anew"}
    for one in expected.values():
        one["tolerance"] = 2.0
    written.write_text(json.dumps(expected))

    encode = tiny.encode_texts

    def slowly(_: Sam3Segmenter, *given: Any) -> Tensor:
        end = time.process_time() + 0.5
        while time.process_time() < end:
            pass
        return encode(*given)

    monkeypatch.setattr(Sam3Segmenter, "encode_texts", slowly)
    second = CliRunner().invoke(app, [*command, str(written)])
    assert second.exit_code == 1, second.output
    assert f"| {_NAME} |" in second.output and "**slower**" in second.output
    assert "2 of 2 ratios are above their limit" in second.output


def test_ratios_up_to_their_limit_are_no_regression():
    kept = Expected(value=0.5, tolerance=0.2)
    outcome = Guard(
        verdicts=[
            Verdict(name="at the limit", ratio=0.6, expected=kept),
            Verdict(name="faster", ratio=0.1, expected=kept),
            Verdict(name="above", ratio=0.61, expected=kept),
            Verdict(name="new", ratio=9.0, expected=None),
        ]
    )
    assert outcome.regressions == ["above"]
    assert table_of(outcome).splitlines()[2:6] == [
        "| at the limit | 0.60 | 0.50 | 0.60 | ok |",
        "| faster | 0.10 | 0.50 | 0.60 | ok |",
        "| above | 0.61 | 0.50 | 0.60 | **slower** |",
        "| new | 9.00 | – | – | not written down |",
    ]


def test_the_repositorys_ratios_can_be_read_and_others_are_refused(tmp_path: Path):
    known = read_expected()
    assert {f"{one.name}, to stock with features kept" for one in CASES.values()} < set(known)
    assert all(one.value > 0 and one.tolerance > 0 for one in known.values())
    broken = tmp_path / "expected.json"
    broken.write_text('{"one": 0.5}')
    with pytest.raises(InputError, match="holds no expected ratios"):
        read_expected(broken)
