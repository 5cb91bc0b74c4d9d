"""Metrics of clips that count with a weight, quick enough to be computed thousands of times on the same scores.

With whole numbers as weights they are the metrics of a table in which each clip stands that many times; a bootstrap
resample is such a table. Everything that depends on the scores alone (their order, their ties, their costs) is computed
once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression

from dfad.metrics.decisions import DECISION_KEYS, rates
from dfad.metrics.det import bayes_threshold, cost_weights
from dfad.metrics.pairs import Floats, Ints, any_pairs, pairs


class Weighted:
    """Scores and labels, ready to be weighed.

    Args:
        scores: log-odds of bona fide, (clips,).
        labels: 1 = bona fide, 0 = spoof, (clips,).
        metrics: which ones, of `WEIGHTED`.
        thresholds: by suffix; each gives the metrics of `DECISION_KEYS` at it, such as `miss_at_val` for `_at_val`.

    Raises:
        MetricError: as `pairs`.
    """

    def __init__(
        self,
        scores: ArrayLike,
        labels: ArrayLike,
        metrics: tuple[str, ...],
        thresholds: Mapping[str, float] | None = None,
    ) -> None:
        s, bona_fide = (pairs if metrics else any_pairs)(scores, labels)  # one class has errors, too
        self.order = np.argsort(s, kind="stable")
        self.scores = s[self.order]
        self.real = bona_fide[self.order].astype(np.float64)
        self.last = np.flatnonzero(np.append(self.scores[1:] != self.scores[:-1], True))  # of each distinct score
        self.metrics = {name: WEIGHTED[name] for name in metrics}
        cost = np.logaddexp(0, np.where(self.real == 1, -self.scores, self.scores)) / log(2)
        self.endless = np.isinf(cost)  # kept apart, as 0 times infinity would be NaN
        self.cost = np.where(self.endless, 0, cost)
        # the point of the curve at which clips below the threshold are rejected
        self.cuts = {
            suffix: int(np.searchsorted(self.scores[self.last], at)) for suffix, at in (thresholds or {}).items()
        }
        self.bayes_cut = int(np.searchsorted(self.scores[self.last], bayes_threshold()))

    @property
    def names(self) -> tuple[str, ...]:
        """What `__call__` gives, in order."""
        return (*self.metrics, *(f"{name}{suffix}" for suffix in self.cuts for name in DECISION_KEYS))

    def __call__(self, weights: Floats) -> Floats:
        """The metrics of many tables at once.

        Shape:
            - weights: (tables, clips) >= 0, clips as they were given; some weight in each class.
            - output: (metrics, tables) in the order of `names`.
        """
        curve = _Curve(self, weights[:, self.order])
        values = [metric(curve) for metric in self.metrics.values()]
        for cut in self.cuts.values():
            misses, caught = curve.below[:, cut], curve.caught[:, cut]
            found = rates(caught, curve.all_spoof - caught, misses, curve.all_real - misses)
            values += [found[name] for name in DECISION_KEYS]
        return np.array(values)


class _Curve:
    """Both errors at every distinct score, a row per table.

    Shape:
        - below, caught: (tables, distinct + 1) weight of bona fide and of spoof clips below each distinct score, then
          of all; all_real, all_spoof: (tables,)
    """

    def __init__(self, fixed: Weighted, weights: Floats) -> None:
        self.fixed, self.both = fixed, weights
        self.real = weights * fixed.real
        self.below, self.caught = (_below(part, fixed.last) for part in (self.real, weights))
        self.caught -= self.below
        self.all_real, self.all_spoof = self.below[:, -1], self.caught[:, -1]

    def eer(self) -> Floats:
        gap = self.below / self.all_real[:, None] + self.caught / self.all_spoof[:, None] - 1
        tables, after = np.arange(len(gap)), np.argmax(gap >= 0, axis=1)
        before = after - 1
        step = -gap[tables, before] / (gap[tables, after] - gap[tables, before])
        low, high = self.below[tables, before], self.below[tables, after]
        return (low + step * (high - low)) / self.all_real

    def auroc(self) -> Floats:
        spoof = np.diff(self.caught)
        above = self.all_real[:, None] - (self.below[:, 1:] + self.below[:, :-1]) / 2
        return np.einsum("tc,tc->t", spoof, above) / (self.all_real * self.all_spoof)

    def min_dcf(self) -> Floats:
        miss, false_alarm = self._costs()
        cost = miss[:, None] * self.below - false_alarm[:, None] * self.caught
        return cost.min(axis=1) + false_alarm * self.all_spoof

    def act_dcf(self) -> Floats:
        miss, false_alarm = self._costs()
        cut = self.fixed.bayes_cut
        return miss * self.below[:, cut] + false_alarm * (self.all_spoof - self.caught[:, cut])

    def _costs(self) -> tuple[Floats, Floats]:
        miss, false_alarm = cost_weights()
        return miss / self.all_real, false_alarm / self.all_spoof

    def cllr(self) -> Floats:
        # einsum, as the threads of a BLAS wait for each other on a busy machine
        real, both = (np.einsum("tc,c->t", part, self.fixed.cost) for part in (self.real, self.both))
        cost = (real / self.all_real + (both - real) / self.all_spoof) / 2
        return np.where((self.both[:, self.fixed.endless] > 0).any(axis=1), np.inf, cost)

    def min_cllr(self) -> Floats:
        pairs_of = zip(np.diff(self.below), np.diff(self.caught), strict=True)
        return np.array([_min_cllr(real, spoof) for real, spoof in pairs_of])


def _below(weights: Floats, last: Ints) -> Floats:
    """The weight up to the last clip of each distinct score, 0 first. Shape: (tables, distinct + 1)."""
    found = np.zeros((len(weights), len(last) + 1))
    if len(last) == weights.shape[1]:
        np.cumsum(weights, axis=1, out=found[:, 1:])
    else:
        found[:, 1:] = np.cumsum(weights, axis=1)[:, last]
    return found


def _min_cllr(real: Floats, spoof: Floats) -> float:
    """The least Cllr that an increasing map reaches.

    Shape:
        - real, spoof: (distinct,) weight of either class at each score, ascending.
    """
    clips = real + spoof
    there = clips > 0
    real, spoof, clips = real[there], spoof[there], clips[there]
    blocks = isotonic_regression(real / clips, weights=clips).blocks[:-1]
    real, spoof = (np.add.reduceat(part, blocks) / part.sum() for part in (real, spoof))
    return float(_bits(real, spoof).sum() + _bits(spoof, real).sum()) / 2


def _bits(part: Floats, other: Floats) -> Floats:
    """What clips of one class cost in blocks that hold so much of either; nothing where there are none."""
    return part * np.log2(1 + np.divide(other, part, out=np.zeros_like(part), where=part > 0))


WEIGHTED: dict[str, Callable[[_Curve], Floats]] = {
    name: getattr(_Curve, name) for name in ("eer", "auroc", "min_dcf", "act_dcf", "cllr", "min_cllr")
}
"""The metrics that `Weighted` knows, by their key in `metrics.json`."""
