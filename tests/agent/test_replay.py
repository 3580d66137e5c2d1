"""Runs played back: the same result without a model, and an account of what was asked otherwise."""

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest
from PIL import Image

from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.agent.language.factory import language_factory, offline_planner
from sam3i_agent.agent.language.ledger import SqliteLedger
from sam3i_agent.agent.language.replay import Replay
from sam3i_agent.agent.recording.records import ExportedRun
from sam3i_agent.agent.recording.runs import RunStore
from sam3i_agent.agent.requests import make_request
from sam3i_agent.agent.run import answer_request
from sam3i_agent.core.contracts import RouteChoice, RunStatus
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.photo import read_photo
from tests.agent.scripted_server import asked, call, question, serve
from tests.conftest import KnowingSegmenter, block

LEFT, RIGHT = (block(10, 10, 30, 30), 0.9), (block(60, 10, 90, 40), 0.8)
TEXT = "what would keep the rain off?"


def _script(body, number):
    match asked(body):
        case "propose_phrases":
            return call(body, targets=["umbrella"], reason="it is dry below")
        case "judge_masks":
            verdicts = [{"number": 1, "verdict": "reject"}, {"number": 2, "verdict": "accept"}]
            return call(body, judgements=verdicts)
        case _:
            return call(body, masks=[2])


def _answer(segmenter, photo, request, language, recorded=None):
    result = asyncio.run(
        answer_request(segmenter, photo, request, language=language, recorded=recorded)
    )
    return result.model_copy(
        update={"run_id": None, "usage": result.usage.model_copy(update={"seconds": 0.0})}
    )


@pytest.fixture
def photo_path(tmp_path) -> Path:
    path = tmp_path / "grey.png"
    Image.new("RGB", (100, 100), (128, 128, 128)).save(path)
    return path


@pytest.fixture
def recorded(tmp_path, photo_path):
    """A run of three questions, and its result."""
    photo = read_photo(photo_path)
    request = make_request(photo, TEXT, route=RouteChoice.AGENT)
    with serve(_script) as server:
        url = server.url.replace("http://", "http://me:secret@")
        choice = LanguageChoice(url=url, model="m", temperature=0.5, extra={"api_key": "secret"})
        run = RunStore(tmp_path / "runs").create(photo_path, request, ModelChoice(), choice)
        segmenter = KnowingSegmenter({"umbrella": [LEFT, RIGHT]})
        result = _answer(segmenter, photo, request, language_factory(choice), run)
        assert len(server.log) == 3 and result.status is RunStatus.SELECTED
        assert [question(body) for body in server.log]
    return run, result


def _play(exported: ExportedRun, *found, request=None):
    replay = Replay(exported.language, exported.answers)
    segmenter = KnowingSegmenter({"umbrella": list(found or (LEFT, RIGHT))})
    result = _answer(segmenter, exported.photo(), request or exported.request, replay.language)
    return result, replay.notes


def test_a_run_played_back_ends_the_same_without_a_server(recorded, tmp_path):
    run, result = recorded
    file = tmp_path / "run.json"
    file.write_text(run.export().model_dump_json())
    exported = ExportedRun.read(file)
    assert exported == run.export()
    assert _play(exported) == (result, [])


def test_an_export_holds_questions_answers_and_no_secrets(recorded):
    run, _ = recorded
    exported = run.export()
    assert "secret" not in exported.model_dump_json()
    assert exported.language.temperature == 0.5
    labels = [one.question.label for one in exported.answers]
    assert labels == ["propose/1/0", "select/1/0", "verify/1/0"]
    judged = exported.answers[2].question
    assert judged.function == "judge_masks" and judged.messages[0]["role"] == "system"
    parts = judged.messages[1]["content"]
    assert TEXT in parts[0]["text"]
    urls = [part["image_url"]["url"] for part in parts[1:]]
    assert len(urls) == 3 and all(url.startswith("sha256:") for url in urls)


def test_other_masks_are_answered_in_their_place_and_told(recorded):
    run, result = recorded
    holed = block(60, 10, 90, 40)
    holed[20, 70] = False  # as another device might see it
    played, notes = _play(run.export(), LEFT, (holed, 0.8))
    assert played.status is result.status and [one.area for one in played.instances] == [899]
    assert notes == [
        f"{label}: asked about other masks; answered as recorded"
        for label in ("select/1/0", "verify/1/0")
    ]


def test_a_question_finds_its_own_answer_in_whatever_order_it_is_asked(recorded):
    exported = recorded[0].export()
    verdicts = [{"number": 1, "verdict": "accept"}, {"number": 2, "verdict": "reject"}]
    said = [{"targets": ["umbrella"]}, {"masks": [1]}, {"judgements": verdicts}]
    answers = [
        one.model_copy(update={"reply": {"role": "assistant", "content": json.dumps(text)}})
        for one, text in zip(exported.answers, said, strict=True)
    ]
    played, _ = _play(exported.model_copy(update={"answers": tuple(answers)}), RIGHT, LEFT)
    assert [one.area for one in played.instances] == [900]  # the first of those found now


def test_other_words_are_told(recorded):
    run, _ = recorded
    exported = run.export()
    request = exported.request.model_copy(update={"instruction": "what keeps the sun off?"})
    _, notes = _play(exported, request=request)
    assert notes == [
        f"{label}: asked in other words; answered as recorded"
        for label in ("propose/1/0", "select/1/0", "verify/1/0")
    ]


def test_a_question_without_an_answer_ends_the_run_and_is_told(recorded):
    run, _ = recorded
    exported = run.export()
    kept = [one for one in exported.answers if not one.question.label.startswith("select")]
    played, notes = _play(exported.model_copy(update={"answers": tuple(kept)}))
    assert played.status is RunStatus.FAILED
    assert notes == [
        "select/1/0: no recorded answer",
        "verify/1/0: recorded, and not asked",
    ]


def test_answers_that_nobody_asked_for_are_told(recorded):
    run, _ = recorded
    _, notes = _play(run.export(), LEFT)
    assert "verify/1/0: recorded, and not asked" in notes


def test_a_run_of_the_rules_is_played_back_by_the_rules(tmp_path, photo_path):
    photo = read_photo(photo_path)
    request = make_request(photo, "the leftmost umbrella", route=RouteChoice.AGENT)
    run = RunStore(tmp_path / "runs").create(photo_path, request, ModelChoice())
    segmenter = KnowingSegmenter({"umbrella": [LEFT, RIGHT]})
    result = _answer(segmenter, photo, request, offline_planner, run)
    assert _play(run.export()) == (result, [])


def test_a_run_without_its_photo_is_not_exported(recorded, photo_path):
    run, _ = recorded
    Image.new("RGB", (50, 50)).save(photo_path)
    with pytest.raises(InputError, match="not the photo"):
        run.export()
    photo_path.unlink()
    with pytest.raises(InputError, match="there is no image file"):
        run.export()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1}'])
def test_what_is_no_exported_run_is_refused(tmp_path, text):
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(InputError, match="no exported run"):
        ExportedRun.read(file)


def test_a_damaged_photo_of_an_export_is_refused(recorded):
    damaged = recorded[0].export().model_copy(update={"image_base64": "%%%"})
    with pytest.raises(InputError, match="photo of the exported run is damaged"):
        damaged.photo()


def test_a_ledger_of_an_earlier_version_still_opens(tmp_path):
    path = tmp_path / "calls.sqlite"
    with sqlite3.connect(path) as old:
        old.execute("CREATE TABLE finished (key TEXT PRIMARY KEY, reply TEXT, tokens INTEGER)")
        old.execute("INSERT INTO finished VALUES ('select/1/0:abc', '{\"content\": \"x\"}', 7)")
    old.close()
    ledger = SqliteLedger(path)
    assert json.loads(ledger.find("select/1/0:abc") or "") == {"content": "x"}
    ledger.finish("verify/1/0:abc", "{}", 1, '{"label": "verify/1/0"}')
    assert [one.question.label for one in ledger.answers()] == ["select/1/0", "verify/1/0"]
    assert ledger.tokens == 8
    ledger.close()
