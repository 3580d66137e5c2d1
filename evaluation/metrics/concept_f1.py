"""SA-Co's classification-gated F1 (cgF1) and what its evaluator prints beside it.

The unit is one image-phrase pair. `positive_micro_F1` asks how well instances are found where the
phrase applies; `IL_MCC` asks whether the model knows where it applies; `cgF1` is their product.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

IOU_THRESHOLDS: tuple[float, ...] = tuple(np.round(np.arange(0.5, 1.0, 0.05), 2).tolist())
"""COCO's 0.50:0.05:0.95."""
MIN_SCORE = 0.5
"""Predictions below it do not count (official evaluator)."""
UNDEFINED = -1.0
"""A mean of nothing, as COCO's tools say it."""
_EPSILON = 1e-4
_IMAGE_EPSILON = 1e-6
"""In the ratios of image-level counts."""


@dataclass(frozen=True)
class ConceptF1:
    """Each 0..1 (MCC and so cgF1 -1..1); the names are the official evaluator's, in lower case."""

    cgf1: float
    precision: float
    """Of all pairs' instances."""
    recall: float
    f1: float
    positive_macro_f1: float
    """Mean over the pairs that have a truth and a prediction; `UNDEFINED` without any."""
    positive_micro_f1: float
    positive_micro_precision: float
    il_precision: float
    """Image level: whether anything is there."""
    il_recall: float
    il_f1: float
    il_fpr: float
    il_mcc: float


@dataclass(frozen=True)
class ConceptCounts:
    """Counts of image-phrase pairs and of their instances, by IoU threshold."""

    thresholds: tuple[float, ...]
    found: NDArray[np.float64]
    """(thresholds,): matched instances."""
    false_alarms: NDArray[np.float64]
    """Of all pairs."""
    positive_false_alarms: NDArray[np.float64]
    """Of pairs with a truth."""
    missed: NDArray[np.float64]
    local_f1: NDArray[np.float64]
    """Sum over the pairs that have a truth and a prediction."""
    gate: NDArray[np.float64]
    """(2, 2) pairs: has a truth, has a prediction."""

    @classmethod
    def of(
        cls, pairs: Iterable[NDArray[np.float64]], thresholds: Sequence[float] = IOU_THRESHOLDS
    ) -> "ConceptCounts":
        """Count.

        Args:
            pairs: per pair the (predictions, truths) mask IoUs, where either count may be 0;
                predictions below `MIN_SCORE` are already left out.
            thresholds: IoUs from which a match counts.
        """
        limits = np.asarray(thresholds)
        found, missed, local = np.zeros((3, len(limits)))
        false_alarms, positive_false_alarms = np.zeros((2, len(limits)))
        gate = np.zeros((2, 2))
        for ious in pairs:
            predictions, truths = ious.shape
            gate[int(truths > 0), int(predictions > 0)] += 1
            hits = (match_ious(ious)[None, :] >= limits[:, None]).sum(axis=1)
            found += hits
            missed += truths - hits
            false_alarms += predictions - hits
            if truths:
                positive_false_alarms += predictions - hits
                local += _f1_of(hits, predictions, truths)
        return cls(
            tuple(thresholds), found, false_alarms, positive_false_alarms, missed, local, gate
        )

    def scores(self, threshold: float | None = None) -> ConceptF1:
        """Return the numbers at one of the thresholds; None returns the means over all.

        Without negative pairs `il_mcc` and `cgf1` are 0: report `positive_micro_f1` then.
        """
        at = slice(None) if threshold is None else [self.thresholds.index(threshold)]
        found, missed = self.found[at], self.missed[at]
        recall = found / (found + missed + _EPSILON)
        precision = found / (found + self.false_alarms[at] + _EPSILON)
        positive_precision = found / (found + self.positive_false_alarms[at] + _EPSILON)
        micro_f1 = _harmonic(positive_precision, recall, _EPSILON)
        (true_negative, false_positive), (false_negative, true_positive) = self.gate
        il_precision = true_positive / (true_positive + false_positive + _IMAGE_EPSILON)
        il_recall = true_positive / (true_positive + false_negative + _IMAGE_EPSILON)
        mcc = _matthews(self.gate)
        macro = (self.local_f1[at] / true_positive).mean() if true_positive else UNDEFINED
        return ConceptF1(
            cgf1=float((micro_f1 * mcc).mean()),
            precision=float(precision.mean()),
            recall=float(recall.mean()),
            f1=float(_harmonic(precision, recall, _EPSILON).mean()),
            positive_macro_f1=float(macro),
            positive_micro_f1=float(micro_f1.mean()),
            positive_micro_precision=float(positive_precision.mean()),
            il_precision=float(il_precision),
            il_recall=float(il_recall),
            il_f1=float(_harmonic(il_precision, il_recall, _IMAGE_EPSILON)),
            il_fpr=float(false_positive / (false_positive + true_negative + _IMAGE_EPSILON)),
            il_mcc=mcc,
        )


def match_ious(ious: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoUs of the best one-to-one matching of (predictions, truths)."""
    rows, columns = linear_sum_assignment(ious, maximize=True)
    return ious[rows, columns]


def concept_f1(
    pairs: Iterable[NDArray[np.float64]], thresholds: Sequence[float] = IOU_THRESHOLDS
) -> ConceptF1:
    """Score image-phrase pairs, averaged over `thresholds`; see `ConceptCounts`."""
    return ConceptCounts.of(pairs, thresholds).scores()


def local_f1(ious: NDArray[np.float64], thresholds: Sequence[float]) -> NDArray[np.float64]:
    """Return the F1 of one pair at each threshold, by which an oracle compares annotators.

    Args:
        ious: (predictions, truths), where either count may be 0.
        thresholds: IoUs from which a match counts.
    """
    predictions, truths = ious.shape
    hits = (match_ious(ious)[None, :] >= np.asarray(thresholds)[:, None]).sum(axis=1)
    return _f1_of(hits, predictions, truths)


def _f1_of(hits: NDArray[np.int64], predictions: int, truths: int) -> NDArray[np.float64]:
    precision = hits / (predictions + _EPSILON)
    recall = hits / (truths + _EPSILON)
    return _harmonic(precision, recall, _EPSILON)


def _harmonic(precision: Any, recall: Any, epsilon: float) -> Any:
    return 2 * precision * recall / (precision + recall + epsilon)


def _matthews(gate: NDArray[np.float64]) -> float:
    (true_negative, false_positive), (false_negative, true_positive) = gate
    scale = np.sqrt(
        (true_positive + false_positive)
        * (true_positive + false_negative)
        * (true_negative + false_positive)
        * (true_negative + false_negative)
    )
    numerator = true_positive * true_negative - false_positive * false_negative
    return float(numerator / (scale + _IMAGE_EPSILON))
