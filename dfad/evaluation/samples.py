"""Numbers with their uncertainty: metrics of several systems on the same clips, and on the same resamples of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeVar

import numpy as np

from dfad.evaluation.units import Unit
from dfad.metrics.bootstrap import Interval, System, distributions, interval, rate_interval, untold
from dfad.metrics.pairs import Floats

Key = TypeVar("Key")


@dataclass(frozen=True)
class Measured:
    """A number with its 95 % interval; NaN where one is not defined."""

    value: float
    interval: Interval

    def plain(self) -> dict[str, Any]:
        """As `value` and `interval`, for JSON."""
        return {"value": plain(self.value), "interval": [plain(end) for end in self.interval]}


@dataclass(frozen=True)
class Sample:
    """A metric on all clips, and on every resample of them.

    Shape:
        - drawn: (resamples,); empty without any.
    """

    value: float
    drawn: Floats

    def rate(self, clusters: int) -> Measured:
        """As a share of clips."""
        return Measured(self.value, rate_interval(self.value, self.drawn, clusters))

    def number(self, clusters: int) -> Measured:
        """As any other number."""
        return Measured(self.value, interval(self.drawn, clusters))


def samples(
    systems: Mapping[Key, System],
    labels: np.ndarray,
    unit: Unit,
    resamples: int,
    progress: Callable[[int, int], None] = untold,
) -> dict[Key, dict[str, Sample]]:
    """All metrics of all systems, paired.

    Shape:
        labels: (clips,) 1 = bona fide, 0 = spoof
    """
    nothing = [dict.fromkeys(system.names, np.empty(0)) for system in systems.values()]
    drawn = (
        distributions(list(systems.values()), labels, unit.clusters, resamples=resamples, progress=progress)
        if resamples
        else nothing
    )
    once = np.ones((1, len(labels)))
    return {
        key: {
            name: Sample(float(value), spread[name])
            for name, value in zip(system.names, system(once)[:, 0], strict=True)
        }
        for (key, system), spread in zip(systems.items(), drawn, strict=True)
    }


def plain(value: float) -> float | None:
    """A number for JSON, which knows neither NaN nor infinity.

    >>> plain(0.5), plain(float("nan"))
    (0.5, None)
    """
    return float(value) if isfinite(value) else None
