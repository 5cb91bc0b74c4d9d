"""Cepstral frontends: the cosine transform of log powers, in linear or mel bands."""

from __future__ import annotations

from typing import Literal, Self

import torchaudio.functional as functional
import torchaudio.transforms as transforms
from pydantic import Field, model_validator
from torch import Tensor, nn

from dfad.frontends.base import FrontendKnobs
from dfad.frontends.spectral import BandKnobs


class _CepstralKnobs(BandKnobs):
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
        return functional.linear_fbanks(self.n_fft // 2 + 1, self.f_min, self.top_hz, self.n_filters, self.sample_rate)


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
        return functional.melscale_fbanks(self.n_fft // 2 + 1, self.f_min, self.top_hz, self.n_mels, self.sample_rate)
