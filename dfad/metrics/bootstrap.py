"""Uncertainty of metrics by the bootstrap: clips, or whole clusters of them, are drawn with replacement.

Clips of one speaker resemble each other, so that a table of many clips of few speakers knows less than its size says:
the unit that is drawn should be whatever one wants to generalise over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import nan, sqrt
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from dfad.errors import MetricError
from dfad.metrics.pairs import Bools, Floats, Ints, as_labels

RESAMPLES = 2000
LEVEL = 0.95
VALUES_AT_ONCE = 2**17  # so many weights stay in the processor's cache


def untold(done: int, total: int) -> None:
    """Progress of which nobody is told."""


class System(Protocol):
    """What gives metrics of weighted clips, such as `dfad.metrics.weighted.Weighted`."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the metrics."""

    def __call__(self, weights: Floats, /) -> Floats:
        """Shape: (tables, clips) -> (metrics, tables)."""


class Interval(NamedTuple):
    """Both ends of a confidence interval; NaN where it is not defined."""

    low: float
    high: float


def distributions(
    systems: Sequence[System],
    labels: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Callable[[int, int], None] = untold,
) -> list[dict[str, Floats]]:
    """Metrics of resampled tables: the same draws for every system, so that their values are paired.

    Shape:
        - labels: (clips,) 1 = bona fide, 0 = spoof, of each system's scores.
        - clusters: (clips,) names of any kind; None: every clip is one.
        - output: per system, by metric: (resamples,).

    >>> from dfad.metrics.weighted import Weighted
    >>> system = Weighted([2.0, 1.0, 0.5, 0.0], [1, 1, 0, 0], ("eer",))
    >>> distributions([system], [1, 1, 0, 0], resamples=3)
    [{'eer': array([0., 0., 0.])}]
    """
    parts: list[list[Floats]] = [[] for _ in systems]
    done = 0
    for weights in draws(as_labels(labels), clusters, resamples=resamples, seed=seed):
        for part, system in zip(parts, systems, strict=True):
            part.append(system(weights))
        done += len(weights)
        progress(done, resamples)
    return [dict(zip(system.names, np.hstack(part), strict=True)) for system, part in zip(systems, parts, strict=True)]


def draws(bona_fide: Bools, clusters: ArrayLike | None, *, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each clip comes in each resample, some resamples at a time.

    Clusters with both classes, with bona fide only and with spoof only are drawn apart, as many of each as there are:
    every resample then has both classes, and single clips are drawn within their class.

    Shape:
        - output: (some resamples, clips) float64 each time.
    """
    of_clip, classes = _classes(bona_fide, clusters)
    strata = [members for kind in (1, 2, 3) if len(members := np.flatnonzero(classes == kind))]
    random = np.random.default_rng(seed)
    at_once = max(1, VALUES_AT_ONCE // len(of_clip))
    for first in range(0, resamples, at_once):
        rows = min(at_once, resamples - first)
        counts = np.empty((rows, len(classes)))
        for members in strata:
            size = len(members)
            drawn = random.integers(0, size, (rows, size)) + size * np.arange(rows)[:, None]
            counts[:, members] = np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)
        yield counts if clusters is None else counts[:, of_clip]


def cluster_count(bona_fide: Bools, clusters: ArrayLike | None = None) -> int:
    """In how many clusters the class lies that has fewer: the number that limits what can be known.

    Of one class only, its clusters.

    >>> cluster_count(np.array([True, True, False, False]), ["ann", "ben", "ann", "ann"])
    1
    """
    _, classes = _classes(bona_fide, clusters)
    counts = [np.count_nonzero(classes & kind) for kind in (1, 2)]
    return int(min(counts) or max(counts))


def _classes(bona_fide: Bools, clusters: ArrayLike | None) -> tuple[Ints, Ints]:
    """Which cluster each clip is in, and which classes each cluster has: 1 bona fide, 2 spoof, 3 both."""
    if clusters is None:
        return np.arange(len(bona_fide)), np.where(bona_fide, 1, 2)
    names, of_clip = np.unique(np.asarray(clusters), return_inverse=True)
    if len(of_clip) != len(bona_fide):
        raise MetricError(f"{len(bona_fide):,} labels but {len(of_clip):,} clusters: expected one cluster per clip")
    has = [np.bincount(of_clip[side], minlength=len(names)) > 0 for side in (bona_fide, ~bona_fide)]
    return of_clip, has[0] + 2 * has[1].astype(np.int64)


def interval(values: Floats, clusters: int, *, level: float = LEVEL) -> Interval:
    """The expanded percentile interval of a bootstrap distribution (Hesterberg 2015, section 5.1).

    Percentiles alone are too narrow where there are few clusters, by what a normal interval lacks against Student's;
    the share that is cut off on either side is made smaller by that much.

    Args:
        values: of the metric, over resamples; where one is infinite there is no interval.
        clusters: how many there are, as `cluster_count` says.
        level: of confidence.

    >>> [round(end) for end in interval(np.arange(2001.0), clusters=100_000)]
    [50, 1950]
    """
    known = values[~np.isnan(values)]
    if clusters < 2 or not len(known) or np.isinf(known).any():
        return Interval(nan, nan)
    quantile = float(stdtrit(clusters - 1, (1 - level) / 2)) * sqrt(clusters / (clusters - 1))
    tail = float(ndtr(quantile))
    low, high = np.quantile(known, [tail, 1 - tail], method="linear")
    return Interval(float(low), float(high))


def reflected(value: float, between: Interval) -> Interval:
    """The interval mirrored at the value (the basic bootstrap; Davison and Hinkley 1997, section 5.2), within [0, 1].

    A minimum over thresholds or maps is too low on few clips, and lower still in their resamples, by about as much
    again; mirrored, both errors cancel. It may therefore lie above the value altogether.

    >>> reflected(0.5, Interval(0.25, 0.625))
    Interval(low=0.375, high=0.75)
    """
    return Interval(max(0.0, 2 * value - between.high), min(1.0, 2 * value - between.low))


def zero_errors_bound(clusters: int, *, level: float = LEVEL) -> float:
    """The error rate that would still show no error in so many independent tries (Clopper and Pearson, 1934).

    Where nothing went wrong, no resample errs either; that is no proof that nothing ever will.

    >>> round(zero_errors_bound(100), 4)
    0.0362
    """
    return 1 - ((1 - level) / 2) ** (1 / clusters) if clusters else nan


def rate_interval(value: float, drawn: Floats, clusters: int) -> Interval:
    """The interval of a share of clips; where all or none of them count, what so many tries leave open.

    Args:
        value: of the whole table, in [0, 1].
        drawn: the same over resamples.
        clusters: as of `interval`.

    >>> low, high = rate_interval(0.0, np.zeros(50), clusters=100)
    >>> low, round(high, 4)
    (0.0, 0.0362)
    """
    between = interval(drawn, clusters)
    if between.low != between.high:
        return between
    bound = zero_errors_bound(clusters)
    return {0.0: Interval(0.0, bound), 1.0: Interval(1 - bound, 1.0)}.get(value, Interval(nan, nan))


def p_value(differences: Floats, clusters: int) -> float:
    """Two-sided, and in step with `interval`: how much confidence the interval could have and still not hold zero.

    Args:
        differences: of a metric, over resamples.
        clusters: how many there are, as `cluster_count` says; NaN for fewer than two.

    >>> round(p_value(np.array([1.0, 2.0, 3.0]), clusters=100_000), 4)
    0.5
    """
    if clusters < 2:
        return nan
    side = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    quantile = float(ndtri(min(0.5, (side + 1) / (len(differences) + 1))))
    return 2 * float(stdtr(clusters - 1, quantile * sqrt((clusters - 1) / clusters)))
