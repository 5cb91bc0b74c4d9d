"""Spectral frontends: the power of a short-time Fourier transform, at linear frequencies or in mel bands."""

from __future__ import annotations

import warnings
from typing import Annotated, Any, Literal

import torchaudio.functional as functional
import torchaudio.transforms as transforms
from pydantic import Field, model_validator
from torch import Tensor, nn

from dfad.frontends.base import FrontendKnobs, Log
from dfad.knobs import Later

_FLOOR = Field(
    1e-6,
    gt=0,
    description="power added before the logarithm; at level=rms a band has 100 or more, so 1 hides what is 20 dB less",
)


class StftKnobs(FrontendKnobs):
    """Options of everything that begins with a short-time Fourier transform."""

    n_fft: int = Field(512, ge=32, le=16384, multiple_of=2, description="samples of the Fourier transform, even")
    window_ms: float = Field(25.0, gt=0, description="length of the Hann window, ms")
    hop_ms: float = Field(10.0, gt=0, description="time between frames, ms")

    @model_validator(mode="after")
    def _window_fits(self) -> StftKnobs:
        window, hop = self._samples(self.window_ms), self._samples(self.hop_ms)
        if window > self.n_fft:
            raise ValueError(
                f"window_ms={self.window_ms} is longer than n_fft={self.n_fft} at {self.sample_rate} Hz; "
                f"raise n_fft to {window} or more"
            )
        if not window or not hop:
            raise ValueError(f"window_ms={self.window_ms} and hop_ms={self.hop_ms} must each last a sample or more")
        return self

    @property
    def least_samples(self) -> int:
        """Half a Fourier transform, mirrored at both ends, and the sample that it is mirrored at."""
        return self.margin + 1

    @property
    def margin(self) -> int:
        """Half a Fourier transform, so that the first frame is centred at the first sample."""
        return self.n_fft // 2

    def _samples(self, ms: float) -> int:
        return round(ms * self.sample_rate / 1000)

    def _stft(self) -> dict[str, Any]:
        return {
            "n_fft": self.n_fft,
            "win_length": self._samples(self.window_ms),
            "hop_length": self._samples(self.hop_ms),
            "center": False,  # the frontend mirrors the ends itself
        }


class BandKnobs(StftKnobs):
    """Options of everything with a filter bank."""

    f_min: float = Field(0.0, ge=0, description="lowest frequency, Hz")
    f_max: float | None = Field(None, gt=0, description="highest frequency, Hz; null: half the sample rate")

    @model_validator(mode="after")
    def _band_fits(self) -> BandKnobs:
        if not self.f_min < self.top_hz <= self.sample_rate / 2:
            raise ValueError(f"f_min={self.f_min} and f_max={self.f_max} need 0 ≤ f_min < f_max ≤ sample_rate / 2")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torchaudio's, about what is found here
            heard = self._bank().any(0)
        if not heard.all():
            raise ValueError(
                f"{int((~heard).sum())} of {len(heard)} bands hold no frequency of n_fft={self.n_fft}; "
                "take fewer bands, raise n_fft, or widen f_min to f_max"
            )
        return self

    @property
    def top_hz(self) -> float:
        """The highest frequency of the filters."""
        return self.sample_rate / 2 if self.f_max is None else self.f_max

    def _bank(self) -> Tensor:
        """The filters. Shape: (n_fft / 2 + 1, bands)."""
        raise NotImplementedError


class LogMelKnobs(BandKnobs):
    """Logarithm of the power in mel bands."""

    name: Literal["logmel"] = "logmel"
    n_mels: int = Field(80, ge=4, le=512, description="mel bands")
    floor: Annotated[float, Later] = _FLOOR

    def transform(self) -> nn.Module:
        """Make (batch, samples) → (batch, mels, frames)."""
        mel = transforms.MelSpectrogram(
            self.sample_rate, **self._stft(), f_min=self.f_min, f_max=self.f_max, n_mels=self.n_mels
        )
        return nn.Sequential(mel, Log(self.floor))

    def _bank(self) -> Tensor:
        return functional.melscale_fbanks(self.n_fft // 2 + 1, self.f_min, self.top_hz, self.n_mels, self.sample_rate)


class LogSpecKnobs(StftKnobs):
    """Logarithm of the power at linear frequencies."""

    name: Literal["logspec"] = "logspec"
    floor: Annotated[float, Later] = _FLOOR

    def transform(self) -> nn.Module:
        """Make (batch, samples) → (batch, n_fft / 2 + 1, frames)."""
        return nn.Sequential(transforms.Spectrogram(**self._stft()), Log(self.floor))
