"""Whether a clip sounds like those that a detector was trained on: a distance between long-term spectra.

A clip is its power in a few bands as shares of the whole, in dB, so that level does not count. From training clips come
a mean and a covariance, shrunk towards a multiple of the unit matrix as some bands hardly vary; from validation clips
the Mahalanobis distance that all but a stated share of them keep to (Lee et al., NeurIPS 2018, measure features of
a network so). It finds telephones, music and noise, not a new voice: a clip within the limit may still be foreign.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from dfad.knobs import Knobs
from dfad.scoring.sound import Floats, Sound

BANDS = 12
SHARE = 0.02  # of the validation clips that lie beyond the limit
LEAST_TRAINING, LEAST_VALIDATION = 50, 20  # clips below which nothing is fitted
_FLOOR_DB = -60.0  # rounding to 16 bits is not what sets clips apart
_LOWEST_HZ = 60.0
_SHRINK = 0.1  # share of the unit matrix


class Familiar(Knobs):
    """What training clips sound like.

    Attributes:
        mean: of the features, dB, by band.
        precision: inverse of their shrunk covariance.
        limit: the distance that all but a share of the validation clips keep to.
        share: that one.
    """

    mean: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]
    limit: float = Field(gt=0)
    share: float = Field(SHARE, gt=0, lt=1)

    @model_validator(mode="after")
    def _square(self) -> Familiar:
        if len(self.mean) != BANDS or [len(row) for row in self.precision] != [BANDS] * BANDS:
            raise ValueError(f"expected {BANDS} means and a matrix of {BANDS} rows and columns")
        return self

    def distance(self, sound: Sound) -> float:
        """How far a clip is from those of training, as a share of the limit: above 1 it is unlike them."""
        return float(_distances(features(sound)[None], np.array(self.mean), np.array(self.precision))[0] / self.limit)

    @classmethod
    def fit(cls, training: Floats, validation: Floats) -> Self | None:
        """Learn it; None where there are too few clips, or all of them sound alike.

        Shape:
            training, validation: (clips, bands), as `features` gives them.
        """
        if len(training) < LEAST_TRAINING or len(validation) < LEAST_VALIDATION:
            return None
        mean, covariance = training.mean(axis=0), np.cov(training, rowvar=False)
        variance = float(np.trace(covariance)) / BANDS
        if not variance > 0:
            return None
        precision = np.linalg.inv((1 - _SHRINK) * covariance + _SHRINK * variance * np.eye(BANDS))
        limit = float(np.quantile(_distances(validation, mean, precision), 1 - SHARE))
        if not limit > 0:
            return None
        rows = tuple(tuple(_short(value) for value in row) for row in precision)
        return cls(mean=tuple(_short(value) for value in mean), precision=rows, limit=_short(limit))


def features(sound: Sound) -> NDArray[np.float64]:
    """Power by band, dB re all of it, not below −60. Shape: (bands,)."""
    bins = len(sound.spectrum) - 1
    hertz = np.arange(bins + 1) * sound.sample_rate / 2 / bins
    edges = np.geomspace(_LOWEST_HZ, sound.sample_rate / 2, BANDS + 1)
    band = np.clip(np.searchsorted(edges, hertz, "right") - 1, 0, BANDS - 1)
    power = np.bincount(band[1:], weights=sound.spectrum[1:], minlength=BANDS)  # all but the offset
    return np.maximum(10 * np.log10(np.maximum(power / max(float(power.sum()), 1e-30), 1e-30)), _FLOOR_DB)


def _distances(clips: Floats, mean: Floats, precision: Floats) -> NDArray[np.float64]:
    away = clips - mean
    return np.sqrt(np.maximum(np.einsum("cb,bd,cd->c", away, precision, away), 0))


def _short(value: float) -> float:
    return float(f"{value:.6g}")
