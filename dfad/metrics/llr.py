"""How well scores do as log-likelihood ratios: Cllr, and what of it calibration could mend.

Cllr - min Cllr is the loss by miscalibration, min Cllr the loss by overlap of the classes. Infinite scores are
legal; an infinite score on the wrong side makes Cllr infinite.
"""

from __future__ import annotations

from math import log

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression

from dfad.metrics.pairs import Floats, pairs, tally


def cllr(scores: ArrayLike, labels: ArrayLike) -> float:
    """Cost of log-likelihood ratios, in bits (Brümmer and du Preez, 2006).

    `(mean log2(1 + e^-s) over bona fide + mean log2(1 + e^s) over spoof) / 2`: 0 is perfect, 1 is what a detector
    that says nothing (all scores 0) pays, and more than 1 is worse than silence.

    Shape:
        - scores: (clips,) log-likelihood ratios of bona fide to spoof, nats.
        - labels: (clips,) 1 = bona fide, 0 = spoof.

    >>> cllr([0.0, 0.0, 0.0], [1, 0, 0])
    1.0
    """
    s, bona_fide = pairs(scores, labels)
    real, spoof = np.logaddexp(0, -s[bona_fide]), np.logaddexp(0, s[~bona_fide])
    return float((real.mean() + spoof.mean()) / 2 / log(2))


def min_cllr(scores: ArrayLike, labels: ArrayLike) -> float:
    """Cllr after the best increasing map of the scores, in bits: see `pav`.

    >>> min_cllr([-3.0, -1.0, -7.0], [1, 1, 0])  # uncalibrated, but perfectly separated
    0.0
    """
    return cllr(pav(scores, labels), labels)


def pav(scores: ArrayLike, labels: ArrayLike) -> Floats:
    """Log-likelihood ratios by isotonic calibration (pool adjacent violators) on these very labels.

    Optimistic by construction: it bounds what any increasing calibration could reach, and is no calibrator itself.

    Shape:
        - output: (clips,) float64 in the order of `scores`, nats; infinite where only one class is found.

    >>> pav([0.0, 1.0, 2.0, 3.0], [0, 1, 0, 1]).tolist()
    [-inf, 0.0, 0.0, inf]
    """
    s, bona_fide = pairs(scores, labels)
    values, real, spoof = tally(s, bona_fide)  # equal scores are pooled before anything else
    clips = real + spoof
    blocks = isotonic_regression(real / clips, weights=clips).blocks[:-1]
    # The fit says which scores to pool; the ratio is taken from their counts, which are exact.
    with np.errstate(divide="ignore"):
        odds = np.log(np.add.reduceat(real, blocks)) - np.log(np.add.reduceat(spoof, blocks))
    ratios = odds - log(int(real.sum()) / int(spoof.sum()))
    block_of_clip = np.searchsorted(values[blocks], s, side="right") - 1
    return np.asarray(ratios[block_of_clip], dtype=np.float64)
