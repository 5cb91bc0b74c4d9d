"""Calibrators: increasing maps from scores to log-likelihood ratios, fitted on validation and stored as plain JSON.

A detector orders clips; whether a score of 2 means odds of e² is another matter, and a map of one or two numbers learnt
on validation mends most of it. Classes weigh alike in every fit, so that ratios do not depend on how many clips of each
class validation has; a prior is put in afterwards, by `p_spoof`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit

from dfad.errors import MetricError
from dfad.knobs import Knobs, Named
from dfad.metrics.llr import pav
from dfad.metrics.pairs import Bools, Floats, pairs

_FARTHEST = 1e100  # the square of a score has to be a number


class Calibrator(Knobs):
    """Base of the maps."""

    name: str

    def __call__(self, scores: ArrayLike) -> Floats:
        """Map scores to log-likelihood ratios of bona fide to spoof, in nats; any shape, float64."""
        raise NotImplementedError

    @classmethod
    def fit(cls, scores: ArrayLike, labels: ArrayLike) -> Self:
        """Learn the map.

        Shape:
            - scores: (clips,) log-odds of bona fide; labels: (clips,) 1 = bona fide, 0 = spoof.

        Raises:
            MetricError: one class only, an infinite score, scores that are all the same, or the wrong way round.
        """
        raise NotImplementedError


class Logistic(Calibrator):
    """`slope · score + offset`: logistic regression (Platt 1999; Brümmer and du Preez 2006).

    Targets are softened as Platt did, (n + 1) / (n + 2) instead of 1, so that classes which validation separates
    entirely do not give infinite ratios.
    """

    name: Literal["logistic"] = "logistic"
    slope: float = Field(gt=0)
    offset: float

    def __call__(self, scores: ArrayLike) -> Floats:
        """Map scores to log-likelihood ratios."""
        return self.slope * np.asarray(scores, np.float64) + self.offset

    @classmethod
    def fit(cls, scores: ArrayLike, labels: ArrayLike) -> Self:
        """Learn slope and offset."""
        s, bona_fide = _finite_pairs(scores, labels)
        middle, scale = _middle_and_scale(s)
        z, target, weight = (s - middle) / scale, _soft_targets(bona_fide), _balanced(bona_fide)

        def loss(line: Floats) -> tuple[float, Floats]:
            logit = line[0] * z + line[1]
            pull = weight * (expit(logit) - target)
            return float(weight @ (np.logaddexp(0, logit) - target * logit)), np.array([pull @ z, pull.sum()])

        found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS", options={"gtol": 1e-10})
        slope, offset = (float(value) for value in found.x)
        if slope <= 0:
            raise MetricError(WRONG_WAY)
        return cls(slope=slope / scale, offset=offset - slope * middle / scale)


class Temperature(Calibrator):
    """`score / temperature`: keeps the decision at 0 as it is (Guo et al. 2017)."""

    name: Literal["temperature"] = "temperature"
    temperature: float = Field(gt=0)

    def __call__(self, scores: ArrayLike) -> Floats:
        """Map scores to log-likelihood ratios."""
        return np.asarray(scores, np.float64) / self.temperature

    @classmethod
    def fit(cls, scores: ArrayLike, labels: ArrayLike) -> Self:
        """Learn the temperature."""
        s, bona_fide = _finite_pairs(scores, labels)
        target, weight = _soft_targets(bona_fide), _balanced(bona_fide)
        scale = float(np.sqrt(np.mean(s**2))) or 1.0

        def loss(log_slope: float) -> float:
            logit = s / scale * np.exp(log_slope)
            return float(weight @ (np.logaddexp(0, logit) - target * logit))

        if weight @ ((0.5 - target) * s) >= 0:  # the loss rises from slope 0 on: a flat map would be best
            raise MetricError(WRONG_WAY)
        found = minimize_scalar(loss, bounds=(-12.0, 12.0), method="bounded", options={"xatol": 1e-10})
        return cls(temperature=scale / float(np.exp(found.x)))


class Isotonic(Calibrator):
    """The best increasing map of the validation scores, by pooling adjacent violators, joined by straight lines.

    One made-up clip of each class on the wrong side of all others (Laplace's rule) keeps the ratios finite. Needs many
    clips: it follows the validation set closely.
    """

    name: Literal["isotonic"] = "isotonic"
    scores: tuple[float, ...]
    ratios: tuple[float, ...]

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if len(self.scores) != len(self.ratios) or not self.scores:
            raise ValueError("needs one ratio for each score")
        if (np.diff(self.scores) <= 0).any() or (np.diff(self.ratios) < 0).any():
            raise ValueError("scores must rise, and ratios must not fall")
        return self

    def __call__(self, scores: ArrayLike) -> Floats:
        """Map scores to log-likelihood ratios; beyond the scores of validation the outermost ratio holds."""
        return np.interp(np.asarray(scores, np.float64), self.scores, self.ratios)

    @classmethod
    def fit(cls, scores: ArrayLike, labels: ArrayLike) -> Self:
        """Learn the map; of each step both ends are kept."""
        s, bona_fide = _finite_pairs(scores, labels)
        low, high = -np.inf, np.inf
        ratios = pav([low, *s, high], [True, *bona_fide, False])[1:-1]
        order = np.argsort(s, kind="stable")
        s, ratios = s[order], ratios[order]
        if ratios[0] == ratios[-1]:
            raise MetricError(WRONG_WAY)
        step = ratios[1:] != ratios[:-1]
        ends = np.append(True, step) | np.append(step, True)
        knots, first = np.unique(s[ends], return_index=True)
        return cls(scores=tuple(knots.tolist()), ratios=tuple(ratios[ends][first].tolist()))


CALIBRATORS: dict[str, type[Calibrator]] = {
    kind.model_fields["name"].default: kind for kind in (Logistic, Temperature, Isotonic)
}
WRONG_WAY = "the scores do not rise from spoof to bona fide, so there is nothing to calibrate"


class _Stored(Knobs):
    calibrator: Annotated[Calibrator, Named(CALIBRATORS)]


def read_calibrator(values: Mapping[str, Any]) -> Calibrator:
    """Make a calibrator of what its `plain()` gave.

    Raises:
        ConfigError: for anything else.

    >>> read_calibrator({"name": "logistic", "slope": 2.0, "offset": -1.0})([0.5, 1.0]).tolist()
    [0.0, 1.0]
    """
    return _Stored.read({"calibrator": dict(values)}).calibrator


def p_spoof(ratios: ArrayLike, prior: float = 0.5) -> Floats:
    """The probability of spoof, given a log-likelihood ratio and the share of spoof one expects beforehand.

    >>> p_spoof([0.0, 0.0], prior=0.25).tolist()
    [0.25, 0.25]
    """
    return expit(log(prior / (1 - prior)) - np.asarray(ratios, np.float64))


def _finite_pairs(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Bools]:
    s, bona_fide = pairs(scores, labels)
    if not (np.abs(s) <= _FARTHEST).all():
        raise MetricError(f"infinite scores, and those beyond ±{_FARTHEST:g}, cannot be calibrated")
    if np.ptp(s) == 0:
        raise MetricError(f"every score is {s[0]:g}, so there is nothing to calibrate")
    return s, bona_fide


def _middle_and_scale(scores: Floats) -> tuple[float, float]:
    """A shift and a scale that bring any scores to the order of 1, for the optimiser's sake."""
    return float(np.mean(scores)), float(np.std(scores)) or 1.0


def _balanced(bona_fide: Bools) -> Floats:
    """Weights that sum to 1/2 in each class."""
    return np.where(bona_fide, 0.5 / np.count_nonzero(bona_fide), 0.5 / np.count_nonzero(~bona_fide))


def _soft_targets(bona_fide: Bools) -> NDArray[np.float64]:
    real, spoof = np.count_nonzero(bona_fide), np.count_nonzero(~bona_fide)
    return np.where(bona_fide, (real + 1) / (real + 2), 1 / (spoof + 2))
