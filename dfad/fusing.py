"""Weights by which the scores of several detectors become one: by their calibrators, or learnt on validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit

from dfad.calibrate import WRONG_WAY, Calibrator, Logistic, Temperature
from dfad.errors import MetricError
from dfad.metrics.pairs import Floats, pairs

_RIDGE = 1e-4  # pulls weights of standardised scores to 0: detectors that say the same share their weight

Line = tuple[tuple[float, ...], float]  # a weight for each detector, and an offset


def mean_of(calibrators: Sequence[Calibrator | None]) -> Line:
    """The mean of calibrated scores, as weights of the raw ones.

    Raises:
        MetricError: for a detector whose calibrator is missing, or no straight line.

    >>> mean_of([Logistic(slope=2.0, offset=1.0), Temperature(temperature=2.0)])
    ((1.0, 0.25), 0.5)
    """
    slopes, offsets = [], []
    for calibrator in calibrators:
        if isinstance(calibrator, Logistic):
            slope, offset = calibrator.slope, calibrator.offset
        elif isinstance(calibrator, Temperature):
            slope, offset = 1 / calibrator.temperature, 0.0
        else:
            raise MetricError(
                f"{'no' if calibrator is None else calibrator.name} calibrator, which is no straight line"
            )
        slopes.append(slope / len(calibrators))
        offsets.append(offset / len(calibrators))
    return tuple(slopes), float(sum(offsets))


def logistic(scores: ArrayLike, labels: ArrayLike) -> Line:
    """Weights by logistic regression (Brümmer et al., IEEE TASLP 2007), both classes alike, none below 0.

    A detector that would count against what it says itself is left out: validation has fooled it or us. Targets are
    softened as a calibrator's are.

    Shape:
        - scores: (clips, detectors) log-odds of bona fide; labels: (clips,) 1 = bona fide, 0 = spoof.

    Raises:
        MetricError: one class only, a score that is not finite, or detectors that tell nothing apart.
    """
    raw = np.asarray(scores, np.float64)
    bona_fide = pairs(raw[:, 0], labels)[1]
    if not np.isfinite(raw).all():
        raise MetricError("infinite scores cannot be fused")
    middle, scale = raw.mean(0), raw.std(0)
    scale[scale == 0] = 1.0
    z = (raw - middle) / scale
    real, spoof = np.count_nonzero(bona_fide), np.count_nonzero(~bona_fide)
    target = np.where(bona_fide, (real + 1) / (real + 2), 1 / (spoof + 2))
    weight = np.where(bona_fide, 0.5 / real, 0.5 / spoof)

    def loss(line: Floats) -> tuple[float, Floats]:
        logit = z @ line[:-1] + line[-1]
        pull = weight * (expit(logit) - target)
        value = weight @ (np.logaddexp(0, logit) - target * logit) + 0.5 * _RIDGE * line[:-1] @ line[:-1]
        return float(value), np.append(pull @ z + _RIDGE * line[:-1], pull.sum())

    detectors = raw.shape[1]
    bounds = [(0.0, None)] * detectors + [(None, None)]
    begin = np.append(np.full(detectors, 1 / detectors), 0.0)
    found = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-15, "gtol": 1e-9})
    weights = found.x[:-1] / scale
    if not weights.any():
        raise MetricError(WRONG_WAY)
    return tuple(weights.tolist()), float(found.x[-1] - weights @ middle)
