"""The interval of one metric from its bootstrap distribution."""

from __future__ import annotations

from math import nan

from dfad.metrics.bootstrap import Interval, interval, zero_errors_bound
from dfad.metrics.pairs import Floats

ERRORS = ("eer", "miss", "false_alarm")
SUCCESSES = ("accuracy", "balanced_accuracy")


def interval_of(name: str, value: float, drawn: Floats, clusters: int) -> Interval:
    """The interval; where every resample agrees, as with no errors, what is known of an error rate without any.

    Args:
        name: of the metric, as in `metrics.json`.
        value: of the metric.
        drawn: the metric over resamples, (resamples,).
        clusters: how many there are.

    >>> import numpy as np
    >>> interval_of("eer", 0.0, np.zeros(100), 100).high == zero_errors_bound(100)
    True
    >>> interval_of("eer", 1.0, np.ones(100), 100)
    Interval(low=nan, high=nan)
    """
    between = interval(drawn, clusters)
    if between.low != between.high:
        return between
    base = name.removesuffix("_at_val")
    if base in ERRORS and value == 0:
        return Interval(0.0, zero_errors_bound(clusters))
    if base in SUCCESSES and value == 1:
        return Interval(1 - zero_errors_bound(clusters), 1.0)
    return Interval(nan, nan)
