"""SA-Co's classification-gated F1 (cgF1), from IoU matrices.

The unit is one image-phrase pair. `positive_micro_F1` asks how well instances are found where the
phrase applies; `IL_MCC` asks whether the model knows where it applies; `cgF1` is their product.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

IOU_THRESHOLDS: tuple[float, ...] = tuple(np.round(np.arange(0.5, 1.0, 0.05), 2).tolist())
"""COCO's 0.50:0.05:0.95."""
MIN_SCORE = 0.5
"""Predictions below it do not count (official evaluator)."""
_EPSILON = 1e-4


@dataclass(frozen=True)
class ConceptF1:
    """The three numbers, each 0..1 (MCC and so cgF1 -1..1)."""

    cgf1: float
    positive_micro_f1: float
    il_mcc: float


def match_ious(ious: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoUs of the best one-to-one matching of (predictions, truths)."""
    rows, columns = linear_sum_assignment(ious, maximize=True)
    return ious[rows, columns]


def concept_f1(
    pairs: Iterable[NDArray[np.float64]], thresholds: Sequence[float] = IOU_THRESHOLDS
) -> ConceptF1:
    """Score image-phrase pairs, averaged over `thresholds`.

    Args:
        pairs: per pair the (predictions, truths) mask IoUs, where either count may be 0;
            predictions below `MIN_SCORE` are already left out.
        thresholds: IoUs from which a match counts.

    Returns:
        The means over the thresholds. Without negative pairs `il_mcc` and `cgf1` are 0:
        report `positive_micro_f1` then.
    """
    limits = np.asarray(thresholds)
    found = np.zeros(len(limits))
    false_alarms = np.zeros(len(limits))
    missed = np.zeros(len(limits))
    gate = np.zeros((2, 2))  # [has truth, has prediction]
    for ious in pairs:
        predictions, truths = ious.shape
        gate[int(truths > 0), int(predictions > 0)] += 1
        if truths == 0:
            continue
        hits = (match_ious(ious)[None, :] >= limits[:, None]).sum(axis=1)
        found += hits
        missed += truths - hits
        false_alarms += predictions - hits
    precision = found / (found + false_alarms + _EPSILON)
    recall = found / (found + missed + _EPSILON)
    micro_f1 = 2 * precision * recall / (precision + recall + _EPSILON)
    mcc = _matthews(gate)
    return ConceptF1(
        cgf1=float((micro_f1 * mcc).mean()), positive_micro_f1=float(micro_f1.mean()), il_mcc=mcc
    )


def local_f1(ious: NDArray[np.float64], thresholds: Sequence[float]) -> NDArray[np.float64]:
    """Return the F1 of one pair at each threshold, by which an oracle compares annotators.

    Args:
        ious: (predictions, truths), where either count may be 0.
        thresholds: IoUs from which a match counts.
    """
    predictions, truths = ious.shape
    hits = (match_ious(ious)[None, :] >= np.asarray(thresholds)[:, None]).sum(axis=1)
    precision = hits / (predictions + _EPSILON)
    recall = hits / (truths + _EPSILON)
    return 2 * precision * recall / (precision + recall + _EPSILON)


def _matthews(gate: NDArray[np.float64]) -> float:
    (true_negative, false_positive), (false_negative, true_positive) = gate
    scale = np.sqrt(
        (true_positive + false_positive)
        * (true_positive + false_negative)
        * (true_negative + false_positive)
        * (true_negative + false_negative)
    )
    if scale == 0:
        return 0.0
    numerator = true_positive * true_negative - false_positive * false_negative
    return float(numerator / scale)
