"""AUROC with an interval from ranks alone, clips of one cluster counting together: quick enough for many features."""

from __future__ import annotations

from math import log, nan, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, stdtrit
from scipy.stats import rankdata

from dfad.metrics.bootstrap import LEVEL, Interval, cluster_count
from dfad.metrics.pairs import Bools, Floats, Ints, pairs

_AROUND, _SIDES = [-np.inf, np.inf] * 2, [True, True, False, False]  # a clip below all others and one above, each class


class Area(NamedTuple):
    """Area under the ROC.

    Attributes:
        value: probability that a bona fide clip has more than a spoof one, ties counting one half.
        interval: where it may lie; NaN for fewer than two clusters in a class.
    """

    value: float
    interval: Interval


def area(scores: ArrayLike, labels: ArrayLike, clusters: ArrayLike | None = None, *, level: float = LEVEL) -> Area:
    """AUROC with the interval of Obuchowski (1997); where every clip is a cluster, that of DeLong et al. (1988).

    The share of the other class that a clip beats is its placement. The variance comes from sums of placements over
    clusters, Student's quantile from the clusters of the class that has fewer, and the interval is symmetric in
    log-odds, so that it stays within [0, 1].

    Where the classes do not overlap, or all clips of one are alike, placements do not vary, which is no proof that
    they never would. The interval is therefore made as wide as that of a table in which each class has one clip more
    below all others, and one above: of a share that is the interval of Agresti and Caffo (2000).

    Shape:
        - scores, labels, clusters: (clips,) as everywhere in `dfad.metrics`; clusters by any names, None: every clip.

    Raises:
        MetricError: as `pairs`.

    >>> value, (low, high) = area(np.arange(40.0), np.arange(40) >= 20)
    >>> value, round(low, 3), round(high, 3)
    (1.0, 0.683, 1.0)
    """
    s, bona_fide = pairs(scores, labels)
    fewer = cluster_count(bona_fide, clusters)
    of_clip = np.arange(s.size) if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
    value, error = _of(s, bona_fide, of_clip)
    if fewer < 2:
        return Area(value, Interval(nan, nan))
    more = of_clip.max() + 1 + np.arange(4)
    wider = _of(np.append(s, _AROUND), np.append(bona_fide, _SIDES), np.append(of_clip, more))
    quantile = -float(stdtrit(fewer - 1, (1 - level) / 2))
    ends = [end for middle, deviation in ((value, error), wider) for end in _ends(middle, quantile * deviation)]
    return Area(value, Interval(min(ends), max(ends)))


def _of(scores: Floats, bona_fide: Bools, of_clip: Ints) -> tuple[float, float]:
    """The area and its standard error; 0 where it cannot be told."""
    placed = _placements(scores, bona_fide)
    value = float(placed[bona_fide].mean())
    real, fake = (_sums(placed - value, of_clip, side) for side in (bona_fide, ~bona_fide))
    variance = _variance(real, real) + _variance(fake, fake) + 2 * _variance(real, fake)
    return value, sqrt(max(0.0, variance))


def _ends(value: float, reach: float) -> tuple[float, float]:
    """Both ends of an interval that is symmetric in log-odds."""
    if value in (0.0, 1.0):
        return value, value
    odds, reach = log(value / (1 - value)), reach / (value * (1 - value))
    return float(expit(odds - reach)), float(expit(odds + reach))


class _Sums(NamedTuple):
    """Deviations of the placements of a class, summed over each cluster. Shape: sums, there: (clusters,)."""

    sums: Floats
    there: Bools
    clips: int


def _placements(scores: Floats, bona_fide: Bools) -> Floats:
    """Of a bona fide clip the share of spoof below it, of a spoof clip that of bona fide above; ties one half."""
    ranks = rankdata(scores)
    beaten = np.empty_like(ranks)
    for side in (bona_fide, ~bona_fide):
        beaten[side] = (ranks[side] - rankdata(scores[side])) / (~side).sum()
    return np.where(bona_fide, beaten, 1 - beaten)


def _sums(deviations: Floats, of_clip: Ints, side: Bools) -> _Sums:
    of_side, clusters = of_clip[side], int(of_clip.max()) + 1
    sums = np.bincount(of_side, deviations[side], minlength=clusters).astype(np.float64)
    return _Sums(sums, np.bincount(of_side, minlength=clusters) > 0, of_side.size)


def _variance(one: _Sums, other: _Sums) -> float:
    """Covariance of the mean placements of two classes, the variance of one with itself."""
    clusters = int((one.there | other.there).sum())
    return clusters / max(1, clusters - 1) * float(np.dot(one.sums, other.sums)) / (one.clips * other.clips)
