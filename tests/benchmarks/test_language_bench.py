"""Language models side by side on generated scenes, and the picture of it."""

from PIL import Image

from sam3i_agent.agent.language.factory import offline_planner
from sam3i_agent.agent.language.simulated import ErrorRates
from sam3i_agent.benchmarks.language import measure_language, read_questions, table_of
from sam3i_agent.benchmarks.plots import plot_ways
from sam3i_agent.core.contracts import RouteChoice


def test_each_model_is_a_row_beside_the_simulated_one(tiny, tmp_path):
    by_kind = {(one.level, len(one.wanted) > 0): one for one in read_questions(2, 990_002)}
    questions = list(by_kind.values())
    assert len(questions) == 4
    bench = measure_language(
        tiny,
        questions,
        990_002,
        (RouteChoice.DIRECT, RouteChoice.AGENT),
        [ErrorRates(), ErrorRates.parse({"verify": 0.2})],
        prompts="v2",
        languages={"rules": offline_planner},
    )
    assert [(str(one.route), one.language, bool(one.errors)) for one in bench.rows] == [
        ("direct", "", False), ("agent", "", False), ("agent", "", True), ("agent", "rules", False),
    ]  # fmt: skip
    assert [one.calls > 0 for one in bench.rows] == [False, True, True, False]
    assert all(sum(one.endings.values()) == len(questions) for one in bench.rows)
    assert "agent rules " in table_of(bench)
    plot_ways(bench, tmp_path / "ways.png")
    with Image.open(tmp_path / "ways.png") as picture:
        assert picture.width > picture.height
