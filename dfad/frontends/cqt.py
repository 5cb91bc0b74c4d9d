"""The constant-Q transform: bands that are evenly spaced in pitch, each as wide as its frequency asks.

Every band is a correlation of the waveform with an atom, a windowed tone of a fixed number of periods (Brown, 1991).
Atoms are multiplied in the frequency domain (Brown and Puckette, 1992), and octave by octave, as each octave down is
half as wide (Schörkhuber and Klapuri, 2010); but nothing is decimated by a filter: a spectrum that is folded into as
many bins as there are frames is the spectrum of every hop-th sample, exactly.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy import fft
from scipy.fft import next_fast_len
from torch import Tensor, nn
from torch.nn import functional as F

from dfad.frontends.base import FrontendKnobs, Log

_NEGLIGIBLE = 1e-5  # of an atom's largest amplitude, −100 dB


class CQTKnobs(FrontendKnobs):
    """Logarithm of the power of a constant-Q transform (Brown, 1991), every atom of unit energy."""

    name: Literal["cqt"] = "cqt"
    bins_per_octave: int = Field(24, ge=4, le=192, description="bands per octave; they overlap by half")
    n_octaves: int = Field(7, ge=1, le=10, description="octaves above f_min")
    f_min: float = Field(62.5, ge=10, description="centre of the lowest band, Hz; its atom is the longest")
    hop_ms: float = Field(10.0, gt=0, description="time between frames, ms")
    floor: float = Field(
        1e-6, gt=0, description="power added before the logarithm; white noise at level=rms has 1 in every band"
    )

    @model_validator(mode="after")
    def _octaves_fit(self) -> CQTKnobs:
        if self.top_hz > self.sample_rate / 2:
            raise ValueError(
                f"n_octaves={self.n_octaves} above f_min={self.f_min} end at {self.top_hz:g} Hz, "
                f"beyond half of sample_rate={self.sample_rate}; take fewer, or a lower f_min"
            )
        if not self.hop:
            raise ValueError(f"hop_ms={self.hop_ms} must last a sample or more")
        return self

    @property
    def least_samples(self) -> int:
        """Half of the longest atom, mirrored at both ends, and the sample that it is mirrored at."""
        return self.margin + 1

    @property
    def margin(self) -> int:
        """Half of the longest atom, so that the first frame is centred at the first sample."""
        return ceil(self.lengths()[0] / 2)

    @property
    def top_hz(self) -> float:
        """Where the highest octave ends."""
        return self.f_min * 2**self.n_octaves

    @property
    def hop(self) -> int:
        """Samples between frames."""
        return round(self.hop_ms * self.sample_rate / 1000)

    def hertz(self) -> NDArray[np.float64]:
        """Centres of the bands."""
        return self.f_min * 2.0 ** (np.arange(self.n_octaves * self.bins_per_octave) / self.bins_per_octave)

    def lengths(self) -> NDArray[np.float64]:
        """Lengths of the atoms in samples: as many periods for all that neighbours are told apart."""
        quality = 1 / (2 ** (1 / self.bins_per_octave) - 1)
        return quality * self.sample_rate / self.hertz()

    def transform(self) -> nn.Module:
        """Make (batch, samples) → (batch, bands, frames)."""
        return nn.Sequential(Power(self), Log(self.floor))


class Power(nn.Module):
    """Squared magnitudes of the transform, of a waveform whose ends are mirrored.

    A waveform is cut into blocks of as many frames as the detector's crop has, so that atoms have one spectrum. The
    transform is in float64 where the device has it, as it spans loud moments and silent ones.

    Shape:
        wave: (batch, samples + 2 margin) -> (batch, bands, 1 + samples // hop)
    """

    def __init__(self, knobs: CQTKnobs) -> None:
        super().__init__()
        self.hop, self.margin = knobs.hop, knobs.margin
        self.ahead = -self.margin % self.hop  # zeros ahead bring the first frame to a whole number of hops
        first = self.ahead + self.margin
        self.size = self.hop * int(next_fast_len(ceil((first + knobs.crop_samples + self.margin) / self.hop)))
        self.first, self.frames = first // self.hop, 1 + (self.size - self.margin - first) // self.hop
        self.segments: list[slice] = []  # of the spectrum, those that matter to an octave
        cycles = np.split(knobs.hertz() / knobs.sample_rate, knobs.n_octaves)
        for octave, lengths in enumerate(np.split(knobs.lengths(), knobs.n_octaves)):
            segments, folding = _folding(tuple(cycles[octave]), tuple(lengths), self.size, self.hop)
            self.segments.append(segments)
            self.register_buffer(f"octave{octave}", folding, persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """Compute the powers."""
        frames = 1 + (wave.shape[-1] - 2 * self.margin) // self.hop
        blocks = ceil(frames / self.frames)
        whole = (blocks - 1) * self.frames * self.hop + self.size
        padded = F.pad(wave, (self.ahead, max(0, whole - self.ahead - wave.shape[-1])))[..., :whole]
        cut = padded.to(_exact(wave.device)).unfold(-1, self.size, self.frames * self.hop)
        parts = torch.view_as_real(torch.fft.fft(cut)).reshape(len(wave) * blocks, self.hop, -1, 2)
        parts = parts.permute(2, 0, 3, 1).flatten(1, 2)  # (bins of a segment, batch · blocks · 2, segments)
        folded = [  # a band by itself needs no more than float32
            (parts[..., segments] @ self.get_buffer(f"octave{octave}").to(parts)).float()
            for octave, segments in enumerate(self.segments)
        ]
        bands = torch.cat(folded, -1).reshape(self.size // self.hop, -1, 2, sum(part.shape[-1] for part in folded))
        bands = bands.permute(1, 3, 0, 2).contiguous()
        found = torch.fft.ifft(torch.view_as_complex(bands))[..., self.first : self.first + self.frames]
        power = found.real.square() + found.imag.square()  # (batch · blocks, bands, frames)
        power = power.reshape(len(wave), blocks, -1, self.frames).transpose(1, 2)
        return power.flatten(2)[..., :frames]


@lru_cache(maxsize=64)
def _folding(cycles: tuple[float, ...], lengths: tuple[float, ...], size: int, hop: int) -> tuple[slice, Tensor]:
    """Spectra of an octave's atoms, cut into segments of as many bins as there are frames.

    An atom is a tone under a Hann window that reaches zero half its length from the centre; its energy is 1. Centred at
    the first sample, it has a real spectrum. Segments where it has nothing are left out.

    Args:
        cycles: per sample, of each tone.
        lengths: of each window, in samples.
        size: of the transform.
        hop: samples between frames, and the number of segments.

    Shape:
        (size / hop, segments, bands) float32
    """
    time = np.fft.fftfreq(size, 1 / size)  # samples from the centre, the second half of them before it
    atoms = np.zeros((len(cycles), size), complex)
    for atom, cycle, length in zip(atoms, cycles, lengths, strict=True):
        there = np.abs(time) < length / 2
        window = 0.5 + 0.5 * np.cos(2 * np.pi * time[there] / length)
        atom[there] = window / np.sqrt(np.sum(window**2)) * np.exp(2j * np.pi * cycle * time[there])
    spectra = fft.fft(atoms).real.reshape(len(cycles), hop, -1)
    size_of = np.abs(spectra)
    heard = np.flatnonzero((size_of > _NEGLIGIBLE * size_of.max((1, 2), keepdims=True)).any((0, 2)))
    segments = slice(int(heard[0]), int(heard[-1]) + 1)
    return segments, torch.from_numpy(spectra[:, segments].transpose(2, 1, 0) / hop).float().contiguous()


def _exact(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64
