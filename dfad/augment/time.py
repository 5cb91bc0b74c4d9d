"""Augmentation of when things happen."""

from __future__ import annotations

from math import inf

import torch
from pydantic import Field
from torch import Tensor

from dfad.augment.base import Drawn, Scene, Sometimes
from dfad.draws import Draws
from dfad.effects.level import within_full_scale
from dfad.effects.time import insert_silence, shift, speed, trim_silence


class Speed(Sometimes):
    """Played faster or slower; pitch and tempo change together."""

    low_factor: float = Field(0.9, ge=0.5, le=2, description="slowest, 1 = as it is")
    high_factor: float = Field(1.1, ge=0.5, le=2, description="fastest")

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw `factor`."""
        return {"factor": self._between(draws, "speed.factor", "factor")}

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws, scene: Scene) -> Tensor:
        """Play at that speed."""
        return within_full_scale(speed(x, drawn["factor"]))


class Silence(Sometimes):
    """The silence around the speech: removed from some clips, then some put ahead of it."""

    trim_p: float = Field(0.5, ge=0, le=1, description="share of the clips hit that first lose their own at both ends")
    threshold_db: float = Field(-40.0, lt=0, description="silent is what is below this, dB against the loudest frame")
    max_ms: float = Field(300.0, ge=0, description="most silence put ahead, ms")

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw `threshold_db`, minus infinity where nothing is removed, and `samples`."""
        trimmed = draws.uniform("silence.trim") < self.trim_p
        most = min(round(self.max_ms * sample_rate / 1000), samples - 1)
        return {
            "threshold_db": torch.where(trimmed, self.threshold_db, -inf),
            "samples": draws.integer("silence.samples", most + 1),
        }

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws, scene: Scene) -> Tensor:
        """Remove and insert."""
        return insert_silence(trim_silence(x, scene.sample_rate, drawn["threshold_db"]), drawn["samples"])


class Shift(Sometimes):
    """A rotation in time."""

    max_ms: float = Field(500.0, gt=0, description="largest shift to either side, ms")

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw `samples`."""
        most = min(round(self.max_ms * sample_rate / 1000), samples - 1)
        return {"samples": draws.integer("shift", 2 * most + 1) - most}

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws, scene: Scene) -> Tensor:
        """Rotate the clips."""
        return shift(x, drawn["samples"])
