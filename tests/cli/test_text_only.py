"""Models that cannot see, behind a real server, as a user types it: one question, no pictures."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sam3i_agent.benchmarks.simulated.scene_plans import parts_of
from sam3i_agent.cli.app import app
from sam3i_agent.data.scene_files import write_scenes
from tests.agent.scripted_server import question, say, serve

SCENE = Path(__file__).parent.parent.parent / "examples" / "scene.png"
READER, MUMBLER = "reader", "mumbler"


def _answer(body, number):
    """One model plans what words alone say; the other says nothing that can be used."""
    text = re.findall(r'Request: "(.*)"\nAnswer:', question(body))[-1]
    if body["model"] == MUMBLER:
        return say("Well, that depends.")
    parts = parts_of(text)
    helpers = {one.get("to") for one in parts}
    targets = [one["phrase"] for one in parts if one["phrase"] not in helpers]
    return say(json.dumps({"targets": targets, "plan": parts}))


@pytest.fixture(scope="module")
def server():
    with serve(_answer) as running:
        yield running


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return write_scenes(1, tmp_path_factory.mktemp("scenes") / "set", seed=990_002)


def _sam3i(*arguments: object) -> str:
    run = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert run.exit_code == 0, run.output
    return run.stdout


def test_segment_asks_it_once_and_shows_nothing(server, tmp_path):
    before = len(server.log)
    printed = _sam3i(
        "segment", SCENE, "the rightmost diamond", "--mllm-url", server.url, "--mllm-model", READER,
        "--mllm-text-only", "--json", "--out", tmp_path / "out",
    )  # fmt: skip
    result = json.loads(printed)
    assert result["route"] == "agent-plan" and result["count"] == 1
    assert result["usage"]["mllm_calls"] == 1 and result["usage"]["pictures"] == 0
    (body,) = server.log[before:]
    assert "image_url" not in json.dumps(body)


def test_compare_has_a_row_of_each_model(server, scenes, tmp_path):
    models = [word for name in (READER, MUMBLER) for word in ("--mllm", f"{server.url},{name}")]
    _sam3i(
        "compare", scenes, *models, "--mllm-text-only", "--routes", "direct,agent-plan,auto",
        "--levels", "simple", "--limit", 4, "--pictures", 0, "--out", tmp_path,
    )  # fmt: skip
    lines = (tmp_path / "predictions.jsonl").read_text().splitlines()
    answers = [json.loads(line) for line in lines]
    by_row = {
        row: [one for one in answers if one["route"] == row]
        for row in {x["route"] for x in answers}
    }
    assert {row: len(some) for row, some in by_row.items()} == {
        "direct": 4, "agent-plan@reader": 4, "agent-plan@mumbler": 4, "auto@reader": 4,
        "auto@mumbler": 4,
    }  # fmt: skip
    assert {one["answered_by"] for one in by_row["agent-plan@reader"]} == {"agent-plan"}
    # What says nothing leaves the head's answer, after one correction.
    direct = {one["case"]: one["masks"] for one in by_row["direct"]}
    for one in by_row["agent-plan@mumbler"]:
        assert one["answered_by"] == "direct" and one["masks"] == direct[one["case"]]
        assert one["usage"]["mllm_calls"] == 2
    report = (tmp_path / "report.html").read_text()
    assert "agent-plan@reader" in report and "agent-plan@mumbler" in report


def test_bench_language_measures_it_beside_the_simulated_one(server):
    models = [word for name in (READER, MUMBLER) for word in ("--mllm", f"{server.url},{name}")]
    printed = _sam3i(
        "bench", "language", "--scenes", 1, "--seed", 990_002, "--routes", "direct,agent-plan",
        "--errors-set", "none", *models, "--text-only", "--json",
    )  # fmt: skip
    direct, simulated, reader, mumbler = json.loads(printed)["rows"]
    assert [one["language"] for one in (simulated, reader, mumbler)] == ["", READER, MUMBLER]
    assert all(one["pictures"] == 0 for one in (simulated, reader, mumbler))
    assert [one["calls"] for one in (simulated, reader, mumbler)] == [1, 1, 2]
    # It reads as the simulated one does; what says nothing leaves the head.
    assert (reader["simple"], reader["complex"]) == (simulated["simple"], simulated["complex"])
    assert (mumbler["simple"], mumbler["complex"]) == (direct["simple"], direct["complex"])
