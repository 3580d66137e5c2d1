"""Runs in a store: another machine shows them, and goes on with those that were killed."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from sam3i_agent.agent.candidates import Candidate
from sam3i_agent.agent.recording.runs import RunStore
from sam3i_agent.agent.requests import make_request
from sam3i_agent.benchmarks.serving.process import free_port
from sam3i_agent.core.errors import InputError, TryAgainError
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.photo import read_photo
from tests.agent.postgres import postgres
from tests.agent.scripted_server import Reply, asked, call, serve
from tests.conftest import block

SCENE = Path(__file__).parent.parent.parent / "examples" / "scene.png"
TEXT = "what could be a building block?"


def test_another_machine_finds_all_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SAM3I_STORE", str(tmp_path / "store"))
    photo = Path(shutil.copy(SCENE, tmp_path / "mine.png"))
    request = make_request(read_photo(photo), "the red square")
    run = RunStore(tmp_path / "here").create(photo, request, ModelChoice())
    ledger = run.ledger()
    ledger.begin(0)
    ledger.finish("ask:1", '{"content": "yes"}', 7, '{"label": "ask"}')
    ledger.close()
    mask = Masks.encode([block(1, 2, 30, 40)], (100, 100))
    run.save_candidates([Candidate("star", mask, (1.0, 2.0, 30.0, 40.0), 0.5)])
    run.save_picture("round 1".replace(" ", "-"), Image.new("RGB", (4, 4)))
    (run.result_folder / "masks").mkdir(parents=True)
    (run.result_folder / "masks" / "1.png").write_bytes(b"mask")
    (run.result_folder / "result.json").write_text("{}")
    run.finish()
    shutil.rmtree(tmp_path / "here")
    photo.unlink()

    there = RunStore(tmp_path / "there")
    assert [one.info.run_id for one in there.list()] == [run.info.run_id]
    found = there.resume(run.info.run_id)
    assert found.info.request == request
    assert read_photo(Path(found.info.image)).sha256 == request.image_sha256
    (candidate,) = found.load_candidates()
    assert candidate.key == "star" and candidate.counts == mask.counts[0]
    assert [path.name for path in found.pictures] == ["round-1.png"]
    assert (found.result_folder / "result.json").read_text() == "{}"
    assert (found.result_folder / "masks" / "1.png").read_bytes() == b"mask"
    again = found.ledger()
    assert (again.find("ask:1"), again.calls, again.tokens) == ('{"content": "yes"}', 1, 7)
    again.close()
    for wrong in ("../x", "nothing", "20990101-000000-abcdef"):
        with pytest.raises(InputError, match="no run"):
            there.open(wrong)


def test_a_database_that_is_away_makes_a_run_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("langgraph.checkpoint.postgres", reason="needs the extra postgres")
    monkeypatch.setenv("SAM3I_CHECKPOINTS", f"postgresql://x@127.0.0.1:{free_port()}/x")
    run = RunStore(tmp_path).create(SCENE, make_request(read_photo(SCENE), "x"), ModelChoice())

    async def open_checkpoints() -> None:
        async with run.checkpointer():
            pass

    with pytest.raises(TryAgainError, match=f"run {run.info.run_id} goes on"):
        asyncio.run(open_checkpoints())


def _answer(body, number):
    match asked(body):
        case "propose_phrases":
            return call(body, targets=["square", "red square"])
        case "judge_mask":
            return call(body, verdict="accept", reason="round enough")
        case "judge_masks":
            return call(body, judgements=[{"number": 1, "verdict": "accept"}])
        case _:
            return call(body, masks=[1], reason="the first")


def _segment(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "sam3i_agent.cli", "segment", *arguments, "--json"]
    return subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _result_of(process: "subprocess.Popen[str]"):
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    return json.loads(out)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("dies_at", ["select_masks", "judge_masks"])
def test_another_machine_goes_on_with_a_killed_run_by_postgres(tmp_path: Path, dies_at: str):
    pytest.importorskip("langgraph.checkpoint.postgres", reason="needs the extra postgres")
    held: list[int] = []

    def script(body, number):
        if asked(body) == dies_at and not held:
            held.append(number)
            return Reply(_answer(body, number).message, delay_s=60)
        return _answer(body, number)

    with postgres() as url, serve(script) as server:
        shared = {"SAM3I_STORE": str(tmp_path / "store"), "SAM3I_CHECKPOINTS": url}
        photo = Path(shutil.copy(SCENE, tmp_path / "mine.png"))
        arguments = (str(photo), TEXT, "--route", "agent", "--concurrency", "1",
                     "--mllm-url", server.url, "--mllm-model", "m")  # fmt: skip
        here = _segment(*arguments, **shared, SAM3I_RUNS=str(tmp_path / "here"))
        deadline = time.monotonic() + 90
        while not held and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        here.send_signal(signal.SIGKILL)
        here.communicate()
        (run_id,) = [path.name for path in (tmp_path / "here").iterdir()]
        shutil.rmtree(tmp_path / "here")
        photo.unlink()
        asked_before = len(server.log)
        assert held and asked_before > 1
        there = {**shared, "SAM3I_RUNS": str(tmp_path / "there")}
        resumed = _result_of(_segment("--resume", run_id, **there))
        questions = [json.dumps(body["messages"]) for body in server.log]
        # only the call that was under way is sent twice
        assert len(questions) == len(set(questions)) + 1
        photo = Path(shutil.copy(SCENE, tmp_path / "mine.png"))
        whole = _result_of(_segment(*arguments, SAM3I_RUNS=str(tmp_path / "whole")))
    assert resumed["status"] == whole["status"] == "selected"
    assert resumed["instances"] == whole["instances"] and resumed["trace"] == whole["trace"]
