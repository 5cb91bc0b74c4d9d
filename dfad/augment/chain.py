"""The chain of augmentations: which there are, in which order, and how a batch goes through them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from dfad.augment.base import Drawn, Sometimes
from dfad.augment.level import Gain, Polarity
from dfad.augment.masks import SpecAugment
from dfad.augment.noise import Noise
from dfad.augment.time import Shift
from dfad.augment.vocoded import Vocoded
from dfad.draws import Draws
from dfad.knobs import Free, Knobs


class AugmentKnobs(Knobs):
    """What is done to training clips, in this order; null leaves an effect out."""

    name: Annotated[str, Free] = Field("none", description="of the preset; it has no effect by itself")
    crop: Literal["random", "start"] = Field("start", description="which part of a longer clip an epoch hears")
    vocoded: Vocoded | None = None
    shift: Shift | None = None
    polarity: Polarity | None = None
    noise: Noise | None = None
    gain: Gain | None = None
    specaugment: SpecAugment | None = None

    def identity(self) -> dict[str, Any]:
        """Give the options that can change a run's numbers; one that came later and is off is left out."""
        values = super().identity()
        if self.vocoded is None:
            del values["vocoded"]
        return values

    @property
    def copies(self) -> float:
        """How many spoofed copies come with a bona fide clip of an epoch, on average."""
        return self.vocoded.p if self.vocoded else 0.0

    @property
    def random(self) -> bool:
        """Whether a clip comes out otherwise in every epoch."""
        effects = (self.vocoded, self.shift, self.polarity, self.noise, self.gain, self.specaugment)
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
            step: Sometimes | None = getattr(self, name)
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
