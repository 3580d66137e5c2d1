"""Recorded runs: killed with -9 anywhere, they end the same and repeat no finished model call."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from sam3i_agent.agent.recording.runs import RunStore
from sam3i_agent.cli.app import app
from sam3i_agent.core.errors import InputError, StorageError
from sam3i_agent.core.model_choice import ModelChoice, Tiling
from tests.agent.scripted_server import Reply, asked, call, offered, question, serve

COMMAND = (sys.executable, "-m", "sam3i_agent.cli")
TEXT = "what could be a building block?"
SCENE = Path(__file__).parent.parent.parent / "examples" / "scene.png"


def _answer(body, number):
    match asked(body):
        case "segment_phrase":
            return call(body, _next_call(body), **_ARGUMENTS[_next_call(body)])
        case "propose_phrases":
            return call(body, targets=["square", "red square"])
        case "judge_mask":
            return call(body, verdict="accept", reason="round enough")
        case "judge_masks":
            count = question(body).count("found by")
            # What it doubts against the head is looked at more closely.
            decisions = ["accept", *["reject"] * (count - 1)]
            verdicts = [{"number": i, "verdict": one} for i, one in enumerate(decisions, 1)]
            return call(body, judgements=verdicts)
        case _:
            return call(body, masks=[1], reason="the first")


_ARGUMENTS = {
    "segment_phrase": {"reason": "blocks are square", "phrase": "square"},
    "examine_each_mask": {"reason": "they are small"},
    "select_masks_and_return": {"reason": "the first", "masks": [1]},
}


def _next_call(body):
    """What is called next in a conversation: look, look closer, choose."""
    for name in ("examine_each_mask", "select_masks_and_return"):
        if name in offered(body):
            return name
    return "segment_phrase"


def _segment(*arguments: str, runs: Path, wait: bool = True):
    environment = {**os.environ, "SAM3I_RUNS": str(runs)}
    process = subprocess.Popen(
        [*COMMAND, "segment", *arguments, "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if not wait:
        return process
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    return json.loads(out)


def _without_costs(result):
    """What must be equal: all but time, the run's name and image encodings of a new process."""
    kept = {key: value for key, value in result.items() if key not in ("run_id", "usage")}
    return kept, {
        key: result["usage"][key] for key in ("mllm_calls", "tokens", "prompts", "rounds")
    }


@pytest.fixture(scope="module", params=["graph", "tools"])
def agent(request):
    """Each agent: both go on after a kill."""
    return request.param


@pytest.fixture(scope="module")
def unbroken(agent, tmp_path_factory):
    """The result of a run that nobody kills, its requests, and where it is recorded."""
    runs = tmp_path_factory.mktemp("whole")
    with serve(_answer) as server:
        result = _segment(
            str(SCENE), TEXT, "--route", "agent", "--agent", agent, "--mllm-url", server.url,
            "--mllm-model", "m", "--mllm-temperature", "0.5", runs=runs,
        )  # fmt: skip
        assert result["status"] == "selected"
        return result, server.log, runs


def _kill_and_resume(runs, agent, dies_at):
    """Kill the process while the server holds back the answer to the call `dies_at`."""
    held = []

    def script(body, number):
        function = asked(body)
        function = _next_call(body) if function == "segment_phrase" else function
        if function == dies_at and not held:
            held.append(number)
            return Reply(_answer(body, number).message, delay_s=60)
        return _answer(body, number)

    with serve(script) as server:
        arguments = (
            str(SCENE), TEXT, "--route", "agent", "--agent", agent, "--concurrency", "1",
            "--mllm-url", server.url, "--mllm-model", "m",
        )  # fmt: skip
        process = _segment(*arguments, runs=runs, wait=False)
        deadline = time.monotonic() + 30
        while not held and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=20)
        process.stdout.close()
        process.stderr.close()
        (run,) = RunStore(runs).list()
        before = len(server.log)
        resumed = _segment("--resume", run.info.run_id, runs=runs)
        return resumed, server.log, before


STEPS = {
    "graph": ("propose_phrases", "select_masks", "judge_masks", "judge_mask"),
    "tools": ("segment_phrase", "examine_each_mask", "judge_mask", "select_masks_and_return"),
}


@pytest.mark.parametrize("step", range(4))
def test_a_killed_run_goes_on_and_repeats_no_finished_call(unbroken, agent, tmp_path, step):
    whole, requests, _ = unbroken
    resumed, log, before = _kill_and_resume(tmp_path, agent, STEPS[agent][step])
    kept, costs = _without_costs(resumed)
    wanted, wanted_costs = _without_costs(whole)
    assert kept == wanted
    # the one call that was under way when the process died is sent, and counted, again
    assert len(log) == costs["mllm_calls"] == len(requests) + 1
    assert before < len(log)
    assert costs["tokens"] == wanted_costs["tokens"]
    assert costs["prompts"] == wanted_costs["prompts"]
    first, again = ({json.dumps(one["messages"]) for one in some} for some in (requests, log))
    assert len(again) == len(first)  # a closer look may ask the same twice


def test_a_run_is_exported_and_played_back_without_its_server(unbroken, tmp_path, monkeypatch):
    whole, requests, runs = unbroken
    monkeypatch.setenv("SAM3I_RUNS", str(runs))
    monkeypatch.setenv("SAM3I_MLLM_API_KEY", "a-secret-key")
    file = tmp_path / "run.json"
    say = CliRunner().invoke(app, ["runs", "export", whole["run_id"], str(file)])
    assert say.output == f"{len(requests)} answers written to {file}\n"
    assert "a-secret-key" not in file.read_text()
    shown = CliRunner().invoke(app, ["runs", "show", whole["run_id"]]).output
    assert "language: m (prompts v2, temperature 0.5)" in shown
    for source in (str(file), whole["run_id"]):
        played = CliRunner().invoke(app, ["runs", "replay", source, "--json"])
        assert played.exit_code == 0 and played.stderr == ""
        assert _without_costs(json.loads(played.stdout)) == _without_costs(whole)
    exported = json.loads(file.read_text())
    cut = tmp_path / "cut.json"
    cut.write_text(json.dumps({**exported, "answers": exported["answers"][:-1]}))
    played = CliRunner().invoke(app, ["runs", "replay", str(cut)])
    missing = exported["answers"][-1]["question"]["label"]
    assert played.stderr == f"{missing}: no recorded answer\n"
    if whole["route"] == "agent":
        # the direct answer stands where the model's last word is missing
        assert played.exit_code == 0 and "by the direct route" in played.stdout
    for_people = CliRunner().invoke(app, ["runs", "replay", str(file), "--out", str(tmp_path)])
    assert f"written to {tmp_path}" in for_people.stdout
    assert (tmp_path / "result.json").is_file()


def test_runs_are_listed_and_shown(tmp_path):
    runs = tmp_path / "runs"
    environment = {**os.environ, "SAM3I_RUNS": str(runs)}
    result = _segment(str(SCENE), "the leftmost diamond", "--route", "agent", runs=runs)

    def say(*arguments):
        done = subprocess.run(
            [*COMMAND, "runs", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr

    assert result["run_id"] in say("list")[1]
    code, text = say("show", result["run_id"])
    assert code == 0
    assert all(line in text for line in result["trace"])
    pictures = [line.split(": ", 1)[1] for line in text.splitlines() if line.startswith("picture")]
    assert pictures
    for path in pictures:
        Image.open(path).verify()
    assert say("show", "20990101-none")[0] == 2


def test_a_run_that_cannot_be_recorded_still_answers(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert _segment(str(SCENE), "diamond", runs=blocked)["run_id"] is None


def test_unknown_and_damaged_runs_are_refused(tmp_path):
    store = RunStore(tmp_path)
    with pytest.raises(InputError, match="no run"):
        store.open("../etc")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "run.json").write_text("{}")
    with pytest.raises(StorageError, match="damaged"):
        store.open("x")


def test_a_run_of_the_first_format_is_shown_but_does_not_go_on(tmp_path):
    (tmp_path / "old").mkdir()
    record = {
        "run_id": "old", "started": "2026-11-01T00:00:00Z", "image": str(SCENE), "model": "tiny",
        "device": "cpu", "tiling": "off", "mllm_url": "http://x/v1", "mllm_model": "m",
        "request": {"image_sha256": "0", "instruction": "the star"},
    }  # fmt: skip
    (tmp_path / "old" / "run.json").write_text(json.dumps(record))
    store = RunStore(tmp_path)
    info = store.open("old").info
    assert info.language is not None and info.language.url == "http://x/v1"
    assert info.model == ModelChoice("tiny", "cpu", Tiling.OFF)
    with pytest.raises(StorageError, match="another version"):
        store.resume("old")
    refused = subprocess.run(
        [*COMMAND, "segment", "--resume", "old"],
        env={**os.environ, "SAM3I_RUNS": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert refused.returncode == 1 and "start it again" in refused.stderr
