"""The table of what answers cost."""

from pathlib import Path

import pytest

from sam3i_agent.benchmarks.answers import AnswerCost, AnswerCosts, cost_table, read_costs
from sam3i_agent.core.errors import InputError


def _costs(tokens: int, *names: str) -> AnswerCosts:
    figures = {name: tokens for name in AnswerCost.model_fields if name != "name"}
    return AnswerCosts(
        tool_list_tokens=tokens, answers=[AnswerCost(name=name, **figures) for name in names]
    )


def test_each_figure_stands_after_the_one_before_it():
    table = cost_table(_costs(20, "one", "new"), _costs(1_000, "one", "gone"))
    assert table.startswith("Tool list: 1000 → 20 tokens\n")
    assert "| one | 1,000 → 20 |" in table and "| new | 20 |" in table and "gone" not in table


def test_a_file_of_something_else_is_refused(tmp_path: Path):
    path = tmp_path / "costs.json"
    path.write_text(_costs(5, "one").model_dump_json())
    assert read_costs(path) == _costs(5, "one")
    path.write_text('{"tool_list_tokens": 5}')
    with pytest.raises(InputError, match="holds no costs"):
        read_costs(path)
