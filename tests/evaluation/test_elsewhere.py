"""Predictions from elsewhere beside our routes, corrected p-values, and the breakdown by kind."""

import json
from dataclasses import replace

import numpy as np
import pytest

from sam3i_agent.core.contracts import RunStatus, Usage
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.rle import encode_mask
from sam3i_agent.data.records import Record
from sam3i_agent.evaluation.compare.cases import Case, Prediction
from sam3i_agent.evaluation.compare.elsewhere import parse_prediction_files, read_elsewhere
from sam3i_agent.evaluation.compare.significance import holm
from sam3i_agent.evaluation.compare.statistics import ALL_LEVELS, compare_answers
from tests.conftest import block

SIMPLE, COMPLEX = InstructionLevel.SIMPLE, InstructionLevel.COMPLEX
WHOLE, HALF, OTHER = block(0, 0, 20, 20), block(0, 0, 10, 20), block(50, 50, 60, 60)


def _case(id_, *masks, level=SIMPLE, kind="order", text=None):
    counts = tuple(encode_mask(one)["counts"] for one in masks)
    ids = tuple(100 * id_ + index for index in range(len(masks)))
    texts = {level: (text or f"text {id_}",)}
    record = Record(id_, f"{id_}.png", 100, 100, texts, counts, annotation_ids=ids)
    record = replace(record, kinds={level: kind})
    return Case(f"{id_}/{level}", record, level, texts[level][0])


def _said(case, route, *masks, score=0.9, usage=None):
    return Prediction(
        case=case.id,
        route=route,
        status=RunStatus.SELECTED if masks else RunStatus.NO_TARGET,
        answered_by=route,
        presence=1,
        scores=[score] * len(masks),
        masks=[encode_mask(one) for one in masks],
        usage=usage or Usage(),
        trace=[],
        warnings=[],
    )


CASES = [_case(1, WHOLE), _case(2, OTHER), _case(3, kind="absent")]


def _file(path, content):
    path.write_text(json.dumps(content) if not isinstance(content, str) else content)
    return path


def _coco(image_id, mask, score=0.9):
    return {"image_id": image_id, "segmentation": encode_mask(mask), "score": score}


def test_coco_results_answer_every_case_and_sam3i_entries_those_that_they_name(tmp_path, caplog):
    coco = _file(tmp_path / "c.json", [_coco(1, HALF)])
    found = read_elsewhere("official", coco, CASES)
    assert [(one.case, one.route, len(one.masks)) for one in found] == [
        ("1/simple", "official", 1), ("2/simple", "official", 0), ("3/simple", "official", 0)
    ]  # fmt: skip
    entry = {"annotation_id": 100, "image_id": 1, "prompt_type": "simple_query_0",
             "predictions": [{"rle": encode_mask(HALF), "score": 0.9}]}  # fmt: skip
    found = read_elsewhere("official", _file(tmp_path / "s.json", [entry]), CASES)
    assert [one.case for one in found] == ["1/simple"]
    assert "s.json does not answer 2 of 3 cases" in caplog.text


def test_lines_of_another_comparison_keep_what_they_cost(tmp_path):
    lines = [_said(CASES[0], "agent", WHOLE, usage=Usage(seconds=2)), _said(CASES[0], "direct")]
    path = _file(tmp_path / "a.jsonl", "".join(one.model_dump_json() + "\n" for one in lines))
    (found,) = read_elsewhere("agent", path, CASES)
    assert found.usage.seconds == 2
    with pytest.raises(InputError, match=r"several routes.*agent, direct"):
        read_elsewhere("before", path, CASES)
    alone = _file(tmp_path / "b.jsonl", lines[0].model_dump_json() + "\n")
    (found,) = read_elsewhere("before", alone, CASES)
    assert found.route == "before"


def test_a_file_must_say_which_level_it_answers_where_there_are_several(tmp_path):
    path = _file(tmp_path / "c.json", [_coco(1, HALF)])
    with pytest.raises(InputError, match="which of the simple and complex texts"):
        read_elsewhere("official", path, [*CASES, _case(4, WHOLE, level=COMPLEX)])
    with pytest.raises(InputError, match="answers no case"):
        read_elsewhere("official", _file(tmp_path / "e.jsonl", ""), CASES)


@pytest.mark.parametrize(
    "texts", [["x"], ["=f"], ["a b=f"], ["../a=f"], ["direct=f"], ["a=f", "a=g"], ["a="]]
)
def test_names_of_files_are_checked(texts):
    with pytest.raises(InputError):
        parse_prediction_files(texts)


def test_a_file_takes_part_in_the_paired_statistics():
    many = [_case(index, WHOLE) for index in range(1, 31)]
    ours = [_said(one, "direct", HALF) for one in many]
    theirs = [_said(one, "official", WHOLE) for one in many[:20]]
    comparison = compare_answers(many, [*ours, *theirs])
    ((level, one),) = comparison.differences
    assert (level, one.route, one.other, one.cases) == ("simple", "official", "direct", 20)
    assert one.giou.value == pytest.approx(50) and one.significant
    assert comparison.summary(SIMPLE, "official").costs == {}  # the file says nothing of it


def test_levels_are_summed_up_and_all_differences_corrected_together():
    cases = [_case(i, WHOLE, level=level) for i, level in enumerate([SIMPLE, COMPLEX] * 3, 1)]
    answers = [_said(one, route, WHOLE) for one in cases for route in ("direct", "agent")]
    comparison = compare_answers(cases, answers)
    assert [(one.level, one.cases) for one in comparison.overall] == [(ALL_LEVELS, 6)] * 2
    assert len(comparison.differences) == 2 and len(comparison.overall_differences) == 1
    assert list(comparison.by_level()) == ["simple", "complex", ALL_LEVELS]
    every = [one for _, one in comparison.differences] + comparison.overall_differences
    assert all(one.p == one.p_corrected == 1 for one in every)


def test_holms_correction_by_hand():
    # sorted: 0.01 * 3, 0.02 * 2, 0.04 * 1, each at least as large as the one before
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.6, 0.5]) == [1, 1] and holm([]) == []


def test_figures_by_hand():
    cases = [_case(1, WHOLE, text="a"), _case(2, WHOLE, text="a"), _case(3, OTHER, text="b")]
    answers = [_said(cases[0], "x", WHOLE), _said(cases[1], "x", HALF), _said(cases[2], "x")]
    metrics = compare_answers(cases, answers).summary(SIMPLE, "x").metrics
    assert metrics["gIoU"] == pytest.approx(100 * 1.5 / 3)
    assert metrics["gIoU by text"] == pytest.approx(100 * (0.75 + 0) / 2)
    assert metrics["P@0.50"] == pytest.approx(200 / 3) and metrics["P@0.60"] == pytest.approx(
        100 / 3
    )
    # two of three targets found at 0.5 with no false alarm: 67 of the 101 recall points
    assert metrics["AP50"] == pytest.approx(100 * 67 / 101)
    assert metrics["AR@100"] == pytest.approx(100 * (1 * 2 + 9 * 1) / 30)
    assert metrics["AP75"] == pytest.approx(100 * 34 / 101)


def test_a_comparison_of_absent_targets_alone_has_no_average_precision():
    metrics = compare_answers([CASES[2]], [_said(CASES[2], "x")]).summary(SIMPLE, "x").metrics
    assert "AP" not in metrics and metrics["right nothing"] == 100


def test_kinds_are_broken_down_over_all_levels():
    cases = [_case(1, WHOLE), _case(2, OTHER, level=COMPLEX), _case(3, kind="absent")]
    answers = [_said(cases[0], "x", WHOLE), _said(cases[1], "x"), _said(cases[2], "x")]
    found = compare_answers(cases, answers).kinds
    assert [(one.kind, one.cases, one.giou.value, one.precision) for one in found] == [
        ("absent", 1, 100, 100), ("order", 2, 50, 50)
    ]  # fmt: skip
    silent = [Case(c.id, replace(c.record, kinds={}), c.level, c.text) for c in cases]
    assert compare_answers(silent, answers).kinds == []
    assert np.isfinite(found[0].giou.low)
