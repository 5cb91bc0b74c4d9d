"""Augmentation by what lies between a recording and its listener: bands, rates, companding."""

from __future__ import annotations

from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from dfad.augment.base import Drawn, Scene, Sometimes, one_of, upper_cut
from dfad.draws import Draws
from dfad.effects.companding import a_law, mu_law
from dfad.effects.filters import band, telephone, tilt
from dfad.effects.level import within_full_scale
from dfad.effects.resampling import through


class Tilt(Sometimes):
    """A spectrum made brighter or duller, as by another microphone."""

    max_db: float = Field(3.0, gt=0, le=12, description="steepest, dB per octave, up or down")

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw `db_per_octave`."""
        return {"db_per_octave": draws.uniform("tilt.db", low=-self.max_db, high=self.max_db)}

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws, scene: Scene) -> Tensor:
        """Tilt the spectra."""
        return within_full_scale(tilt(x, scene.sample_rate, drawn["db_per_octave"]))


class Band(Sometimes):
    """A band outside of which nothing is left."""

    most_low_hz: float = Field(200.0, gt=0, description="lower cut-off, from 0 to this, Hz")
    least_high_hz: float = Field(3000.0, gt=0, description="upper cut-off, from this to half the sample rate, Hz")

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw `low_hz` and `high_hz`."""
        return {
            "low_hz": draws.uniform("band.low_hz", high=self.most_low_hz),
            "high_hz": upper_cut(draws, "band.high_hz", self.least_high_hz, sample_rate),
        }

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws, scene: Scene) -> Tensor:
        """Limit the bands."""
        return within_full_scale(band(x, scene.sample_rate, drawn["low_hz"], drawn["high_hz"]))


class Telephone(Sometimes):
    """The band of a telephone, 300 to 3400 Hz."""

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws, scene: Scene) -> Tensor:
        """Limit the bands."""
        return within_full_scale(telephone(x, scene.sample_rate))


class Resample(Sometimes):
    """To another sample rate and back; one that is not lower changes nothing."""

    rates: tuple[int, ...] = Field((8000, 11025, 12000), min_length=1, description="one is drawn per clip, Hz")

    @model_validator(mode="after")
    def _rates_are_possible(self) -> Self:
        if min(self.rates) < 1000:
            raise ValueError(f"rates={list(self.rates)}: should be 1000 Hz or more")
        return self

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw `rate`."""
        return {"rate": one_of(draws, "resample.rate", self.rates)}

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws, scene: Scene) -> Tensor:
        """Resample."""
        return within_full_scale(through(x, scene.sample_rate, drawn["rate"]))


class Companding(Sometimes):
    """The eight bits of digital telephony (G.711)."""

    laws: tuple[Literal["mu-law", "a-law"], ...] = Field(
        ("mu-law", "a-law"), min_length=1, description="one is drawn per clip: mu-law, a-law"
    )

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw `law`, 1 for the A-law."""
        return {"law": one_of(draws, "companding.law", tuple(float(law == "a-law") for law in self.laws))}

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws, scene: Scene) -> Tensor:
        """Encode and decode; a clip beyond full scale is scaled into it first, as the codes end there."""
        x = within_full_scale(x)
        eight = torch.full_like(drawn["law"], 8.0)
        return torch.where(drawn["law"][:, None] == 1, a_law(x), mu_law(x, eight))
