"""A vocoder of sinusoids and noise."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dfad.effects.analysis import framed, pitch, smooth_response
from dfad.effects.vocoders.parts import Seed, cycles, match_level, noise_like, per_sample, shape, sizes


def sinusoidal(wave: Tensor, sample_rate: int, seed: Seed = 0, *, partials: int = 24) -> Tensor:
    """Copy through a few harmonics and, elsewhere, shaped noise (Serra and Smith, 1990; harmonics instead of peaks).

    Args:
        wave: clips.
        sample_rate: Hz.
        seed: of the noise; one for all clips or one per clip.
        partials: harmonics of voiced frames; above the last there is noise.

    Shape:
        wave: (batch, samples) float32 in [-1, 1]; the result likewise.
    """
    size, hop, edge = sizes(sample_rate)
    padded = F.pad(wave, (edge, edge))
    f0, voicing = pitch(padded, sample_rate, hop)
    window = torch.hann_window(2 * size, device=wave.device)  # long enough to tell harmonics of 60 Hz apart
    spectrum = torch.fft.rfft(framed(padded, 2 * size, hop) * window, 4 * size).abs() * (2.0 / window.sum())
    amplitudes = F.max_pool1d(spectrum, 3, stride=1, padding=1)  # forgives a wrong f0 by one bin
    phase = cycles(per_sample(f0, hop, padded.shape[-1]), sample_rate)
    result = torch.zeros_like(padded)
    for k in range(1, partials + 1):
        hertz = k * f0
        bins = (hertz * (4 * size / sample_rate)).round().long().clamp_max(2 * size)
        heard = voicing * (hertz < 0.48 * sample_rate)
        amplitude = amplitudes.gather(-1, bins[..., None])[..., 0] * heard.sqrt()
        spread = k * k / (2 * partials)  # keeps the sum from peaking (Schroeder, 1970)
        cosine = torch.cos(2 * torch.pi * (k * phase - spread).frac()).to(wave.dtype)
        result = result + per_sample(amplitude, hop, padded.shape[-1]) * cosine
    hertz = torch.linspace(0, sample_rate / 2, size + 1, device=wave.device)
    harmonic = voicing[..., None] * (hertz < (partials + 0.5) * f0[..., None])
    response = smooth_response(padded, size, hop, cepstra=int(0.002 * sample_rate)) * (1.0 - harmonic).sqrt()
    copy = result + shape(noise_like(seed, padded), response, hop)
    return match_level(copy, padded, size, hop)[..., edge:-edge]
