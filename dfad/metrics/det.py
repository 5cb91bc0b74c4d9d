"""Metrics of detection error trade-off: EER, AUROC and detection costs, over all thresholds.

A score is the log-odds that a clip is bona fide. At a threshold t, *miss* is the share of bona fide clips with
score < t and *false alarm* the share of spoof clips with score >= t. Everything here is computed in float64;
infinite scores are legal; one class, a NaN or nothing at all raises `dfad.errors.MetricError`.
"""

from __future__ import annotations

from math import isfinite, log
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dfad.errors import MetricError
from dfad.metrics.pairs import Floats, as_scores, pairs, tally


class DetCurve(NamedTuple):
    """Both error rates at every threshold that changes them.

    Shape:
        - thresholds: (distinct scores + 1,) ascending; the last, +inf, stands for "reject every clip".
        - miss: the same shape, rises from 0 to 1.
        - false_alarm: the same shape, falls from 1 to 0.
    """

    thresholds: Floats
    miss: Floats
    false_alarm: Floats


def det_curve(scores: ArrayLike, labels: ArrayLike) -> DetCurve:
    """Miss and false-alarm rate over the distinct scores.

    Shape:
        - scores: (clips,) log-odds of bona fide.
        - labels: (clips,) 1 = bona fide, 0 = spoof.

    >>> curve = det_curve([1.0, 2.0, 0.0, 1.0], [1, 1, 0, 0])
    >>> curve.thresholds.tolist(), curve.miss.tolist(), curve.false_alarm.tolist()
    ([0.0, 1.0, 2.0, inf], [0.0, 0.0, 0.5, 1.0], [1.0, 0.5, 0.0, 0.0])
    """
    counts = tally(*pairs(scores, labels))
    below = np.concatenate(([0], np.cumsum(counts.bona_fide)))
    passed = np.concatenate(([0], np.cumsum(counts.spoof)))
    miss = below / below[-1]
    false_alarm = (passed[-1] - passed) / passed[-1]
    return DetCurve(np.append(counts.values, np.inf), miss, false_alarm)


def eer(scores: ArrayLike, labels: ArrayLike) -> tuple[float, float]:
    """Equal error rate, fair to ties, and a threshold that realises it as nearly as any can.

    The curve over distinct scores is joined by straight lines and cut where miss = false alarm, so that clips
    with one score share the error: constant scores give 0.5.

    Returns:
        The rate in [0, 1], and a threshold in the middle of a gap between scores, where it has the widest margin.

    >>> eer([3.0, 2.0, 0.5, 1.0, -1.0, -2.0], [1, 1, 1, 0, 0, 0])
    (0.3333333333333333, 0.75)
    >>> eer([0.0, 0.0, 0.0], [1, 0, 0])
    (0.5, 0.0)
    """
    curve = det_curve(scores, labels)
    gap = curve.miss - curve.false_alarm  # rises from -1 to 1, strictly
    after = int(np.argmax(gap >= 0))
    before = after - 1
    step = -gap[before] / (gap[after] - gap[before])
    rate = curve.miss[before] + step * (curve.miss[after] - curve.miss[before])
    return float(rate), mid_gap(curve.thresholds, int(np.argmin(np.abs(gap))))


def eer_asvspoof(scores: ArrayLike, labels: ArrayLike) -> tuple[float, float]:
    """Equal error rate as the ASVspoof challenges define it, to stand beside published figures.

    Every score in turn becomes the highest rejected one, bona fide before spoof among equals; the rate is the mean
    of both error rates where they differ least, the first time. Ties therefore count against the detector:
    constant scores give 1.0. Prefer `eer` for anything but comparison.

    Returns:
        The rate in [0, 1], and the highest rejected score.

    >>> eer_asvspoof([0.0, 0.0, 0.0], [1, 0, 0])
    (1.0, 0.0)
    """
    s, bona_fide = pairs(scores, labels)
    stacked = np.concatenate((s[bona_fide], s[~bona_fide]))
    order = np.argsort(stacked, kind="stable")
    real = int(bona_fide.sum())
    spoof = s.size - real
    missed = np.cumsum(order < real)
    frr = missed / real
    far = (spoof - (np.arange(1, s.size + 1) - missed)) / spoof
    at = int(np.argmin(np.abs(frr - far)))
    return float((frr[at] + far[at]) / 2), float(stacked[order[at]])


def auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Probability that a bona fide clip scores above a spoof one, ties counting one half (Mann-Whitney U).

    >>> auroc([2.0, 1.0, 1.0, 0.0], [1, 1, 0, 0])
    0.875
    """
    _, real, spoof = tally(*pairs(scores, labels))
    above = real.sum() - np.cumsum(real)
    twice = int((spoof * (2 * above + real)).sum())  # in integers, so that it is exact
    return twice / (2 * int(real.sum()) * int(spoof.sum()))


def min_dcf(
    scores: ArrayLike, labels: ArrayLike, *, c_miss: float = 1.0, c_fa: float = 10.0, p_spoof: float = 0.05
) -> tuple[float, float]:
    """Least normalised detection cost over all thresholds, and where it is reached (ASVspoof 5, track 1).

    `c_miss (1 - p_spoof) miss + c_fa p_spoof false_alarm`, divided by the cheaper of "accept all" and "reject all",
    so that 1 is a detector that does not listen.

    Returns:
        The cost in [0, 1], and a threshold: mid-gap, as in `eer`; +inf when rejecting every clip is cheapest.

    >>> min_dcf([3.0, 2.0, 0.5, 1.0, -1.0, -2.0], [1, 1, 1, 0, 0, 0])
    (0.3333333333333333, -0.25)
    """
    miss_weight, fa_weight = cost_weights(c_miss, c_fa, p_spoof)
    curve = det_curve(scores, labels)
    cost = miss_weight * curve.miss + fa_weight * curve.false_alarm
    at = int(np.argmin(cost))
    return float(cost[at]), mid_gap(curve.thresholds, at)


def act_dcf(
    scores: ArrayLike, labels: ArrayLike, *, c_miss: float = 1.0, c_fa: float = 10.0, p_spoof: float = 0.05
) -> float:
    """Normalised detection cost at the Bayes threshold, reading scores as log-likelihood ratios (ASVspoof 5).

    The threshold is `-ln(c_miss (1 - p_spoof) / (c_fa p_spoof))`, -ln 1.9 by default. Above `min_dcf` by what
    miscalibration costs.

    >>> act_dcf([3.0, 2.0, 0.5, 1.0, -1.0, -2.0], [1, 1, 1, 0, 0, 0])
    0.3333333333333333
    """
    miss_weight, fa_weight = cost_weights(c_miss, c_fa, p_spoof)
    s, bona_fide = pairs(scores, labels)
    accepted = s >= bayes_threshold(c_miss, c_fa, p_spoof)
    miss = 1 - np.count_nonzero(accepted & bona_fide) / np.count_nonzero(bona_fide)
    false_alarm = np.count_nonzero(accepted & ~bona_fide) / np.count_nonzero(~bona_fide)
    return float(miss_weight * miss + fa_weight * false_alarm)


def tie_fraction(scores: ArrayLike) -> float:
    """Share of clips that repeat the score of another: 1 - distinct scores / clips.

    >>> tie_fraction([0.1, 0.1, 0.2, 0.3])
    0.25
    """
    s = as_scores(scores)
    return 1 - np.unique(s).size / s.size


def cost_weights(c_miss: float = 1.0, c_fa: float = 10.0, p_spoof: float = 0.05) -> tuple[float, float]:
    """Weights of miss and false-alarm rate in the normalised detection cost: the smaller is 1.

    Raises:
        MetricError: for a cost that is not positive, or a prior outside (0, 1).
    """
    if not (c_miss > 0 and c_fa > 0 and 0 < p_spoof < 1):
        raise MetricError(f"costs must be positive and p_spoof in (0, 1): found {c_miss}, {c_fa} and {p_spoof}")
    miss, false_alarm = c_miss * (1 - p_spoof), c_fa * p_spoof
    cheapest = min(miss, false_alarm)
    return miss / cheapest, false_alarm / cheapest


def bayes_threshold(c_miss: float = 1.0, c_fa: float = 10.0, p_spoof: float = 0.05) -> float:
    """The threshold of least expected cost for scores that are log-likelihood ratios: -ln 1.9 by default."""
    miss, false_alarm = cost_weights(c_miss, c_fa, p_spoof)
    return -log(miss / false_alarm)


def mid_gap(thresholds: Floats, at: int) -> float:
    """Middle of the gap below `thresholds[at]`: the same decisions here, the widest margin elsewhere."""
    upper = float(thresholds[at])
    lower = float(thresholds[at - 1]) if at else upper
    if not (isfinite(lower) and isfinite(upper)):
        return upper
    middle = lower / 2 + upper / 2
    return middle if lower < middle else upper  # neighbouring floats have no middle
