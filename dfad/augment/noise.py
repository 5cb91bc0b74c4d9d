"""Augmentation by noise."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from dfad.augment.base import BetweenLevels, Drawn
from dfad.draws import Draws
from dfad.effects.level import within_full_scale
from dfad.effects.noise import add_noise


class Noise(BetweenLevels):
    """White noise at a random signal-to-noise ratio."""

    low_db: float = Field(20.0, description="lowest signal-to-noise ratio, dB")
    high_db: float = Field(40.0, description="highest signal-to-noise ratio, dB")

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw `snr_db`."""
        return {"snr_db": draws.uniform("snr_db", low=self.low_db, high=self.high_db)}

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws) -> Tensor:
        """Add the noise."""
        return within_full_scale(add_noise(x, draws.normal("noise", x.shape[-1]), drawn["snr_db"]))
