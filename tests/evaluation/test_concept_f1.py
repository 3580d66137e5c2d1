"""cgF1 equals the official evaluator, and the traps of its definition."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from sam3i_agent.evaluation.metrics.concept_f1 import MIN_SCORE, concept_f1
from tests.conftest import DATA

FOLDER = DATA / "saco_toy"


@pytest.mark.parametrize("annotator", ["a", "b"])
def test_equals_the_official_evaluator(annotator):
    truth = json.loads((FOLDER / f"gt_{annotator}.json").read_text())
    predictions = json.loads((FOLDER / "pred.json").read_text())
    pairs = []
    for image in truth["images"]:
        if not image["is_instance_exhaustive"]:
            continue
        found = [
            p["segmentation"]
            for p in predictions
            if p["image_id"] == image["id"] and p["score"] >= MIN_SCORE
        ]
        wanted = [a["segmentation"] for a in truth["annotations"] if a["image_id"] == image["id"]]
        both = found and wanted
        ious = coco_mask.iou(found, wanted, [0] * len(wanted)) if both else None
        pairs.append(np.zeros((len(found), len(wanted))) if ious is None else np.asarray(ious))
    ours = concept_f1(pairs)
    official = json.loads((FOLDER / "expected_official.json").read_text())[f"single_{annotator}"]
    assert ours.cgf1 == pytest.approx(official["cgF1_eval_segm_cgF1"], abs=1e-6)
    assert ours.il_mcc == pytest.approx(official["cgF1_eval_segm_IL_MCC"], abs=1e-6)
    assert ours.positive_micro_f1 == pytest.approx(
        official["cgF1_eval_segm_positive_micro_F1"], abs=1e-6
    )


def test_ground_truth_as_prediction_scores_one():
    pairs = [np.eye(2), np.eye(1), np.zeros((0, 0))]
    assert concept_f1(pairs).cgf1 == pytest.approx(1.0, abs=1e-3)


def test_without_negatives_the_gate_and_cgf1_are_zero():
    score = concept_f1([np.eye(2), np.eye(1)])
    assert score.il_mcc == 0 and score.cgf1 == 0
    assert score.positive_micro_f1 == pytest.approx(1.0, abs=1e-3)


def test_false_alarms_on_negatives_hurt_the_gate_only():
    clean = concept_f1([np.eye(1), np.eye(1), np.zeros((0, 0)), np.zeros((0, 0))])
    noisy = concept_f1([np.eye(1), np.eye(1), np.zeros((0, 0)), np.zeros((3, 0))])
    assert noisy.positive_micro_f1 == clean.positive_micro_f1
    assert noisy.il_mcc < clean.il_mcc


def test_matching_is_one_to_one():
    two_predictions_on_one_truth = np.array([[0.9], [0.8]])
    score = concept_f1([two_predictions_on_one_truth, np.zeros((0, 0))], (0.5,))
    assert score.positive_micro_f1 == pytest.approx(2 / 3, abs=1e-3)
