"""Prediction files of every form: read alike, turned into one another, scored the same."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from sam3i_agent.cli.app import app
from sam3i_agent.core.contracts import PictureAnswer, PictureText
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.journal import Journal
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.results import empty_result, instance_of, with_instances
from sam3i_agent.core.rle import as_rle, encode_mask
from sam3i_agent.data.formats.sam3i import sam3i_content
from sam3i_agent.data.records import Record
from sam3i_agent.evaluation.forms.answers import Answer, FoundMask, Selection
from sam3i_agent.evaluation.forms.files import read_answers, write_answers
from sam3i_agent.evaluation.forms.form import PredictionForm
from sam3i_agent.evaluation.metrics.evaluators import evaluate
from sam3i_agent.evaluation.metrics.protocol import EvaluationProtocol
from sam3i_agent.evaluation.metrics.truth import read_ground_truth
from tests.conftest import block

SIZE = (100, 100)
SIMPLE, COMPLEX = InstructionLevel.SIMPLE, InstructionLevel.COMPLEX
WHOLE, HALF, OTHER = block(0, 0, 20, 20), block(0, 0, 10, 20), block(50, 50, 60, 60)


def _counts(mask):
    return encode_mask(mask)["counts"]


def _record(id_, *masks, levels=(SIMPLE,)):
    texts = {level: (f"{level} text {id_}", f"another {id_}") for level in levels}
    return Record(id_, f"{id_}.png", *SIZE, texts, tuple(map(_counts, masks)))


@pytest.fixture
def truth(tmp_path):
    """One target, two targets, an absent one, and one that nobody is asked about."""
    records = [_record(7, WHOLE), _record(8, HALF, OTHER), _record(9), _record(10, OTHER)]
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(sam3i_content(records)))
    return path


def _mask(mask, score=0.9):
    return FoundMask(as_rle(SIZE, _counts(mask)), score)


ANSWERS = [
    Answer(7, (_mask(HALF, 0.8), _mask(OTHER, 0.6)), level=SIMPLE),
    Answer(8, (), level=SIMPLE),
    Answer(9, (_mask(OTHER),), level=SIMPLE),
]


def _entry(annotation_id, image_id, *masks, **fields):
    found = [{"rle": encode_mask(mask), "score": 0.9} for mask in masks]
    return {"annotation_id": annotation_id, "image_id": image_id, "file_name": "x", "prompt": "x",
            "prompt_type": "simple_query_0", "predictions": found, **fields}  # fmt: skip


def _written(path, entries):
    path.write_text(json.dumps(entries))
    return path


@pytest.mark.parametrize("protocol", EvaluationProtocol)
def test_answers_score_the_same_in_every_form(truth, tmp_path, protocol):
    wanted = read_ground_truth(truth)
    reports = []
    for form in PredictionForm:
        suffix = "jsonl" if form is PredictionForm.JSONL else "json"
        out = tmp_path / f"{form}.{suffix}"
        write_answers(ANSWERS, wanted, form, out)
        assert read_answers(out, wanted).form is form
        reports.append(evaluate(protocol, [truth], out))
    assert reports[0] == reports[1] == reports[2]
    if protocol is EvaluationProtocol.SAM3I_1TO1:
        # 7 is half right with one mask too many, both targets of 8 were missed, 10 was not asked
        assert reports[0]["records"] == 3
        assert reports[0]["gIoU"] == pytest.approx(100 * (200 / 500) / 3)


def test_there_and_back_is_equal(truth, tmp_path):
    wanted = read_ground_truth(truth)
    first = tmp_path / "a.json"
    write_answers(ANSWERS, wanted, PredictionForm.SAM3I, first)
    for form, name in ((PredictionForm.JSONL, "b.jsonl"), (PredictionForm.COCO, "b.json")):
        between, last = tmp_path / name, tmp_path / "c.json"
        write_answers(read_answers(first, wanted).answers, wanted, form, between)
        back = read_answers(between, wanted).answers
        write_answers(back, wanted, PredictionForm.SAM3I, last)
        assert json.loads(last.read_text()) == json.loads(first.read_text())


def test_an_answer_about_an_image_is_written_for_each_of_its_annotations(truth, tmp_path):
    write_answers(ANSWERS, read_ground_truth(truth), PredictionForm.SAM3I, tmp_path / "a.json")
    entries = json.loads((tmp_path / "a.json").read_text())
    said = [(one["annotation_id"], one["image_id"], len(one["predictions"])) for one in entries]
    assert said == [(1, 7, 2), (2, 8, 0), (3, 8, 0), (-1, 9, 1)]
    assert entries[0]["prompt"] == "simple text 7" and entries[0]["file_name"] == "7.png"
    assert {one["prompt_type"] for one in entries} == {"simple_query_0"}


def test_sam3i_entries_are_scored_by_its_rules(truth, tmp_path):
    found = _written(
        tmp_path / "p.json",
        [_entry(1, 7, HALF, WHOLE & ~HALF), _entry(2, 8, HALF), _entry(3, 8)],
    )
    single = evaluate(EvaluationProtocol.SAM3I_1TO1, [truth], found)
    assert single["records"] == 3 and single["gIoU"] == pytest.approx(100 * 2 / 3)
    assert single["mIoU"] == pytest.approx(100 * 600 / 700)
    several = evaluate(EvaluationProtocol.SAM3I_MULTI, [truth], found)
    # image 8: half of the union's 300 pixels by one entry, none by the other; 9 and 10 are 0
    assert several["gIoU"] == pytest.approx(100 * (1 + (200 / 300 + 0) / 2) / 4)
    assert several["P@0.50"] == pytest.approx(100 * (1 + 0.5) / 4)


def test_ap_lets_each_answer_find_any_annotation_of_its_image(truth, tmp_path):
    swapped = _written(tmp_path / "p.json", [_entry(2, 8, OTHER), _entry(3, 8, HALF)])
    report = evaluate(EvaluationProtocol.SAM3I_1TO1, [truth], swapped)
    assert report["gIoU"] == 0 and report["AP50"] == pytest.approx(100)


def test_further_texts_and_unnumbered_concepts_are_told_apart(truth, tmp_path):
    entries = [
        _entry(1, 7, HALF, prompt_type="concept"),
        _entry(1, 7, prompt_type="concept"),
        _entry(1, 7, WHOLE, prompt_type="complex_query_1", prompt={"complex_query": ["x", "x"]}),
        _entry(1, 7, prompt_type="simple_query_0", predictions=None),
    ]
    path, wanted = _written(tmp_path / "p.json", entries), read_ground_truth(truth)
    answers = read_answers(path, wanted).answers
    assert [(one.level, one.number, len(one.masks)) for one in answers] == [
        ("concept", 0, 1), ("concept", 1, 0), ("complex", 1, 1), ("simple", 0, 0)
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"answer several texts of an image.*--level"):
        evaluate(EvaluationProtocol.REASONSEG, [truth], path)
    chosen = evaluate(
        EvaluationProtocol.REASONSEG, [truth], path, selection=Selection(level=COMPLEX)
    )
    assert chosen["gIoU"] == pytest.approx(100 * (1 + 0 + 1 + 0) / 4)


def test_an_empty_encoding_is_an_empty_mask(truth, tmp_path):
    entry = _entry(1, 7) | {"predictions": [{"rle": {"size": [100, 100], "counts": ""}}]}
    (answer,) = read_answers(
        _written(tmp_path / "p.json", [entry]), read_ground_truth(truth)
    ).answers
    assert len(answer.masks) == 1
    assert np.isclose(answer.masks[0].score, 1)


def test_answers_about_no_annotation_are_left_out_with_a_warning(truth, tmp_path, caplog):
    path = _written(tmp_path / "p.json", [_entry(1, 7, WHOLE), _entry(99, 7, WHOLE)])
    assert evaluate(EvaluationProtocol.SAM3I_1TO1, [truth], path)["gIoU"] == 100
    assert "1 of 2 predictions answer no annotation" in caplog.text
    with pytest.raises(InputError, match="answer no annotation"):
        evaluate(EvaluationProtocol.SAM3I_1TO1, [truth], path, strict=True)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (_entry(1, 99), "unknown images"),
        (_entry(1, 7, prompt_type="hard_query_0"), "prompt type 'hard_query_0' is none of"),
        (_entry(1, 7, np.zeros((9, 9), bool)), r"\[9, 9\] on an image"),
        (_entry(1, 7, predictions=[{"score": 1}]), "no 'rle'"),
        (_entry(1, 7, predictions=[{"rle": encode_mask(HALF), "score": "nan"}]), "no finite score"),
        ({"image_id": 7, "predictions": []}, "no 'annotation_id'"),
        ([], "cannot be read"),
    ],
)
def test_entries_that_do_not_fit_are_counted_and_named(truth, tmp_path, entry, said):
    path = _written(tmp_path / "p.json", [_entry(1, 7), entry])
    with pytest.raises(InputError, match=rf"1 of 2 predictions.*{said}"):
        read_answers(path, read_ground_truth(truth))


def test_a_file_of_several_routes_needs_the_name_of_one(truth, tmp_path):
    wanted = read_ground_truth(truth)
    lines = ""
    for route in ("direct", "agent"):
        write_answers(
            ANSWERS[:1], wanted, PredictionForm.JSONL, tmp_path / "one.jsonl", route=route
        )
        lines += (tmp_path / "one.jsonl").read_text()
    path = tmp_path / "both.jsonl"
    path.write_text(lines)
    assert read_answers(path, wanted, Selection(route="agent")).answers == ANSWERS[:1]
    for selection in (Selection(), Selection(route="auto")):
        with pytest.raises(InputError, match="--route: direct, agent"):
            read_answers(path, wanted, selection)


def test_answers_need_a_level_where_a_dataset_has_several(tmp_path):
    path = tmp_path / "truth.json"
    record = _record(7, WHOLE, levels=(SIMPLE, COMPLEX))
    path.write_text(json.dumps(sam3i_content([record])))
    wanted, out = read_ground_truth(path), tmp_path / "out.json"
    silent = [Answer(7, (_mask(WHOLE),))]
    for form in (PredictionForm.SAM3I, PredictionForm.JSONL):
        with pytest.raises(InputError, match=r"texts of simple and complex.*--level"):
            write_answers(silent, wanted, form, out)
        write_answers(silent, wanted, form, out, level=COMPLEX)
        assert "complex" in out.read_text()
    both = [Answer(7, (), level=SIMPLE), Answer(7, (), level=COMPLEX)]
    with pytest.raises(InputError, match="answers to one text of each image"):
        write_answers(both, wanted, PredictionForm.COCO, out)


def test_the_commands_convert_and_score_what_they_wrote(truth, tmp_path):
    first = _written(tmp_path / "p.json", [_entry(1, 7, HALF)])
    run = CliRunner().invoke
    for to, name in (("jsonl", "p.jsonl"), ("coco", "p2.json")):
        made = run(app, ["convert", "predictions", str(first), str(tmp_path / name),
                         "--gt", str(truth), "--to", to])  # fmt: skip
        assert made.exit_code == 0 and "1 answers (sam3i to" in made.output
        scored = run(app, ["evaluate", "predictions", "--protocol", "sam3i-1to1", "--json",
                           "--gt", str(truth), "--pred", str(tmp_path / name)])  # fmt: skip
        assert json.loads(scored.stdout)["gIoU"] == pytest.approx(50)


def test_the_answers_of_a_folder_become_predictions(truth, tmp_path):
    wanted = read_ground_truth(truth)
    photo = Photo(np.zeros((*SIZE, 3), np.uint8), "ab" * 32)

    def line(file, *asked):
        texts = tuple(PictureText(instruction=text) for text, _ in asked)
        results = tuple(with_instances(empty_result(photo), some, "made") for _, some in asked)
        return PictureAnswer(file=file, texts=texts, results=results)

    def one(mask, score):
        return instance_of(Masks.encode([mask], SIZE), (0.0, 0.0, 9.0, 9.0), score)

    lines = [
        line(
            "set/7.png",
            ("simple text 7", [one(HALF, 0.8), one(OTHER, 0.6)]),
            ("another  7", [one(WHOLE, 0.7)]),
        ),
        line("8.png", ("simple text 8", [])),
        line("9.png", ("simple text 9", [one(OTHER, 0.9)])),
        PictureAnswer(file="10.png", texts=(PictureText(instruction="x"),), problem="broken"),
    ]
    path = tmp_path / "results.jsonl"
    Journal(path, PictureAnswer).rewrite(lines)
    answers = read_answers(path, wanted).answers
    assert [one for one in answers if one.number == 0] == ANSWERS
    assert [(one.image_id, one.number) for one in answers if one.number] == [(7, 1)]
    out = tmp_path / "sam3i.json"
    write_answers(answers, wanted, PredictionForm.SAM3I, out)
    entries = json.loads(out.read_text())
    assert {(one["file_name"], one["prompt"], one["prompt_type"]) for one in entries} == {
        ("7.png", "simple text 7", "simple_query_0"),
        ("7.png", "another 7", "simple_query_1"),
        ("8.png", "simple text 8", "simple_query_0"),
        ("9.png", "simple text 9", "simple_query_0"),
    }
    Journal(path, PictureAnswer).rewrite([*lines, line("8.png", ("who?", [])), line("x.png")])
    with pytest.raises(InputError, match="has no text 'who") as error:
        read_answers(path, wanted)
    assert "1 of 6 predictions are about unknown images" in str(error.value)
