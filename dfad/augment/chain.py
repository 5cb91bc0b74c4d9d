"""The chain of augmentations: which there are, in which order, and how clips go through them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from dfad.augment.adversarial import Adversarial
from dfad.augment.base import Drawn, Scene, Sometimes, Voice
from dfad.augment.channel import Band, Companding, Resample, Telephone, Tilt
from dfad.augment.codec import Recode
from dfad.augment.level import Clipping, Gain, Polarity, Requantise
from dfad.augment.masks import SpecAugment
from dfad.augment.mixup import Mixup
from dfad.augment.noise import Noise
from dfad.augment.rawboost import RawBoost
from dfad.augment.rooms import Rerecord, Room
from dfad.augment.time import Shift, Silence, Speed
from dfad.augment.vocoded import Vocoded
from dfad.draws import Draws
from dfad.knobs import Free, Knobs, Later

STAGES: Mapping[str, tuple[str, ...]] = {  # the way of a sound from a mouth to a file; effects come in this order
    "speaker": ("speed", "silence", "shift"),
    "room": ("room",),
    "recording": ("rerecord", "tilt", "polarity"),
    "noise": ("noise",),
    "channel": ("clipping", "rawboost", "band", "telephone", "resample"),
    "codec": ("companding", "codec", "requantise"),
    "level": ("gain",),
}


class AugmentKnobs(Knobs):
    """What is done to training clips, in this order, to both classes alike but for `vocoded`; null leaves it out."""

    name: Annotated[str, Free] = Field("none", description="of the preset; it has no effect by itself")
    crop: Literal["random", "start"] = Field("start", description="which part of a longer clip an epoch hears")
    vocoded: Annotated[Vocoded | None, Later] = None
    speed: Annotated[Speed | None, Later] = None
    silence: Annotated[Silence | None, Later] = None
    shift: Shift | None = None
    room: Annotated[Room | None, Later] = None
    rerecord: Annotated[Rerecord | None, Later] = None
    tilt: Annotated[Tilt | None, Later] = None
    polarity: Polarity | None = None
    noise: Noise | None = None
    clipping: Annotated[Clipping | None, Later] = None
    rawboost: Annotated[RawBoost | None, Later] = None
    band: Annotated[Band | None, Later] = None
    telephone: Annotated[Telephone | None, Later] = None
    resample: Annotated[Resample | None, Later] = None
    companding: Annotated[Companding | None, Later] = None
    codec: Annotated[Recode | None, Later] = None
    requantise: Annotated[Requantise | None, Later] = None
    gain: Gain | None = None
    adversarial: Annotated[Adversarial | None, Later] = None
    specaugment: SpecAugment | None = None
    mixup: Annotated[Mixup | None, Later] = None

    @property
    def copies(self) -> float:
        """How many spoofed copies come with a bona fide clip of an epoch, on average."""
        return self.vocoded.p if self.vocoded else 0.0

    @property
    def steps(self) -> Iterator[tuple[str, Sometimes]]:
        """The effects on waveforms that are not left out, in their order."""
        for names in STAGES.values():
            for name in names:
                if (step := getattr(self, name)) is not None:
                    yield name, step

    @property
    def random(self) -> bool:
        """Whether a clip comes out otherwise in every epoch."""
        others = (self.vocoded, self.adversarial, self.specaugment, self.mixup)
        return self.crop == "random" or any(self.steps) or any(effect is not None for effect in others)

    @property
    def reads_files(self) -> bool:
        """Whether an effect needs files or a codec: all effects on waveforms then come where clips are decoded."""
        return any(step.reads_files for _, step in self.steps)

    def require(self) -> None:
        """Refuse, before any work, what cannot be applied here.

        Raises:
            DfadError: for a folder or a library that is missing.
        """
        for name, step in self.steps:
            step.require(f"augment.{name}")

    def wave(self, wave: Tensor, draws: Draws, sample_rate: int, voice: Voice | None = None) -> Tensor:
        """Augment waveforms.

        Args:
            wave: at `sample_rate`.
            draws: of the clips, on the CPU, where parameters are drawn without waiting for a device.
            sample_rate: Hz.
            voice: see `Scene`; for babble, and thus for one clip at a time.

        Shape:
            (batch, samples) -> (batch, samples)
        """
        scene = Scene(sample_rate, voice)
        for name, step in self.steps:
            rows = (draws.uniform(f"{name}?") < step.p).nonzero()[:, 0]
            if not len(rows):
                continue
            some = draws[rows]
            drawn = _to(step.draw(some, wave.shape[-1], sample_rate), wave.device)
            rows = rows.to(wave.device, non_blocking=True)
            wave = wave.index_copy(0, rows, step.apply(wave[rows], drawn, some.to(wave.device), scene))
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
