"""Augmentation of the level and the sign."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from dfad.augment.base import BetweenLevels, Drawn, Sometimes
from dfad.draws import Draws
from dfad.effects.level import gain, invert, within_full_scale


class Gain(BetweenLevels):
    """A random gain, as far as full scale allows; it matters to frontends with `level=none`."""

    low_db: float = Field(-12.0, description="lowest gain, dB")
    high_db: float = Field(6.0, description="highest gain, dB")

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw `gain_db`."""
        return {"gain_db": draws.uniform("gain_db", low=self.low_db, high=self.high_db)}

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws) -> Tensor:
        """Scale the clips."""
        return within_full_scale(gain(x, drawn["gain_db"]))


class Polarity(Sometimes):
    """The sign of the waveform turned; power spectra do not see it, `raw` does."""

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws) -> Tensor:
        """Turn the sign."""
        return invert(x)
