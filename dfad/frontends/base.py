"""What every frontend is: options of the input it works on, and level → transform → normalise.

A frontend also says at which rate and on which crop a detector works, as both belong to what the network sees.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from dfad.knobs import Knobs

_SILENCE = 1e-4  # RMS below which a clip is not amplified any further (−80 dBFS)


class FrontendKnobs(Knobs):
    """What every frontend has: the input it works on, and how level and features are normalised."""

    name: str
    sample_rate: int = Field(16000, ge=4000, le=96000, description="Hz; every clip is resampled to it")
    crop_s: float = Field(2.0, gt=0, le=60, description="seconds of a clip that the network sees")
    level: Literal["rms", "peak", "none"] = Field("rms", description="scale each clip to unit RMS or peak")
    normalise: Literal["clip", "band", "none"] = Field(
        "clip", description="zero mean and unit deviation over the whole clip, or over time in every band"
    )

    @model_validator(mode="after")
    def _crop_is_enough(self) -> FrontendKnobs:
        if self.crop_samples < self.least_samples:
            least = self.least_samples / self.sample_rate
            raise ValueError(f"crop_s={self.crop_s} is too short; frontend={self.name} needs at least {least:.3g} s")
        return self

    @property
    def least_samples(self) -> int:
        """Length of the shortest waveform that gives features."""
        return 1

    @property
    def margin(self) -> int:
        """Samples that are mirrored at either end before the transform."""
        return 0

    @property
    def crop_samples(self) -> int:
        """Length of the network's input in samples."""
        return round(self.crop_s * self.sample_rate)

    @property
    def top_hz(self) -> float:
        """The highest frequency that is heard."""
        return self.sample_rate / 2

    @property
    def spectral(self) -> bool:
        """Whether the features are a map of bands over frames, not a waveform."""
        return True

    def transform(self) -> nn.Module:
        """Make the part that is this frontend's own: (batch, samples) → (batch, bands, frames)."""
        raise NotImplementedError

    def build(self) -> Frontend:
        """Make the frontend."""
        return Frontend(self)


class Frontend(nn.Module):
    """Level → transform → normalise, in float32 whatever the autocast, differentiable down to the waveform.

    Shape:
        wave: (batch, samples) float32, nominally in [-1, 1], at `knobs.sample_rate`
        -> (batch, 1, bands, frames) float32, or (batch, samples) for `raw`
    """

    def __init__(self, knobs: FrontendKnobs) -> None:
        super().__init__()
        self.knobs = knobs
        self.transform = knobs.transform()

    def forward(self, wave: Tensor) -> Tensor:
        """Compute the features."""
        with torch.autocast(wave.device.type, enabled=False):
            features = self.transform(_mirrored(_levelled(wave.float(), self.knobs.level), self.knobs.margin))
            if self.knobs.normalise == "none":
                return features.unsqueeze(1) if self.knobs.spectral else features
            over = (-2, -1) if self.knobs.normalise == "clip" else (-1,)
            deviation, mean = torch.std_mean(features, dim=over, keepdim=True, correction=0)
            return ((features - mean) / (deviation + 1e-5)).unsqueeze(1)


def _levelled(wave: Tensor, level: str) -> Tensor:
    if level == "none":
        return wave
    size = (
        wave.abs().amax(-1, keepdim=True) if level == "peak" else (wave.square().mean(-1, keepdim=True) + 1e-20).sqrt()
    )
    return wave / size.clamp_min(_SILENCE)


def _mirrored(wave: Tensor, margin: int) -> Tensor:
    """Mirror both ends, as `torch.stft` would: the gradient of what it calls is not deterministic on a GPU."""
    if not margin:
        return wave
    ahead, behind = wave[..., 1 : margin + 1].flip(-1), wave[..., -margin - 1 : -1].flip(-1)
    return torch.cat([ahead, wave, behind], -1)


class Log(nn.Module):
    """Natural logarithm above a fixed floor; a floor under the loudest clip would tie a clip to its neighbours."""

    def __init__(self, floor: float) -> None:
        super().__init__()
        self.floor = floor

    def forward(self, power: Tensor) -> Tensor:
        """Compute the logarithm. Shape: any."""
        return (power + self.floor).log()
