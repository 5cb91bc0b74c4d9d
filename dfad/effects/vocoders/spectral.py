"""Vocoders that keep magnitudes of a spectrogram and make its phase anew."""

from __future__ import annotations

import torch
import torchaudio
from torch import Tensor
from torch.nn import functional as F

from dfad.effects.analysis import even, mel_matrices, pitch
from dfad.effects.vocoders.parts import EDGE_S, Seed, drive, match_level, noise_like, sizes


def griffin_lim(wave: Tensor, sample_rate: int, seed: Seed = 0, *, mels: int = 80, iterations: int = 8) -> Tensor:
    """Copy through a mel spectrogram whose phase is guessed (Griffin and Lim, 1984).

    The mel bands are spread back to frequency bins with the pseudo-inverse, the phase starts at random, and the few
    iterations leave it inconsistent.

    Args:
        wave: clips.
        sample_rate: Hz.
        seed: of the first phase; one for all clips or one per clip.
        mels: mel bands; fewer blur the harmonics more.
        iterations: rounds of phase estimation.

    Shape:
        wave: (batch, samples) float32 in [-1, 1]; the result likewise.
    """
    spectra = _Spectra(wave, sample_rate)
    to_mel, from_mel = spectra.mel(mels)
    padded = spectra.padded
    magnitude = (from_mel @ (to_mel @ spectra.of(padded).abs())).clamp_min(0.0)  # (batch, bins, frames)
    phase = spectra.of(noise_like(seed, padded)).sgn()  # of white noise: uniform
    for _ in range(iterations):
        phase = spectra.of(spectra.wave(magnitude * phase)).sgn()
    return spectra.inner(spectra.wave(magnitude * phase))


def mel_excitation(wave: Tensor, sample_rate: int, seed: Seed = 0, *, mels: int = 80) -> Tensor:
    """Copy through a mel spectrogram that filters pulses and noise, as a neural source-filter vocoder does.

    Of the speech only the mel bands and the pitch are left; the filter is of zero phase (Wang, Takaki and Yamagishi,
    2019, with the pseudo-inverse of the mel bands instead of a network).

    Args:
        wave: clips.
        sample_rate: Hz.
        seed: of the noise; one for all clips or one per clip.
        mels: mel bands.

    Shape:
        wave: (batch, samples) float32 in [-1, 1]; the result likewise.
    """
    spectra = _Spectra(wave, sample_rate)
    to_mel, from_mel = spectra.mel(mels)
    size, hop, _ = sizes(sample_rate)
    f0, voicing = pitch(spectra.padded, sample_rate, hop)
    hertz = torch.linspace(0, sample_rate / 2, size + 1, device=wave.device)
    voiced = voicing[..., None] * torch.sigmoid((5000.0 - hertz) / 500.0)
    flat = torch.ones_like(voiced)
    source = spectra.of(drive(flat, f0, voiced, noise_like(seed, spectra.padded), hop, sample_rate))
    wanted, found = (from_mel @ (to_mel @ x.abs()) for x in (spectra.of(spectra.padded), source))
    gain = (wanted.clamp_min(0.0) / found.clamp_min(1e-2 * found.mean((1, 2), keepdim=True))).clamp_max(1e3)
    return spectra.inner(match_level(spectra.wave(source * gain), spectra.padded, size, hop))


def phase_vocoder(wave: Tensor, sample_rate: int, seed: Seed = 0, *, stretch: float = 1.25) -> Tensor:
    """Copy by stretching time and shrinking it again, each bin's phase run on by itself (Flanagan and Golden, 1966).

    Magnitudes are kept but for the interpolation between frames; how the phases of neighbouring bins lie to each other
    is lost, which begins at random.

    Args:
        wave: clips.
        sample_rate: Hz.
        seed: of the first phases; one for all clips or one per clip.
        stretch: factor on the duration in between.

    Shape:
        wave: (batch, samples) float32 in [-1, 1]; the result likewise.
    """
    spectra = _Spectra(wave, sample_rate)
    samples = spectra.padded.shape[-1]
    advance = torch.linspace(0, torch.pi * spectra.hop, spectra.size // 2 + 1, device=wave.device)[:, None]
    start = spectra.of(noise_like(seed, spectra.padded))[..., :1].sgn()
    longer = torchaudio.functional.phase_vocoder(spectra.of(spectra.padded) * start, 1.0 / stretch, advance)
    between = spectra.wave(longer, round(samples * stretch))
    copy = spectra.wave(torchaudio.functional.phase_vocoder(spectra.of(between), stretch, advance))
    size, hop, _ = sizes(sample_rate)
    return spectra.inner(match_level(copy, spectra.padded, size, hop))


class _Spectra:
    """Spectrograms of clips with an edge of silence, and the way back."""

    def __init__(self, wave: Tensor, sample_rate: int) -> None:
        self.hop = even(0.012 * sample_rate)
        self.size = 4 * self.hop
        self.edge = even(EDGE_S * sample_rate)
        self.sample_rate = sample_rate
        self.window = torch.hann_window(self.size, device=wave.device)
        self.padded = F.pad(wave, (self.edge, self.edge))

    def mel(self, mels: int) -> tuple[Tensor, Tensor]:
        """Give (mels, bins) bands and their pseudo-inverse."""
        bands, back = mel_matrices(self.sample_rate, self.size // 2 + 1, mels)
        return bands.to(self.window.device), back.to(self.window.device)

    def of(self, wave: Tensor) -> Tensor:
        """Analyse: (batch, samples) -> (batch, bins, frames) complex."""
        return torch.stft(wave, self.size, self.hop, window=self.window, pad_mode="constant", return_complex=True)

    def wave(self, spectrum: Tensor, samples: int | None = None) -> Tensor:
        """Synthesise: (batch, bins, frames) complex -> (batch, samples), as many as the padded clip has by default."""
        return torch.istft(spectrum, self.size, self.hop, window=self.window, length=samples or self.padded.shape[-1])

    def inner(self, wave: Tensor) -> Tensor:
        """Cut the edges off."""
        return wave[..., self.edge : -self.edge]
