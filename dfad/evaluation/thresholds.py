"""Rules that choose a threshold from scores, which must not be those of the test set."""

from __future__ import annotations

from math import isfinite

import numpy as np
from numpy.typing import ArrayLike

from dfad.errors import MetricError
from dfad.metrics import det_curve, eer, min_dcf
from dfad.metrics.det import mid_gap


def parse_rule(rule: str | float) -> tuple[str, float | None]:
    """The name of a rule and its number.

    Raises:
        MetricError: for anything that is no rule.

    >>> parse_rule("eer"), parse_rule("fa@0.01"), parse_rule(1.5)
    (('eer', None), ('fa', 0.01), ('number', 1.5))
    """
    text = str(rule).strip()
    if text in ("eer", "min_dcf"):
        return text, None
    name, _, number = text.rpartition("@")
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if name == "" and isfinite(value) and "@" not in text:
        return "number", value
    if name == "fa" and 0 < value < 1:
        return "fa", value
    raise MetricError(
        f"no rule {text!r} for a threshold: use eer, min_dcf, fa@0.01 or a number"
        + ("; what follows fa@ is a share between 0 and 1" if name == "fa" else "")
    )


def choose_threshold(rule: str | float, scores: ArrayLike, labels: ArrayLike) -> float:
    """Choose a threshold by a rule.

    Args:
        rule: `eer`: both errors are equal; `min_dcf`: least cost of ASVspoof 5; `fa@x`: the lowest threshold at which
            at most a share x of the spoof clips passes; or a number, which is given back.
        scores: log-odds of bona fide, (clips,); of validation.
        labels: 1 = bona fide, 0 = spoof.

    Raises:
        MetricError: for no rule, or scores that have no such threshold.

    >>> choose_threshold("fa@0.25", [2.0, 3.0, 0.0, 0.5, 1.0, 2.5], [1, 1, 0, 0, 0, 0])
    1.5
    """
    name, value = parse_rule(rule)
    if value is not None and name == "number":
        return value
    if value is not None:
        curve = det_curve(scores, labels)
        return mid_gap(curve.thresholds, int(np.argmax(curve.false_alarm <= value)))
    return (eer if name == "eer" else min_dcf)(scores, labels)[1]
