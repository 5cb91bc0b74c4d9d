"""What an explanation is: plain arrays with their places in time and frequency."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfad.scoring.result import Result

POLARITY = "positive = speaks for spoof, negative = for bona fide"
_MOST_BANDS, _MOST_FRAMES = 64, 128  # cells of a map's small form

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Map:
    """How much each part of the crop speaks for spoof; negative: for bona fide.

    Attributes:
        name: `gradcam`, `gradients`, `occlusion-time` or `occlusion-frequency`.
        values: low frequencies first. One row is about all frequencies together, one column about the whole crop.
        hertz: lower and upper ends of the rows.
        seconds: ends of the columns, from the clip's start.
        unit: of the values.
        adds_up: whether the values of several cells together are their sum.

    Shape:
        values: (bands, frames) float64; hertz: (bands + 1,); seconds: (frames + 1,)
    """

    name: str
    values: Floats
    hertz: Floats
    seconds: Floats
    unit: str
    adds_up: bool = False

    def smaller(self, bands: int = _MOST_BANDS, frames: int = _MOST_FRAMES) -> Map:
        """The same in fewer and larger cells, each the sum of what it holds, or the mean where values do not add up."""
        rows, columns = (_steps(n, most) for n, most in zip(self.values.shape, (bands, frames), strict=True))
        values = np.add.reduceat(np.add.reduceat(self.values, rows[:-1], axis=0), columns[:-1], axis=1)
        if not self.adds_up:
            values = values / np.outer(np.diff(rows), np.diff(columns))
        return Map(self.name, values, self.hertz[rows], self.seconds[columns], self.unit, self.adds_up)

    def to_json(self) -> dict[str, Any]:
        """The small form, as JSON can hold it: values of four digits."""
        small = self.smaller()
        return {
            "name": self.name,
            "unit": self.unit,
            "hertz": np.round(small.hertz, 1).tolist(),
            "seconds": np.round(small.seconds, 4).tolist(),
            "values": [[float(f"{value:.4g}") for value in row] for row in small.values],
        }


@dataclass(frozen=True)
class Explanation:
    """Why a detector says what it says of one crop of a clip, and what it says of the rest.

    Attributes:
        result: of the whole clip, with the score over time in its windows.
        start_s, end_s: of the explained crop, seconds from the clip's start; of a clip that was repeated, its own end.
        crop: what the detector says of the crop alone.
        crop_s: length of what it hears: longer than `end_s - start_s` if the clip was repeated.
        p_threshold: P(spoof) at the threshold; NaN where scores tell no probability.
        p_baseline: P(spoof) of the baseline, from which integrated gradients start, and by which occlusion replaces.
        maps: what the methods found.
        notes: what could not be explained, and why; what to read with care.
        sample_rate: of the waveforms, Hz.
        heard: the crop as the detector hears it.
        around: the crop and what surrounds it in the clip.
        around_s: where that starts, seconds from the clip's start.

    Shape:
        heard: (crop samples,) float32; around: (any,) float32
    """

    result: Result
    start_s: float
    end_s: float
    crop: Result
    crop_s: float
    p_threshold: float
    p_baseline: float
    maps: tuple[Map, ...]
    notes: tuple[str, ...]
    sample_rate: int
    heard: NDArray[np.float32]
    around: NDArray[np.float32]
    around_s: float

    def map(self, name: str) -> Map | None:
        """The map of a name; None if there is none."""
        return next((one for one in self.maps if one.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """The small form, as JSON can hold it: no waveforms, maps of at most 64 × 128 cells, None for NaN."""
        whole, crop = (_finite(asdict(result)) for result in (self.result, self.crop))
        whole["windows"] = [_finite(asdict(window)) for window in self.result.windows]
        return {
            "polarity": POLARITY,
            "result": whole | {"warnings": list(self.result.warnings)},
            "explained": {
                "start_s": self.start_s,
                "end_s": self.end_s,
                "heard_s": self.crop_s,
                **{name: crop[name] for name in ("score", "p_spoof", "verdict", "raw_score")},
            },
            **_finite({"p_threshold": self.p_threshold, "p_baseline": self.p_baseline}),
            "maps": [one.to_json() for one in self.maps],
            "notes": list(self.notes),
        }


def _steps(cells: int, most: int) -> NDArray[np.intp]:
    """Where each of at most so many groups of neighbours begins, and the end."""
    return np.linspace(0, cells, min(cells, most) + 1).round().astype(np.intp)


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    return {key: None if isinstance(value, float) and not isfinite(value) else value for key, value in values.items()}
