"""Protocols: the official numbers of SA-Co, and every trap of the others by hand."""

import json

import numpy as np
import pytest
from PIL import Image

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.rle import encode_mask
from sam3i_agent.data.formats.registry import read_dataset
from sam3i_agent.evaluation.metrics.evaluators import evaluate
from sam3i_agent.evaluation.metrics.protocol import EvaluationProtocol
from tests.conftest import DATA, block

TOY = DATA / "saco_toy"
OFFICIAL = json.loads((TOY / "expected_official.json").read_text())


@pytest.mark.parametrize(
    ("annotators", "case"), [("a", "single_a"), ("b", "single_b"), ("abc", "oracle_abc")]
)
def test_saco_equals_the_official_evaluator_in_every_metric_it_prints(annotators, case):
    truths = [TOY / f"gt_{one}.json" for one in annotators]
    report = evaluate(EvaluationProtocol.SACO, truths, TOY / "pred.json")
    assert report["pairs"] == 64
    for name, wanted in OFFICIAL[case].items():
        assert report[name.removeprefix("cgF1_eval_segm_")] == pytest.approx(wanted, abs=1e-6)
    assert sum(report[f"IL_{one}"] for one in ("TP", "FP", "TN", "FN")) == 64


def _files(tmp_path, truth, found, **image_fields):
    """`truth`: image id to masks (or (mask, fields)); `found`: (image, mask, fields)."""
    images, annotations = [], []
    for image_id, masks in truth.items():
        images.append({"id": image_id, "height": 100, "width": 100, **image_fields})
        for one in masks:
            mask, fields = one if isinstance(one, tuple) else (one, {})
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image_id,
                 "segmentation": encode_mask(mask), **fields}
            )  # fmt: skip
    gt, pred = tmp_path / "gt.json", tmp_path / "pred.json"
    gt.write_text(json.dumps({"images": images, "annotations": annotations}))
    results = [
        {"image_id": image_id, "segmentation": encode_mask(mask), "score": 0.9, **fields}
        for image_id, mask, fields in found
    ]
    pred.write_text(json.dumps(results))
    return gt, pred


def _score(protocol, files):
    return evaluate(protocol, [files[0]], files[1])


HALF, WHOLE, OTHER = block(0, 0, 10, 20), block(0, 0, 20, 20), block(50, 50, 60, 60)
NONE = np.zeros((100, 100), bool)


def test_saco_leaves_out_low_scores_and_unfinished_pairs(tmp_path):
    files = _files(tmp_path, {1: [WHOLE], 2: []}, [(1, WHOLE, {}), (2, OTHER, {"score": 0.49})])
    assert _score(EvaluationProtocol.SACO, files)["cgF1@0.5"] == pytest.approx(1, abs=1e-3)
    files = _files(tmp_path, {1: [WHOLE]}, [], is_instance_exhaustive=False)
    assert _score(EvaluationProtocol.SACO, files)["pairs"] == 0


def test_reasonseg_means_and_sums_differ(tmp_path):
    files = _files(tmp_path, {1: [WHOLE], 2: [OTHER]}, [(1, HALF, {}), (2, OTHER, {})])
    report = _score(EvaluationProtocol.REASONSEG, files)
    assert report["gIoU"] == pytest.approx(100 * (0.5 + 1) / 2)
    assert report["cIoU"] == pytest.approx(100 * (200 + 100) / (400 + 100))
    assert report["P@0.50"] == 100 and report["P@0.60"] == 50


def test_reasonseg_counts_nothing_for_nothing_as_right_and_ignores_ignored_pixels(tmp_path):
    assert _score(EvaluationProtocol.REASONSEG, _files(tmp_path, {1: []}, []))["gIoU"] == 100
    right_half = WHOLE & ~HALF
    truth = {1: [HALF, (right_half, {"ignore": 1})]}
    report = _score(EvaluationProtocol.REASONSEG, _files(tmp_path, truth, [(1, WHOLE, {})]))
    assert report["gIoU"] == report["cIoU"] == 100
    # an ignored part of the target's own pixels does not count either way
    truth = {1: [WHOLE, (HALF, {"ignore": 1})]}
    report = _score(EvaluationProtocol.REASONSEG, _files(tmp_path, truth, [(1, HALF, {})]))
    assert report["gIoU"] == 0


def test_grefcoco_rewards_a_right_nothing(tmp_path):
    truth = {1: [], 2: [], 3: [WHOLE], 4: [WHOLE]}
    files = _files(tmp_path, truth, [(2, OTHER, {}), (3, WHOLE, {}), (4, NONE, {})])
    report = _score(EvaluationProtocol.GREFCOCO, files)
    assert report["gIoU"] == pytest.approx(50)
    assert (report["N-acc"], report["T-acc"]) == (50, 50)
    assert report["P@0.90"] == 50  # of the images with a target


def test_sam3i_merges_by_annotation_and_leaves_out_the_missing(tmp_path):
    truth = {1: [WHOLE], 2: [OTHER], 3: [WHOLE]}
    left, right = HALF, WHOLE & ~HALF
    found = [(1, left, {"annotation_id": 1}), (1, right, {"annotation_id": 1}),
             (2, HALF, {"annotation_id": 2})]  # fmt: skip
    report = _score(EvaluationProtocol.SAM3I_1TO1, _files(tmp_path, truth, found))
    assert report["records"] == 2
    assert report["gIoU"] == pytest.approx(50) and report["P@0.50"] == 50
    assert report["mIoU"] == pytest.approx(100 * 400 / (400 + 200 + 100))
    assert report["AP50"] == pytest.approx(50.5, abs=1)  # one of two found, equal scores


def test_sam3i_counts_nothing_for_nothing_as_wrong(tmp_path):
    files = _files(tmp_path, {1: [NONE]}, [(1, NONE, {"annotation_id": 1})])
    assert _score(EvaluationProtocol.SAM3I_1TO1, files)["gIoU"] == 0


def test_sam3i_multi_scores_against_the_union_and_the_missing_as_nothing(tmp_path):
    truth = {1: [HALF, WHOLE & ~HALF], 2: [OTHER]}
    found = [(1, WHOLE, {"annotation_id": 1}), (1, HALF, {"annotation_id": 2})]
    report = _score(EvaluationProtocol.SAM3I_MULTI, _files(tmp_path, truth, found))
    assert report["gIoU"] == pytest.approx(100 * ((1 + 0.5) / 2 + 0) / 2)
    assert report["mIoU"] == pytest.approx(100 * 600 / 900)


def test_repeated_masks_are_scored_as_they_stand_and_counted_unless_strict(tmp_path, caplog):
    files = _files(tmp_path, {1: [WHOLE], 2: []}, [(1, WHOLE, {}), (1, WHOLE, {})])
    report = _score(EvaluationProtocol.SACO, files)
    assert report["repeated_masks"] == 1 and report["FP@0.5"] == 1
    assert report["positive_micro_F1@0.5"] == pytest.approx(2 / 3, abs=1e-3)
    assert "1 of 2 predictions repeat another one" in caplog.text
    assert _score(EvaluationProtocol.REASONSEG, files)["gIoU"] == 100  # a union is the same
    for protocol in (EvaluationProtocol.SACO, EvaluationProtocol.REASONSEG):
        with pytest.raises(InputError, match="1 of 2 predictions repeat another one"):
            evaluate(protocol, [files[0]], files[1], strict=True)


def test_saco_leaves_out_crowds_and_says_that_a_mean_of_nothing_is_undefined(tmp_path):
    crowd = (WHOLE, {"iscrowd": 1})
    report = _score(EvaluationProtocol.SACO, _files(tmp_path, {1: [crowd]}, [(1, OTHER, {})]))
    assert report["IL_FP"] == 1 and report["positive_macro_F1"] == -1


def test_sam3i_multi_counts_precision_by_answer_not_by_the_mean_of_an_image(tmp_path):
    quarter = block(0, 0, 10, 10)
    found = [(1, WHOLE, {"annotation_id": 1}), (1, quarter, {"annotation_id": 2})]
    files = _files(tmp_path, {1: [HALF, WHOLE & ~HALF]}, found)
    assert _score(EvaluationProtocol.SAM3I_MULTI, files)["P@0.50"] == 50


def test_empty_files_are_refused(tmp_path):
    gt, pred = _files(tmp_path, {1: [WHOLE]}, [])
    pred.write_text("")
    with pytest.raises(InputError, match=r"pred.json' is no JSON: it is empty"):
        _score(EvaluationProtocol.REASONSEG, (gt, pred))
    gt.write_text('{"images": [], "annotations": []}')
    pred.write_text("[]")
    with pytest.raises(InputError, match="has no images"):
        _score(EvaluationProtocol.REASONSEG, (gt, pred))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([(9, WHOLE, {}), (1, WHOLE, {})], "1 of 2 .* unknown images .*image 9"),
        ([(1, WHOLE, {"score": float("nan")})] * 2, "2 of 2 .* no finite score .*score nan"),
        (
            [(1, WHOLE, {"segmentation": {"size": [9, 9], "counts": "0"}})],
            r"\[9, 9\] on an image",
        ),
        ([(1, WHOLE, {"segmentation": "x"})], "RLE or polygons"),
        ([(1, WHOLE, {"annotation_id": 7})], "answer no annotation"),
        ([], "cannot be scored|do not meet"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, found, said):
    with pytest.raises(InputError, match=said):
        _score(EvaluationProtocol.SAM3I_1TO1, _files(tmp_path, {1: [WHOLE]}, found))


def test_several_annotators_are_for_saco_alone(tmp_path):
    gt, pred = _files(tmp_path, {1: [WHOLE]}, [])
    with pytest.raises(InputError, match="takes one ground truth"):
        evaluate(EvaluationProtocol.REASONSEG, [gt, gt], pred)
    with pytest.raises(InputError, match="no JSON"):
        gt.write_text("{")
        evaluate(EvaluationProtocol.SACO, [gt], pred)


def test_a_ground_truth_may_be_a_folder_of_reasonseg(tmp_path):
    Image.new("RGB", (100, 100)).save(tmp_path / "a.jpg")
    ring = [[0, 0], [19, 0], [19, 19], [0, 19]]
    content = {"text": ["what is it?"], "shapes": [{"label": "target", "points": ring}]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    pred = tmp_path / "results" / "pred.json"
    pred.parent.mkdir()
    (truth,) = read_dataset(tmp_path).records[0].masks()
    pred.write_text(json.dumps([{"image_id": 1, "segmentation": encode_mask(truth & HALF)}]))
    report = evaluate(EvaluationProtocol.REASONSEG, [tmp_path], pred)
    assert report["images"] == 1
    assert report["gIoU"] == pytest.approx(100 * (truth & HALF).sum() / truth.sum())


def test_a_result_about_no_annotation_does_not_meet_ignored_pixels(tmp_path):
    files = _files(tmp_path, {1: [(WHOLE, {"ignore": 1})]}, [(1, WHOLE, {})])
    with pytest.raises(InputError, match="answer no annotation"):
        _score(EvaluationProtocol.SAM3I_1TO1, files)
