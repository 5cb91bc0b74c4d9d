"""Whether scores mean what they say: reliability of the posterior, and the detection cost at every prior.

Scores are read as log-likelihood ratios of bona fide to spoof, nats. Infinite ones are legal; one class, a NaN or
nothing at all raises `dfad.errors.MetricError`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression
from scipy.special import expit

from dfad.errors import MetricError
from dfad.metrics.det import det_curve
from dfad.metrics.pairs import Floats, Ints, pairs

_FARTHEST = 100.0  # log-odds beyond which a prior is as good as certain


class Reliability(NamedTuple):
    """Predicted and observed share of spoof, bin by bin; bins without a clip are left out.

    Shape:
        - predicted: (bins with clips,) mean P(spoof) that the scores state, ascending.
        - observed: the same shape, weighted share of spoof clips.
        - clips: the same shape, int64, clips of both classes.
        - ece: one number in [0, 1], the expected calibration error: the mean of `|observed - predicted|` over bins,
          each with the weight of its clips.
    """

    predicted: Floats
    observed: Floats
    clips: Ints
    ece: float


class Costs(NamedTuple):
    """Normalised Bayes cost over the prior.

    Shape:
        - log_odds: (priors,) of bona fide, nats.
        - actual: (priors,) at the Bayes threshold `-log_odds`.
        - minimum: (priors,) at the best threshold, at most 1.
    """

    log_odds: Floats
    actual: Floats
    minimum: Floats


def reliability(llrs: ArrayLike, labels: ArrayLike, *, p_spoof: float = 0.5, bins: int = 10) -> Reliability:
    """Compare the stated P(spoof) with the share of spoof clips, in bins of equal width (DeGroot, Fienberg, 1983).

    P(spoof) of a clip is `1 / (1 + exp(llr + ln((1 - p_spoof) / p_spoof)))`. A spoof clip weighs `p_spoof / spoof
    clips` and a bona fide one `(1 - p_spoof) / bona fide clips`, so that the classes have the stated prior and a
    calibrated detector lies on the diagonal, however many clips of each there are.

    Shape:
        - llrs: (clips,) log-likelihood ratios of bona fide to spoof, nats.
        - labels: (clips,) 1 = bona fide, 0 = spoof.

    Raises:
        MetricError: as `dfad.metrics.pairs.pairs`, or p_spoof outside (0, 1), or no bins.

    >>> found = reliability([0.0, 0.0, 0.0], [1, 0, 0])
    >>> found.predicted.tolist(), found.observed.tolist(), found.clips.tolist(), found.ece
    ([0.5], [0.5], [3], 0.0)
    """
    if not (0 < p_spoof < 1 and bins >= 1):
        raise MetricError(f"p_spoof must be in (0, 1) and bins 1 or more: found {p_spoof} and {bins}")
    s, bona_fide = pairs(llrs, labels)
    stated = expit(-(s + np.log((1 - p_spoof) / p_spoof)))
    weight = np.where(bona_fide, (1 - p_spoof) / bona_fide.sum(), p_spoof / (~bona_fide).sum())
    bin_of = np.minimum((stated * bins).astype(np.int64), bins - 1)
    clips = np.bincount(bin_of, minlength=bins)
    held = clips > 0
    total = np.bincount(bin_of, weight, bins)[held]
    predicted = np.bincount(bin_of, weight * stated, bins)[held] / total
    observed = np.bincount(bin_of, weight * ~bona_fide, bins)[held] / total
    return Reliability(predicted, observed, clips[held], float(np.sum(total * np.abs(observed - predicted))))


def cost_over_prior(scores: ArrayLike, labels: ArrayLike, log_odds: ArrayLike) -> Costs:
    """Normalised Bayes cost at each prior: Brümmer and du Preez' error-rate plot (2006), divided by the better guess.

    With the prior P of bona fide, `P miss + (1 - P) false alarm`, divided by `min(P, 1 - P)`: 1 is a detector that
    does not listen. Costs and prior of an application come in as one effective prior, whose log-odds are
    `ln(c_miss (1 - p_spoof) / (c_fa p_spoof))`: at ln 1.9, `act_dcf` and `min_dcf` of ASVspoof 5.

    Shape:
        - scores: (clips,) log-likelihood ratios of bona fide to spoof, nats.
        - labels: (clips,) 1 = bona fide, 0 = spoof.
        - log_odds: (priors,) of bona fide, nats, within ±100.

    Raises:
        MetricError: as `dfad.metrics.pairs.pairs`, or log-odds that are no numbers within ±100.

    >>> costs = cost_over_prior([3.0, 2.0, 0.5, 1.0, -1.0, -2.0], [1, 1, 1, 0, 0, 0], [0.0])
    >>> costs.actual.round(3).tolist(), costs.minimum.round(3).tolist()
    ([0.333], [0.333])
    """
    odds = np.asarray(log_odds, dtype=np.float64)
    if odds.ndim != 1 or not (np.abs(odds) <= _FARTHEST).all():
        raise MetricError(f"log_odds must be a list of numbers within ±{_FARTHEST:g}")
    curve = det_curve(scores, labels)
    # The best threshold lies on the lower convex hull of the curve, whose corners are where pooling adjacent
    # violators begins a new block: a few hundred points instead of one per score.
    real, spoof = np.diff(curve.miss), -np.diff(curve.false_alarm)
    corners = isotonic_regression(real / (real + spoof), weights=real + spoof).blocks
    miss_weight, fa_weight = np.exp(np.maximum(odds, 0)), np.exp(np.maximum(-odds, 0))
    at = np.searchsorted(curve.thresholds, -odds)
    actual = miss_weight * curve.miss[at] + fa_weight * curve.false_alarm[at]
    minimum = np.outer(miss_weight, curve.miss[corners]) + np.outer(fa_weight, curve.false_alarm[corners])
    return Costs(odds, actual, minimum.min(axis=1))
