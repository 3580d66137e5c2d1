"""What stands in a report: best values, provenance, curves, small masks, and a size that holds."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from sam3i_agent.agent.language.choice import LanguageChoice, PromptsVersion
from sam3i_agent.core.contracts import RunStatus, Usage
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.rle import encode_mask
from sam3i_agent.data.records import Record
from sam3i_agent.evaluation.compare.cases import Case, Prediction
from sam3i_agent.evaluation.compare.curves import calibration, calibration_error, curves
from sam3i_agent.evaluation.compare.pictures import Photos, example, run_lengths
from sam3i_agent.evaluation.compare.provenance import language_settings, provenance
from sam3i_agent.evaluation.compare.report import reading, write_report
from sam3i_agent.evaluation.compare.scoring import score_answers
from sam3i_agent.evaluation.compare.statistics import best_ways, compare_answers
from tests.conftest import block

SIMPLE = InstructionLevel.SIMPLE
WHOLE, HALF = block(0, 0, 20, 20), block(0, 0, 10, 20)
SETTINGS = {"dataset": "x", "model": "y", "language": "z"}


def _case(id_, *masks, file_name="a.png", text="the one"):
    counts = tuple(encode_mask(one)["counts"] for one in masks)
    ids = tuple(range(100 * id_, 100 * id_ + len(masks)))
    record = Record(id_, file_name, 100, 100, {SIMPLE: (text,)}, counts, annotation_ids=ids)
    return Case(f"{id_}/simple", replace(record, kinds={SIMPLE: "size"}), SIMPLE, text)


def _said(case, route, *masks, presence=1.0, scores=None):
    return Prediction(
        case=case.id, route=route, status=RunStatus.SELECTED, answered_by=route, presence=presence,
        scores=scores or [0.9] * len(masks), masks=[encode_mask(one) for one in masks],
        usage=Usage(seconds=1), trace=[], warnings=[],
    )  # fmt: skip


@pytest.fixture
def images(tmp_path):
    Image.new("RGB", (100, 100), (9, 9, 9)).save(tmp_path / "a.png")
    return tmp_path


def _page(images, cases, predictions, **options):
    comparison = compare_answers(cases, predictions)
    return write_report(comparison, SETTINGS, images, images, **options).read_text("utf-8")


def _data(page):
    text = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert text is not None
    return json.loads(text[1])


def test_best_values_are_marked_among_routes_that_answered_the_same(images):
    cases = [_case(1, WHOLE), _case(2, WHOLE)]
    answers = [_said(one, "direct", HALF) for one in cases]
    answers += [_said(one, "agent", WHOLE) for one in cases]
    answers += [_said(cases[0], "official", WHOLE)]
    page = _page(images, cases, answers)
    row = re.search(r">gIoU</span>.*?</tr>", page, re.DOTALL)
    assert row is not None
    assert re.findall(r'class="number( best)?">([\d.]+)', row[0]) == [
        ("", "50.0"), (" best", "100.0"), ("", "100.0")
    ]  # fmt: skip


def test_no_text_can_end_the_element_that_the_data_stand_in(images):
    evil = "</script><script>alert(1)</script>"
    case = _case(1, WHOLE, text=evil)
    page = _page(images, [case], [_said(case, "direct")])
    assert evil not in page and page.count("</script>") == 2
    assert _data(page)["cases"][0][3] == evil


def test_masks_travel_as_runs_at_the_size_of_the_picture(tmp_path):
    Image.new("RGB", (200, 100)).save(tmp_path / "a.png")
    mask = np.zeros((100, 200), bool)
    mask[:, :50] = True
    assert run_lengths(mask[:2]) == [0, 50, 150, 50, 150] and run_lengths(~mask[:1]) == [50, 150]
    Image.new("RGB", (1280, 100)).save(tmp_path / "wide.png")
    wide = np.zeros((100, 1280), bool)
    wide[:, 640:] = True
    record = Record(1, "wide.png", 100, 1280, {SIMPLE: ("x",)}, (encode_mask(wide)["counts"],))
    case = Case("1/simple", replace(record, annotation_ids=(1,)), SIMPLE, "x")
    prediction = _said(case, "direct", wide, ~wide, scores=[0.9, 0.4])
    shown = example(score_answers([case], [prediction]), Photos(tmp_path))
    assert shown["size"] == (640, 50)
    truth, direct = shown["layers"]
    assert truth["runs"] == direct["runs"] == [[320] * 100]  # no mask below the least score


def test_a_photo_is_in_the_page_once_and_pictures_are_by_choice(images):
    cases = [_case(1, WHOLE), _case(2, WHOLE)]
    answers = [_said(one, "direct") for one in cases]
    page = _page(images, cases, answers)
    assert page.count("data:image/jpeg") == 1 and page.count("<section") == 2
    page = _page(images, cases, answers, pictures=0)
    assert "data:image/jpeg" not in page and "<section" not in page


def test_ten_thousand_cases_stay_under_ten_megabytes(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(24):  # noise is the worst that a JPEG can meet
        noise = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number:012d}.jpg", quality=60)
    words = "the second smallest thing on the left that is not next to anything else"
    counts = encode_mask(np.zeros((480, 640), bool))["counts"]

    def size(count):
        cases = []
        for id_ in range(10_000, 10_000 + count):
            name = f"{id_ % 24:012d}.jpg"
            record = Record(id_, name, 480, 640, {SIMPLE: (words,)}, (counts,))
            record = replace(record, annotation_ids=(id_,))
            cases.append(Case(f"{id_}/simple", record, SIMPLE, words))
        answers = [_said(one, route) for one in cases for route in ("direct", "agent", "auto")]
        return len(_page(tmp_path, cases, answers).encode())

    few, more = size(50), size(250)
    assert few + (more - few) / 200 * 10_000 < 10_000_000


def test_presence_is_calibrated_by_tenths():
    cases = [_case(1, WHOLE), _case(2), _case(3, WHOLE)]
    said = [(cases[0], 0.92), (cases[1], 0.98), (cases[2], 0.15)]
    scored = score_answers(cases, [_said(one, "x", presence=p) for one, p in said])
    assert calibration(scored) == [(0.15, 100), (pytest.approx(0.95), 50)]
    # Each tenth by its share of the answers: |0.15 - 1| and |0.95 - 0.5|.
    rare, common = (sum(one.prediction.presence < 0.5 for one in scored), len(scored))
    expected = (85 * rare + 45 * (common - rare)) / common
    assert calibration_error(scored) == pytest.approx(expected)


def test_a_higher_threshold_of_the_score_loses_what_is_below_it():
    case = _case(1, WHOLE)
    comparison = compare_answers([case], [_said(case, "x", WHOLE, scores=[0.72])])
    (line,) = curves(comparison)[0].lines
    heights = [y for _, y in line.points]
    assert heights[:5] == [heights[0]] * 5 and heights[5:] == [230.0] * 5  # from 0.75 on


def test_the_reading_names_what_is_significant_and_sums_up_the_rest():
    cases = [_case(id_, WHOLE, file_name=f"{id_}.png") for id_ in range(1, 31)]
    answers = [_said(one, route, HALF) for one in cases for route in ("a", "b")]
    answers += [_said(one, "c", WHOLE) for one in cases]
    assert reading(compare_answers(cases, answers)) == [
        "On simple texts c beats a by 50.0 points of gIoU, c beats b by 50.0 points of gIoU, "
        "no other difference is significant."
    ]


def test_provenance_names_all_that_the_numbers_rest_on(tmp_path):
    dataset, file = tmp_path / "annotations.json", tmp_path / "p.json"
    dataset.write_text("{}")
    file.write_text("[]")
    said = provenance(dataset, ModelChoice("tiny", "cpu"), {"name": "planner"}, {"official": file})
    assert said["dataset"].startswith("annotations.json, sha256 44136fa355b3678a")  # of "{}"
    assert re.match(r"tiny(, sha256 [0-9a-f]{16}){2}$", said["model"])
    assert said["predictions official"].startswith("p.json, sha256 ")
    assert said["device"] == "cpu" and said["language: name"] == "planner"
    assert {"version", "date", "dtype", "prompts", "thresholds", "intervals"} <= said.keys()


def test_settings_of_the_language_model_are_told_without_its_secrets():
    choice = LanguageChoice(url="http://me:word@host/v1?key=1", model="m", temperature=0.5)
    told = language_settings(choice)
    assert told["model"] == "m" and told["temperature"] == "0.5" and told["prompts"]
    assert "word" not in told["url"] and "key" not in told["url"]
    assert language_settings(None) == {}


def _cost(case, route, calls, seconds, *masks):
    usage = Usage(mllm_calls=calls, seconds=seconds, tokens=10 * calls, pictures=3 * calls)
    return _said(case, route, *masks).model_copy(update={"usage": usage})


def test_what_a_way_costs_stands_beside_what_it_is_worth(images):
    case = _case(1, WHOLE)
    answers = [_cost(case, "direct", 0, 0.1, HALF), _cost(case, "agent-tools", 4, 2, WHOLE)]
    page = _page(images, [case], answers)
    ways = page[page.index('class="ways"') :].partition("</table>")[0]
    for name in ("gIoU, simple", "questions", "tokens", "pictures", "seconds"):
        assert f"<th>{name}</th>" in ways
    rows = {
        row.partition("</span>")[0]: re.findall(r'<td class="number[^>]*>([^<]*)', row)
        for row in ways.split('<span class="name">')[1:]
    }
    assert rows["direct"] == ["50.0", "0.00", "0", "0.00", "0.1"]
    assert rows["agent-tools"] == ["100.0", "4.00", "40", "12.00", "2"]
    table = (images / "report.md").read_text().splitlines()
    assert table[-1].endswith("| 4.00 | 40 | 12.00 | 2.000 |")


@pytest.mark.parametrize(
    ("answers", "route", "cheaper"),
    [
        ((("direct", 0, 1, HALF), ("agent", 3, 1, WHOLE)), "agent", ""),
        ((("direct", 0, 1, WHOLE), ("agent", 3, 1, WHOLE)), "direct", ""),
        ((("agent", 3, 1, WHOLE), ("direct", 0, 1, WHOLE)), "agent", "direct"),
        ((("agent", 3, 2, WHOLE), ("agent-plan", 3, 1, WHOLE)), "agent", "agent-plan"),
    ],
)
def test_the_best_way_of_a_kind_and_a_cheaper_one_as_good(images, answers, route, cheaper):
    case = _case(1, WHOLE)
    said = [_cost(case, name, calls, seconds, mask) for name, calls, seconds, mask in answers]
    (way,) = best_ways(compare_answers([case], said).kinds)
    assert (way.kind, way.route, way.cheaper, way.cases) == ("size", route, cheaper, 1)
    assert (f"or cheaper: {cheaper}" in _page(images, [case], said)) is bool(cheaper)


def test_a_way_that_answered_fewer_cases_is_not_the_best(images):
    cases = [_case(1, WHOLE), _case(2, WHOLE)]
    said = [_cost(case, "direct", 0, 1, HALF) for case in cases]
    (way,) = best_ways(compare_answers(cases, [*said, _cost(cases[0], "agent", 1, 1, WHOLE)]).kinds)
    assert way.route == "direct" and way.cases == 2


def test_the_settings_of_several_language_models_say_whose_they_are(tmp_path):
    dataset = tmp_path / "d.json"
    dataset.write_text("{}")
    choices = {
        name: LanguageChoice(url="http://h/v1", model=name, prompts=PromptsVersion(version))
        for name, version in (("one", "v1"), ("two", "v2"))
    }
    settings = {
        k: v for name, one in choices.items() for k, v in language_settings(one, name).items()
    }
    said = provenance(dataset, ModelChoice("tiny", "cpu"), {"name": "both", **settings}, {})
    assert said["language: one model"] == "one" and said["language: two model"] == "two"
    assert said["prompts"] == "v1, v2"
