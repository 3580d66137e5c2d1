"""Ways side by side on generated scenes: rows, their file, their tables and their picture."""

import json
from dataclasses import replace

import pytest
from PIL import Image

from sam3i_agent.agent.language.factory import offline_planner
from sam3i_agent.benchmarks.plots import plot_ways
from sam3i_agent.benchmarks.simulated.error_rates import ErrorRates
from sam3i_agent.benchmarks.simulated.language import measure_language
from sam3i_agent.benchmarks.simulated.questions import read_questions
from sam3i_agent.benchmarks.simulated.rows import markdown_of, table_of
from sam3i_agent.core.contracts import RouteChoice
from sam3i_agent.core.errors import InputError

SERIES = 990_002
RATES = {"none": ErrorRates(), "verify": ErrorRates.parse({"verify": 0.2})}


@pytest.fixture(scope="module")
def questions():
    by_kind = {(one.level, len(one.wanted) > 0): one for one in read_questions(2, SERIES)}
    return list(by_kind.values())


def test_each_model_is_a_row_beside_the_simulated_one(tiny, questions, tmp_path):
    assert len(questions) == 4
    routes = (RouteChoice.DIRECT, RouteChoice.AGENT)
    bench = measure_language(
        tiny, questions, SERIES, routes, RATES, prompts="v2", languages={"rules": offline_planner}
    )
    assert [(str(one.route), one.language, one.error_set) for one in bench.rows] == [
        ("direct", "", "none"), ("agent", "", "none"), ("agent", "", "verify"),
        ("agent", "rules", "none"),
    ]  # fmt: skip
    assert [one.calls > 0 for one in bench.rows] == [False, True, True, False]
    assert all(sum(one.endings.values()) == len(questions) for one in bench.rows)
    assert all(one.seconds > 0 for one in bench.rows)
    assert "agent rules " in table_of(bench)
    lines = markdown_of(bench).splitlines()
    assert len(lines) == 3 + len(bench.rows) and len({line.count("|") for line in lines}) == 1
    assert lines[-1].startswith("| verify | `agent` |")
    plot_ways(bench, tmp_path / "ways.png")
    with Image.open(tmp_path / "ways.png") as picture:
        assert picture.width > picture.height


def test_nothing_is_asked_of_the_segmenter_twice(tiny, questions, monkeypatch):
    asked, encode = [], tiny.encode

    def counting(photo):
        encoded = encode(photo)

        class Encoded:
            def segment(self, prompts):
                asked.extend((photo.sha256, one) for one in prompts)
                return encoded.segment(prompts)

        return Encoded()

    monkeypatch.setattr(tiny, "encode", counting)
    routes = (RouteChoice.DIRECT, RouteChoice.AGENT, RouteChoice.AUTO)
    measure_language(tiny, questions, SERIES, routes, RATES, prompts="v2")
    assert len(asked) == len(set(asked)) > len(questions)


def test_a_call_goes_on_from_the_rows_of_an_earlier_one(tiny, questions, tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    routes = (RouteChoice.DIRECT, RouteChoice.AGENT)

    def measure(routes, rates, some=questions):
        return measure_language(tiny, some, SERIES, routes, rates, prompts="v2", finished=path)

    first = measure(routes[1:], {"none": ErrorRates()})
    assert len(path.read_text().splitlines()) == 2
    both = measure(routes, RATES)
    assert both.rows[1] == first.rows[0] and len(path.read_text().splitlines()) == 4
    monkeypatch.setattr("sam3i_agent.benchmarks.simulated.language._measure", None)
    assert measure(routes, RATES) == both  # nothing is left to measure
    others = [replace(one, wanted=one.wanted[[]]) for one in questions]
    with pytest.raises(InputError, match="other weights, scenes or settings"):
        measure(routes, RATES, others)
    path.write_text(json.dumps({"rows": []}))
    with pytest.raises(InputError, match="no rows of this command"):
        measure(routes, RATES)


def test_a_model_that_does_not_see_is_asked_once_and_without_pictures(tiny, questions):
    routes = (RouteChoice.AGENT, RouteChoice.AGENT_PLAN)
    for row in measure_language(
        tiny, questions, SERIES, routes, RATES, prompts="v2", text_only=True
    ).rows:
        assert row.calls == 1 and row.pictures == 0
    with pytest.raises(InputError, match="does not see"):
        tools = (RouteChoice.AGENT_TOOLS,)
        measure_language(tiny, questions, SERIES, tools, RATES, prompts="v2", text_only=True)
