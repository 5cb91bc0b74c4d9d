"""Augmentation: draws an effect's parameters for every clip, then applies the effect; two separate steps.

Every draw depends on (seed, epoch, clip, how often the clip came up in this epoch) and on nothing else, see `draws`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from dfad.draws import Draws
from dfad.effects.level import gain, invert, within_full_scale
from dfad.effects.mask import mask
from dfad.effects.noise import add_noise
from dfad.effects.time import shift
from dfad.knobs import Free, Knobs

Drawn = Mapping[str, Tensor]  # a row per clip in every tensor


class _Sometimes(Knobs):
    """An augmentation that happens to a clip with probability `p`."""

    p: float = Field(0.5, ge=0, le=1, description="probability per clip")

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw the parameters of every clip."""
        return {}

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws) -> Tensor:
        """Apply the effect with the drawn parameters; `draws` serves only for signals as long as the clip."""
        raise NotImplementedError


class _BetweenLevels(_Sometimes):
    """An augmentation with a level drawn between two, in dB."""

    low_db: float
    high_db: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low_db > self.high_db:
            raise ValueError(f"low_db={self.low_db} is above high_db={self.high_db}")
        return self


class Gain(_BetweenLevels):
    """A random gain, as far as full scale allows; it matters to frontends with `level=none`."""

    low_db: float = Field(-12.0, description="lowest gain, dB")
    high_db: float = Field(6.0, description="highest gain, dB")

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw `gain_db`."""
        return {"gain_db": draws.uniform("gain_db", low=self.low_db, high=self.high_db)}

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws) -> Tensor:
        """Scale the clips."""
        return within_full_scale(gain(x, drawn["gain_db"]))


class Polarity(_Sometimes):
    """The sign of the waveform turned; power spectra do not see it, `raw` does."""

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws) -> Tensor:
        """Turn the sign."""
        return invert(x)


class Shift(_Sometimes):
    """A rotation in time."""

    max_ms: float = Field(500.0, gt=0, description="largest shift to either side, ms")

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw `samples`."""
        most = min(round(self.max_ms * sample_rate / 1000), samples - 1)
        return {"samples": draws.integer("shift", 2 * most + 1) - most}

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws) -> Tensor:
        """Rotate the clips."""
        return shift(x, drawn["samples"])


class Noise(_BetweenLevels):
    """White noise at a random signal-to-noise ratio."""

    low_db: float = Field(20.0, description="lowest signal-to-noise ratio, dB")
    high_db: float = Field(40.0, description="highest signal-to-noise ratio, dB")

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw `snr_db`."""
        return {"snr_db": draws.uniform("snr_db", low=self.low_db, high=self.high_db)}

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws) -> Tensor:
        """Add the noise."""
        return within_full_scale(add_noise(x, draws.normal("noise", x.shape[-1]), drawn["snr_db"]))


class SpecAugment(Knobs):
    """Stripes of bands and of frames masked in every clip (Park et al., Interspeech 2019)."""

    band_masks: int = Field(2, ge=0, le=16, description="stripes over bands")
    band_width: float = Field(0.15, gt=0, le=1, description="largest share of the bands that one stripe hides")
    time_masks: int = Field(2, ge=0, le=16, description="stripes over time")
    time_width: float = Field(0.15, gt=0, le=1, description="largest share of the clip that one stripe hides")

    def draw(self, draws: Draws, bands: int, frames: int) -> dict[str, Tensor]:
        """Draw starts and widths, (batch, stripes) each."""
        drawn = {}
        for axis, size, count, share in (
            ("band", bands, self.band_masks, self.band_width),
            ("time", frames, self.time_masks, self.time_width),
        ):
            width = (draws.uniform(f"{axis}_width", count) * (int(share * size + 1e-6) + 1)).long()
            drawn[f"{axis}_width"] = width
            drawn[f"{axis}_start"] = (draws.uniform(f"{axis}_start", count) * (size - width + 1)).long()
        return drawn

    def apply(self, features: Tensor, drawn: Drawn) -> Tensor:
        """Mask the stripes. Shape: (batch, 1, bands, frames), kept."""
        for axis, dim in (("band", -2), ("time", -1)):
            if drawn[f"{axis}_start"].shape[1]:
                features = mask(features, drawn[f"{axis}_start"], drawn[f"{axis}_width"], dim)
        return features


class AugmentKnobs(Knobs):
    """What is done to training clips, in this order; null leaves an effect out."""

    name: Annotated[str, Free] = Field("none", description="of the preset; it has no effect by itself")
    crop: Literal["random", "start"] = Field("start", description="which part of a longer clip an epoch hears")
    shift: Shift | None = None
    polarity: Polarity | None = None
    noise: Noise | None = None
    gain: Gain | None = None
    specaugment: SpecAugment | None = None

    @property
    def random(self) -> bool:
        """Whether a clip comes out otherwise in every epoch."""
        effects = (self.shift, self.polarity, self.noise, self.gain, self.specaugment)
        return self.crop == "random" or any(effect is not None for effect in effects)

    def wave(self, wave: Tensor, draws: Draws, sample_rate: int) -> Tensor:
        """Augment waveforms.

        Args:
            wave: at `sample_rate`.
            draws: of the clips, on the CPU, where parameters are drawn without waiting for a device.
            sample_rate: Hz.

        Shape:
            (batch, samples) -> (batch, samples)
        """
        for name in ("shift", "polarity", "noise", "gain"):
            step: _Sometimes | None = getattr(self, name)
            if step is None:
                continue
            rows = (draws.uniform(f"{name}?") < step.p).nonzero()[:, 0]
            if not len(rows):
                continue
            some = draws[rows]
            drawn = _to(step.draw(some, wave.shape[-1], sample_rate), wave.device)
            rows = rows.to(wave.device, non_blocking=True)
            wave = wave.index_copy(0, rows, step.apply(wave[rows], drawn, some.to(wave.device)))
        return wave

    def features(self, features: Tensor, draws: Draws) -> Tensor:
        """Augment features; waveforms, which `raw` gives as features, pass through.

        Shape:
            (batch, 1, bands, frames) -> (batch, 1, bands, frames)
        """
        if self.specaugment is None or features.ndim != 4:
            return features
        drawn = self.specaugment.draw(draws, features.shape[-2], features.shape[-1])
        return self.specaugment.apply(features, _to(drawn, features.device))


def _to(drawn: Drawn, device: torch.device) -> Drawn:
    return {name: value.to(device, non_blocking=True) for name, value in drawn.items()}
