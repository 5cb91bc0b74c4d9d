"""Scores with their labels: the checks every metric begins with, and the counts most of them need."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfad.errors import MetricError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Tally(NamedTuple):
    """How many clips of each class have each score.

    Shape:
        - values: (distinct,) float64, the distinct scores, ascending.
        - bona_fide, spoof: (distinct,) int64, clips with exactly that score.
    """

    values: Floats
    bona_fide: Ints
    spoof: Ints


def as_scores(scores: ArrayLike) -> Floats:
    """Scores as a float64 vector without a NaN; infinite ones are legal.

    Raises:
        MetricError: not one-dimensional, empty, not numbers, or a NaN among them.
    """
    try:
        vector = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise MetricError(f"scores must be numbers, one per clip: {error}") from error
    if vector.ndim != 1:
        raise MetricError(f"expected one score per clip, shape (clips,), found shape {vector.shape}")
    if vector.size == 0:
        raise MetricError("no scores at all: check that the manifest or slice has clips")
    bad = int(np.isnan(vector).sum())
    if bad:
        raise MetricError(f"{bad:,} of {vector.size:,} scores are NaN: find those clips in the score table")
    return vector


def as_labels(labels: ArrayLike) -> Bools:
    """Labels as booleans, true for bona fide.

    Raises:
        MetricError: not one-dimensional, or anything but 1 (bona fide) and 0 (spoof).
    """
    try:
        vector = np.asarray(labels)
    except ValueError as error:  # ragged
        raise MetricError(f"labels must be 1 or 0, one per clip: {error}") from error
    if vector.ndim != 1:
        raise MetricError(f"expected one label per clip, shape (clips,), found shape {vector.shape}")
    bona_fide = np.asarray(vector == 1, dtype=np.bool_)
    if not (bona_fide | np.asarray(vector == 0, dtype=np.bool_)).all():
        raise MetricError("labels must be 1 (bona fide) or 0 (spoof)")
    return bona_fide


def any_pairs(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Bools]:
    """Checked scores and labels of the same length; one class is enough.

    Raises:
        MetricError: as `as_scores` and `as_labels`, or the lengths differ.
    """
    s, bona_fide = as_scores(scores), as_labels(labels)
    if s.shape != bona_fide.shape:
        raise MetricError(f"{s.size:,} scores but {bona_fide.size:,} labels: expected one label per score")
    return s, bona_fide


def pairs(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Bools]:
    """Checked scores and labels, both classes present.

    Raises:
        MetricError: as `any_pairs`, or a class is missing.
    """
    s, bona_fide = any_pairs(scores, labels)
    if bona_fide.all():
        raise MetricError("one class only: every clip is bona fide, so nothing can be told apart; add spoof clips")
    if not bona_fide.any():
        raise MetricError("one class only: every clip is spoof, so nothing can be told apart; add bona fide clips")
    return s, bona_fide


def tally(scores: Floats, bona_fide: Bools) -> Tally:
    """Count each class at each distinct score.

    >>> tally(np.array([0.5, 2.0, 0.5]), np.array([True, True, False]))
    Tally(values=array([0.5, 2. ]), bona_fide=array([1, 1]), spoof=array([1, 0]))
    """
    order = np.argsort(scores)
    ordered = scores[order]
    # Compared, not subtracted: inf - inf would be NaN.
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    clips = np.diff(np.append(first, ordered.size))
    real = np.add.reduceat(bona_fide[order].astype(np.int64), first)
    return Tally(ordered[first], real, clips - real)
