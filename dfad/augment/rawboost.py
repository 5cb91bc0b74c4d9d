"""RawBoost (Tak et al., ICASSP 2022), with the ranges of the paper."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from dfad.augment.base import Drawn, Scene, Sometimes
from dfad.draws import Draws
from dfad.effects.level import within_full_scale
from dfad.effects.rawboost import convolutive, impulsive, stationary

Algorithm = Literal["convolutive", "impulsive", "stationary"]


class RawBoost(Sometimes):
    """Distortions of channels and devices, from noise alone: RawBoost's three algorithms, one after the other."""

    algorithms: tuple[Algorithm, ...] = Field(
        ("convolutive", "impulsive", "stationary"),
        min_length=1,
        description="in this order: convolutive, impulsive, stationary",
    )
    notches: int = Field(5, ge=1, le=10, description="notches of each filter")
    low_centre_hz: float = Field(20.0, ge=0, description="lowest centre of a notch, Hz")
    high_centre_hz: float = Field(8000.0, ge=0, description="highest centre of a notch, Hz")
    low_width_hz: float = Field(100.0, gt=0, description="narrowest notch, Hz")
    high_width_hz: float = Field(1000.0, gt=0, description="widest notch, Hz")
    low_taps: int = Field(10, ge=1, le=101, description="fewest coefficients of a notch")
    high_taps: int = Field(100, ge=1, le=101, description="most coefficients of a notch")
    powers: int = Field(5, ge=1, le=8, description="convolutive: powers of the clip, the first is linear")
    low_power_db: float = Field(-20.0, description="convolutive: lowest gain of the higher powers, dB")
    high_power_db: float = Field(-5.0, description="convolutive: highest gain of the higher powers, dB")
    share: float = Field(0.1, ge=0, le=1, description="impulsive: most of the samples that are hit")
    gain: float = Field(2.0, ge=0, description="impulsive: strength of the impulses")
    low_snr_db: float = Field(10.0, description="stationary: lowest signal-to-noise ratio, dB")
    high_snr_db: float = Field(40.0, description="stationary: highest signal-to-noise ratio, dB")

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw the notches, the powers' gains, the share of impulses and the noise's level."""
        drawn = {}
        for algorithm, filters in (("convolutive", self.powers), ("stationary", 1)):
            shape = (filters, self.notches)
            for option in ("centre_hz", "width_hz", "taps"):
                low, high = (float(getattr(self, f"{end}_{option}")) for end in ("low", "high"))
                if option == "taps":
                    high += 1.0
                values = draws.uniform(f"rawboost.{algorithm}.{option}", *shape, low=low, high=high)
                drawn[f"{algorithm}_{option}"] = values.floor() if option == "taps" else values
        gains = draws.uniform("rawboost.power_db", self.powers, low=self.low_power_db, high=self.high_power_db)
        gains[:, 0] = 0.0
        return {
            **drawn,
            "power_db": gains,
            "share": draws.uniform("rawboost.share", high=self.share) if self.share else torch.zeros(len(gains)),
            "snr_db": self._between(draws, "rawboost.snr_db", "snr_db"),
        }

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws, scene: Scene) -> Tensor:
        """Distort the clips."""
        for algorithm in self.algorithms:
            x = within_full_scale(self._apply(algorithm, x, drawn, draws, scene.sample_rate))
        return x

    def _apply(self, algorithm: Algorithm, x: Tensor, drawn: Drawn, draws: Draws, sample_rate: int) -> Tensor:
        samples = x.shape[-1]
        if algorithm != "impulsive":
            centre_hz, width_hz, taps = (drawn[f"{algorithm}_{name}"] for name in ("centre_hz", "width_hz", "taps"))
        if algorithm == "convolutive":
            return convolutive(x, sample_rate, centre_hz, width_hz, taps, drawn["power_db"])
        if algorithm == "stationary":
            noise = draws.normal("rawboost.noise", samples)
            return stationary(x, sample_rate, noise, centre_hz[:, 0], width_hz[:, 0], taps[:, 0], drawn["snr_db"])
        gain = torch.full_like(drawn["share"], self.gain)
        return impulsive(x, draws.normal("rawboost.impulses", samples), drawn["share"], gain)
