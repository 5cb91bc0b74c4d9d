"""Metrics of hard decisions at one threshold: a clip is called bona fide when its score is at or above it.

One class is enough here (a corpus of fakes has a false-alarm rate): what cannot be defined without the other class is
NaN, never 0. F1 is given for either class as the one to detect, and its name says which.
"""

from __future__ import annotations

from math import isnan, nan
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from dfad.errors import MetricError
from dfad.metrics.pairs import Floats, Ints, any_pairs

CLASSES = ("spoof", "bona-fide")
"""Class names by label: `CLASSES[0]` is spoof, `CLASSES[1]` bona fide."""

DECISION_KEYS = ("accuracy", "balanced_accuracy", "f1_spoof", "f1_bona_fide", "miss", "false_alarm")
"""Keys of `decisions`, in order."""


def confusion(scores: ArrayLike, labels: ArrayLike, threshold: float = 0.0) -> Ints:
    """Count clips by class (rows) and decision (columns).

    Shape:
        - scores: (clips,) log-odds of bona fide; labels: (clips,) 1 = bona fide, 0 = spoof.
        - output: (2, 2) int64, both axes in the order of the labels: 0 spoof, 1 bona fide. `[1, 0]` are misses,
          `[0, 1]` false alarms.

    Raises:
        MetricError: empty, a NaN (a NaN threshold too), or lengths that differ.

    >>> confusion([2.0, -1.0, 0.0, -3.0], [1, 1, 0, 0]).tolist()
    [[1, 1], [1, 1]]
    """
    if isnan(threshold):
        raise MetricError("the threshold is NaN: expected a number in the units of the scores")
    s, bona_fide = any_pairs(scores, labels)
    cells = 2 * bona_fide.astype(np.int64) + (s >= threshold)
    return np.bincount(cells, minlength=4).reshape(2, 2).astype(np.int64)


def decisions(scores: ArrayLike, labels: ArrayLike, threshold: float = 0.0) -> dict[str, float]:
    """Accuracy, balanced accuracy, both F1 scores, miss and false-alarm rate: see `DECISION_KEYS`.

    >>> decisions([2.0, -1.0, -2.0, -3.0], [1, 1, 0, 0])["f1_spoof"]
    0.8
    >>> decisions([2.0, -1.0], [0, 0])["miss"]
    nan
    """
    (caught, false_alarms), (misses, passed) = confusion(scores, labels, threshold).tolist()
    return rates(caught, false_alarms, misses, passed)


Counts = TypeVar("Counts", float, Floats)


def rates(caught: Counts, false_alarms: Counts, misses: Counts, passed: Counts) -> dict[str, Counts]:
    """The metrics of `DECISION_KEYS` from the four cells of a confusion matrix, or of many with weighted clips."""
    spoof, bona_fide = caught + false_alarms, misses + passed
    miss, false_alarm = _ratio(misses, bona_fide), _ratio(false_alarms, spoof)
    return {
        "accuracy": _ratio(caught + passed, spoof + bona_fide),
        "balanced_accuracy": 1 - (miss + false_alarm) / 2,
        "f1_spoof": _f1(caught, misses + false_alarms, spoof),
        "f1_bona_fide": _f1(passed, misses + false_alarms, bona_fide),
        "miss": miss,
        "false_alarm": false_alarm,
    }


def classification_report(scores: ArrayLike, labels: ArrayLike, threshold: float = 0.0) -> str:
    """Precision, recall, F1 and number of clips per class, as a plain text table.

    >>> print(classification_report([2.0, -1.0, -2.0, -3.0], [1, 1, 0, 0]))
               precision   recall       f1  support
    bona-fide     1.0000   0.5000   0.6667        2
    spoof         0.6667   1.0000   0.8000        2
    accuracy                        0.7500        4
    threshold 0
    """
    matrix = confusion(scores, labels, threshold)
    total = int(matrix.sum())
    lines = [f"{'':9}  {'precision':>9}{'recall':>9}{'f1':>9}{'support':>9}"]
    for label in (1, 0):
        numbers = "".join(f"{_text(value):>9}" for value in _per_class(matrix, label))
        lines.append(f"{CLASSES[label]:9}  {numbers}{int(matrix[label].sum()):>9}")
    lines.append(f"{'accuracy':9}  {_text(int(matrix.trace()) / total):>27}{total:>9}")
    return "\n".join([*lines, f"threshold {threshold:.6g}"])


def _per_class(matrix: Ints, label: int) -> tuple[float, float, float]:
    """Precision, recall and F1 with `label` as the class to detect; F1 needs clips of that class."""
    found, called, present = int(matrix[label, label]), int(matrix[:, label].sum()), int(matrix[label].sum())
    return _ratio(found, called), _ratio(found, present), _f1(found, called + present - 2 * found, present)


def _f1(found: Counts, wrong: Counts, present: Counts) -> Counts:
    """F1 of a class from its clips that were found and all wrong decisions; it needs clips of that class."""
    return _ratio(2 * found, (2 * found + wrong) * _ratio(present, present))


def _ratio(part: Counts, whole: Counts) -> Counts:
    if isinstance(whole, np.ndarray):
        return np.divide(part, whole, out=np.full(whole.shape, nan), where=whole > 0)
    return part / whole if whole > 0 else nan


def _text(value: float) -> str:
    return "n/a" if isnan(value) else f"{value:.4f}"
