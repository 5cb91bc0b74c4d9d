"""Frontends: waveform → features, without trained parameters, each clip on its own.

The only place that uses `torchaudio.transforms`. A frontend also says at which rate and on which crop a detector works,
as both belong to what the network sees.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import torch
import torchaudio.functional as functional
import torchaudio.transforms as transforms
from pydantic import Field, model_validator
from torch import Tensor, nn

from dfad.knobs import Knobs, Later

_FLOOR = Field(
    1e-6,
    gt=0,
    description="power added before the logarithm; at level=rms a band has 100 or more, so 1 hides what is 20 dB less",
)
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
    def spectral(self) -> bool:
        """Whether the features are a map of bands over frames, not a waveform."""
        return True

    def transform(self) -> nn.Module:
        """Make the part that is this frontend's own: (batch, samples) → (batch, bands, frames)."""
        raise NotImplementedError

    def build(self) -> Frontend:
        """Make the frontend."""
        return Frontend(self)


class _StftKnobs(FrontendKnobs):
    """Options of everything that begins with a short-time Fourier transform."""

    n_fft: int = Field(512, ge=32, le=16384, multiple_of=2, description="samples of the Fourier transform, even")
    window_ms: float = Field(25.0, gt=0, description="length of the Hann window, ms")
    hop_ms: float = Field(10.0, gt=0, description="time between frames, ms")

    @model_validator(mode="after")
    def _window_fits(self) -> _StftKnobs:
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


class _BandKnobs(_StftKnobs):
    """Options of everything with a filter bank."""

    f_min: float = Field(0.0, ge=0, description="lowest frequency, Hz")
    f_max: float | None = Field(None, gt=0, description="highest frequency, Hz; null: half the sample rate")

    @model_validator(mode="after")
    def _band_fits(self) -> _BandKnobs:
        if not self.f_min < self._high <= self.sample_rate / 2:
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
    def _high(self) -> float:
        return self.sample_rate / 2 if self.f_max is None else self.f_max

    def _bank(self) -> Tensor:
        """The filters. Shape: (n_fft / 2 + 1, bands)."""
        raise NotImplementedError


class LogMelKnobs(_BandKnobs):
    """Logarithm of the power in mel bands."""

    name: Literal["logmel"] = "logmel"
    n_mels: int = Field(80, ge=4, le=512, description="mel bands")
    floor: Annotated[float, Later] = _FLOOR

    def transform(self) -> nn.Module:
        """Make (batch, samples) → (batch, mels, frames)."""
        mel = transforms.MelSpectrogram(
            self.sample_rate, **self._stft(), f_min=self.f_min, f_max=self.f_max, n_mels=self.n_mels
        )
        return nn.Sequential(mel, _Log(self.floor))

    def _bank(self) -> Tensor:
        return functional.melscale_fbanks(self.n_fft // 2 + 1, self.f_min, self._high, self.n_mels, self.sample_rate)


class LogSpecKnobs(_StftKnobs):
    """Logarithm of the power at linear frequencies."""

    name: Literal["logspec"] = "logspec"
    floor: Annotated[float, Later] = _FLOOR

    def transform(self) -> nn.Module:
        """Make (batch, samples) → (batch, n_fft / 2 + 1, frames)."""
        return nn.Sequential(transforms.Spectrogram(**self._stft()), _Log(self.floor))


class _CepstralKnobs(_BandKnobs):
    """Options of cepstral coefficients; each has a scale of its own, so each is normalised by itself."""

    normalise: Literal["clip", "band", "none"] = Field(
        "band", description=FrontendKnobs.model_fields["normalise"].description
    )
    n_coefficients: int = Field(ge=2, le=512, description="cepstral coefficients")

    @model_validator(mode="after")
    def _coefficients_fit(self) -> Self:
        bands = self._bank().shape[1]
        if self.n_coefficients > bands:
            raise ValueError(f"n_coefficients={self.n_coefficients} is more than the {bands} bands")
        return self


class LFCCKnobs(_CepstralKnobs):
    """Linear-frequency cepstral coefficients (Sahidullah, Kinnunen and Hanilçi, Interspeech 2015)."""

    name: Literal["lfcc"] = "lfcc"
    n_filters: int = Field(70, ge=4, le=512, description="filters, evenly spaced")
    n_coefficients: int = Field(60, ge=2, le=512, description="cepstral coefficients")

    def transform(self) -> nn.Module:
        """Make (batch, samples) → (batch, coefficients, frames)."""
        return transforms.LFCC(
            self.sample_rate, n_filter=self.n_filters, f_min=self.f_min, f_max=self.f_max,
            n_lfcc=self.n_coefficients, log_lf=True, speckwargs=self._stft(),
        )  # fmt: skip

    def _bank(self) -> Tensor:
        return functional.linear_fbanks(self.n_fft // 2 + 1, self.f_min, self._high, self.n_filters, self.sample_rate)


class MFCCKnobs(_CepstralKnobs):
    """Mel-frequency cepstral coefficients (Davis and Mermelstein, 1980)."""

    name: Literal["mfcc"] = "mfcc"
    n_mels: int = Field(80, ge=4, le=512, description="mel bands")
    n_coefficients: int = Field(40, ge=2, le=512, description="cepstral coefficients")

    def transform(self) -> nn.Module:
        """Make (batch, samples) → (batch, coefficients, frames)."""
        mel = {**self._stft(), "n_mels": self.n_mels, "f_min": self.f_min, "f_max": self.f_max}
        return transforms.MFCC(self.sample_rate, n_mfcc=self.n_coefficients, log_mels=True, melkwargs=mel)

    def _bank(self) -> Tensor:
        return functional.melscale_fbanks(self.n_fft // 2 + 1, self.f_min, self._high, self.n_mels, self.sample_rate)


class RawKnobs(FrontendKnobs):
    """The waveform itself, for networks whose first layer is learned."""

    name: Literal["raw"] = "raw"
    level: Literal["rms", "peak", "none"] = Field("none", description=FrontendKnobs.model_fields["level"].description)
    normalise: Literal["none"] = Field("none", description="the waveform is not standardised")

    @property
    def spectral(self) -> bool:
        """False: the features are the waveform."""
        return False

    def transform(self) -> nn.Module:
        """Make (batch, samples) → (batch, samples)."""
        return nn.Identity()


FRONTENDS: Mapping[str, type[FrontendKnobs]] = {
    "logmel": LogMelKnobs,
    "logspec": LogSpecKnobs,
    "lfcc": LFCCKnobs,
    "mfcc": MFCCKnobs,
    "raw": RawKnobs,
}


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


class _Log(nn.Module):
    """Natural logarithm above a fixed floor; a floor under the loudest clip would tie a clip to its neighbours."""

    def __init__(self, floor: float) -> None:
        super().__init__()
        self.floor = floor

    def forward(self, power: Tensor) -> Tensor:
        return (power + self.floor).log()
