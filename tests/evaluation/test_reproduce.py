"""The papers' tables on small trees in their layouts: missing parts are listed, runs go on."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sam3i_agent.cli.app import app
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.rle import encode_mask
from sam3i_agent.data.formats.sam3i import sam3i_content
from sam3i_agent.data.records import Record
from sam3i_agent.evaluation.compare.cases import Shard
from sam3i_agent.evaluation.forms.answers import Answer, FoundMask
from sam3i_agent.evaluation.metrics.box_accuracy import box_accuracy
from sam3i_agent.evaluation.metrics.truth import GroundTruth
from sam3i_agent.evaluation.reproduce.reproducing import (
    Roots,
    markdown_table,
    parse_image_folders,
    reproduce,
)
from sam3i_agent.evaluation.reproduce.tables import TABLES, Paper
from tests.conftest import KnowingSegmenter, block

SIMPLE, COMPLEX = InstructionLevel.SIMPLE, InstructionLevel.COMPLEX
WHOLE, HALF, OTHER = block(0, 0, 20, 20), block(0, 0, 10, 20), block(50, 50, 60, 60)
KNOWN = {
    "simple 1": [(HALF, 0.9)],
    "simple 2": [(OTHER, 0.6), (WHOLE, 0.9)],
    "complex 1": [(WHOLE, 0.8)],
}
FOLDERS = {"HMPL-Instruct_1to1": "coco2017", "RefCOCO": "coco2014"}


def _counts(mask):
    return encode_mask(mask)["counts"]


def _write(root, name, *, levels):
    """Two records: one target each, the second asked about with two wrong masks."""
    records = [
        Record(
            number, f"{number}.png", 100, 100,
            {level: (f"{level} {number}",) for level in levels}, (_counts(WHOLE),),
        )
        for number in (1, 2)
    ]  # fmt: skip
    path = root / name / "sam3i_val.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(sam3i_content(records)))


@pytest.fixture
def roots(tmp_path):
    _write(tmp_path / "json", "HMPL-Instruct_1to1", levels=(SIMPLE, COMPLEX))
    _write(tmp_path / "json", "RefCOCO", levels=(SIMPLE,))
    for folder in FOLDERS.values():
        (tmp_path / "images" / folder).mkdir(parents=True)
        for number in (1, 2):
            photo = Image.new("RGB", (100, 100), (number, 0, len(folder)))
            photo.save(tmp_path / "images" / folder / f"{number}.png")
    return Roots(tmp_path / "json", tmp_path / "images", FOLDERS)


def _segmenter():
    return KnowingSegmenter(KNOWN, levels=tuple(InstructionLevel))


def _by_name(results):
    return {one.row.name: one for one in results}


def test_rows_are_measured_by_their_rules_beside_what_was_published(roots, tmp_path):
    results = _by_name(reproduce(Paper.SAM3I, roots, _segmenter(), tmp_path / "out"))
    hmpl = results["HMPL-Instruct_1to1-simple"]
    # record 2: both masks count, 400 of 500 pixels; in RefCOCO the better mask alone does
    assert hmpl.metrics["gIoU"] == pytest.approx(100 * (0.5 + 0.8) / 2)
    assert results["RefCOCO-simple"].metrics["gIoU"] == pytest.approx(100 * (0.5 + 1) / 2)
    assert results["HMPL-Instruct_1to1-complex"].metrics["gIoU"] == pytest.approx(50)
    assert hmpl.published["gIoU"].value == "60.8"
    table = markdown_table(results.values())
    assert "| HMPL-Instruct_1to1 | simple | sam3i-1to1 | gIoU | 65.00 | 60.8 | +4.2 |" in table
    assert table == (tmp_path / "out" / "table.md").read_text()
    predictions = json.loads((tmp_path / "out" / "RefCOCO-simple.json").read_text())
    assert [len(one["predictions"]) for one in predictions] == [1, 1]
    assert predictions[0]["prompt_type"] == "simple_query_0"


def test_what_is_missing_is_listed_with_where_it_comes_from(roots, tmp_path):
    (roots.images / "coco2014" / "2.png").unlink()
    results = _by_name(reproduce(Paper.SAM3I, roots, _segmenter(), tmp_path / "out"))
    assert len(results) == len(TABLES[Paper.SAM3I].rows) == 8
    missing = results["Ref-ZOM-simple"].problem
    assert missing.startswith("Ref-ZOM/sam3i_val.json is not there; annotations: ")
    photo = results["RefCOCO-simple"].problem
    assert photo.startswith("1 of 2 photos are not in coco2014 (first: 2.png)")
    assert results["HMPL-Instruct_1to1-simple"].metrics  # the others are measured all the same
    told = json.loads((tmp_path / "out" / "table.json").read_text())
    assert [bool(one["problem"]) for one in told] == [False, False, *[True] * 6]


def test_an_interrupted_run_goes_on_behind_its_last_answer(roots, tmp_path):
    class KilledError(Exception):
        pass

    def kill(row, done, total):
        if row == "HMPL-Instruct_1to1-complex" and done == 1:
            raise KilledError

    with pytest.raises(KilledError):
        reproduce(Paper.SAM3I, roots, _segmenter(), tmp_path / "out", advance=kill)
    segmenter = _segmenter()
    resumed = reproduce(Paper.SAM3I, roots, segmenter, tmp_path / "out")
    assert [text for text, _ in segmenter.asked] == ["complex 2", "simple 1", "simple 2"]
    whole = reproduce(Paper.SAM3I, roots, _segmenter(), tmp_path / "whole")
    assert resumed == whole


def test_shards_say_what_is_still_to_do_and_meet(roots, tmp_path):
    parts = [Shard.parse(one) for one in ("1/2", "2/2")]
    holders = [sum(part.holds(f"{number}.png") for number in (1, 2)) for part in parts]
    results = [
        _by_name(reproduce(Paper.SAM3I, roots, _segmenter(), tmp_path / "out", shard=part))
        for part, count in zip(parts, holders, strict=True)
        if count
    ]
    last = results[-1]["HMPL-Instruct_1to1-simple"]
    assert last.metrics["gIoU"] == pytest.approx(65)
    if len(results) > 1:
        first = results[0]["HMPL-Instruct_1to1-simple"]
        assert first.problem == "1 of 2 cases are answered so far" and not first.metrics


def test_a_limit_measures_what_was_asked_alone(roots, tmp_path):
    results = _by_name(reproduce(Paper.SAM3I, roots, _segmenter(), tmp_path / "out", limit=1))
    one = results["HMPL-Instruct_1to1-simple"].metrics
    assert one["records"] == 1 and one["gIoU"] == pytest.approx(50)


def test_a_folder_without_any_dataset_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"none of the datasets.*HMPL-Instruct_1to1/sam3i_val"):
        reproduce(Paper.SAM3I, Roots(tmp_path, tmp_path), _segmenter(), tmp_path / "out")


def test_image_folders_are_read_as_the_official_script_takes_them():
    assert parse_image_folders("RefCOCO:coco2014, MMR : coco2017,") == {
        "RefCOCO": "coco2014", "MMR": "coco2017"
    }  # fmt: skip
    for text in ("RefCOCO", "RefCOCO:", ":x"):
        with pytest.raises(InputError, match="DATASET:FOLDER"):
            parse_image_folders(text)


def test_the_agents_table_reads_reasonseg_and_the_pickles(tmp_path):
    root = tmp_path / "json"
    (root / "ReasonSeg" / "val").mkdir(parents=True)
    Image.new("RGB", (100, 100)).save(root / "ReasonSeg" / "val" / "a.jpg")
    ring = [[0, 0], [20, 0], [20, 20], [0, 20]]
    about = {"text": ["the circle"], "shapes": [{"label": "target", "points": ring}]}
    (root / "ReasonSeg" / "val" / "a.json").write_text(json.dumps(about))
    (root / "refcoco+").mkdir()
    sentence = {"sent_id": 1, "sent": "the circle", "raw": "the circle"}
    ref = {"ref_id": 1, "image_id": 1, "ann_id": 1, "split": "testA", "sentences": [sentence]}
    (root / "refcoco+" / "refs(unc).p").write_bytes(pickle.dumps([ref], protocol=2))
    instances = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 100, "width": 100}],
        "annotations": [{"id": 1, "image_id": 1, "segmentation": encode_mask(WHOLE)}],
    }
    (root / "refcoco+" / "instances.json").write_text(json.dumps(instances))
    (tmp_path / "images" / "coco2014").mkdir(parents=True)
    Image.new("RGB", (100, 100)).save(tmp_path / "images" / "coco2014" / "a.jpg")
    segmenter = KnowingSegmenter({"circle": [(WHOLE, 0.9)]})
    roots = Roots(root, tmp_path / "images", {"refcoco+": "coco2014"})
    with pytest.raises(InputError, match="no split 'val'"):
        reproduce(Paper.SAM3_AGENT, roots, segmenter, tmp_path / "out")
    refs = [ref | {"split": one, "sentences": [sentence | {"sent_id": number}]}
            for number, one in enumerate(("val", "testA", "testB"))]  # fmt: skip
    (root / "refcoco+" / "refs(unc).p").write_bytes(pickle.dumps(refs, protocol=2))
    results = _by_name(reproduce(Paper.SAM3_AGENT, roots, segmenter, tmp_path / "out"))
    assert results["ReasonSeg-val-complex"].published["gIoU"].value == "76.0"
    assert results["ReasonSeg-test-complex"].problem.startswith("ReasonSeg/test is not there")
    assert results["refcoco+-testA-simple"].metrics["gIoU"] == 100
    assert results["refcoco+-testA-simple"].metrics["Acc"] == 100
    assert "Acc" not in results["ReasonSeg-val-complex"].metrics
    assert np.isfinite(results["refcoco+-val-simple"].metrics["cIoU"])


def test_the_command_prints_the_table(roots, tmp_path):
    run = CliRunner().invoke(
        app,
        ["reproduce", "sam3i", "--annotations", str(roots.annotations), "--images",
         str(roots.images), "--image-folders", "HMPL-Instruct_1to1:coco2017,RefCOCO:coco2014",
         "--out", str(tmp_path / "out"), "--limit", "1", "--device", "cpu"],
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    assert "| RefCOCO | simple | sam3i-1to1 | P@0.50 |" in run.stdout


def test_the_accuracy_of_boxes_is_that_of_the_best_masks():
    counts = _counts(WHOLE)
    truth = GroundTruth.of([
        Record(id_, f"{id_}.png", 100, 100, {}, (counts,), annotation_ids=(id_,))
        for id_ in (1, 2, 3, 4)
    ])  # fmt: skip

    def mask(pixels, score):
        return FoundMask(encode_mask(pixels), score)

    frame = WHOLE & ~block(2, 2, 18, 18)  # few of its pixels, but its box
    answers = [
        Answer(1, (mask(frame, 0.9), mask(OTHER, 0.8))),
        Answer(2, (mask(frame, 0.7), mask(OTHER, 0.8))),
        Answer(3, (mask(OTHER, 0.1), mask(frame, 0.9))),
        Answer(4, ()),
    ]
    assert box_accuracy(truth, answers) == 50
