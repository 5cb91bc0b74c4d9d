"""Augmentation of the level, the sign and the grid."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from dfad.augment.base import Drawn, Scene, Sometimes
from dfad.draws import Draws
from dfad.effects.level import clip, gain, invert, requantise, within_full_scale


class Gain(Sometimes):
    """A random gain, as far as full scale allows; it matters to frontends with `level=none`."""

    low_db: float = Field(-12.0, description="lowest gain, dB")
    high_db: float = Field(6.0, description="highest gain, dB")

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw `gain_db`."""
        return {"gain_db": self._between(draws, "gain_db", "db")}

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws, scene: Scene) -> Tensor:
        """Scale the clips."""
        return within_full_scale(gain(x, drawn["gain_db"]))


class Polarity(Sometimes):
    """The sign of the waveform turned; power spectra do not see it, `raw` does."""

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws, scene: Scene) -> Tensor:
        """Turn the sign."""
        return invert(x)


class Clipping(Sometimes):
    """Peaks cut off, as by an input that is turned up too far."""

    low_ceiling: float = Field(0.2, gt=0, le=1, description="lowest ceiling, share of the clip's peak")
    high_ceiling: float = Field(0.9, gt=0, le=1, description="highest ceiling, share of the clip's peak")

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw `ceiling`."""
        return {"ceiling": self._between(draws, "clipping.ceiling", "ceiling")}

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws, scene: Scene) -> Tensor:
        """Cut off."""
        return clip(x, drawn["ceiling"])


class Requantise(Sometimes):
    """Rounded to the grid of fewer bits."""

    low_bits: int = Field(8, ge=2, le=16, description="fewest bits per sample")
    high_bits: int = Field(14, ge=2, le=16, description="most bits per sample")

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw `bits`."""
        return {"bits": self.low_bits + draws.integer("requantise.bits", self.high_bits - self.low_bits + 1)}

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws, scene: Scene) -> Tensor:
        """Round; a clip beyond full scale is scaled into it first, as the grid ends there."""
        return requantise(within_full_scale(x), drawn["bits"])
