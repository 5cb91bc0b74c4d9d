"""Vocoders of a source and a filter: pulses and noise through the envelope of the speech."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dfad.effects.analysis import autocorrelation, framed, levinson, pitch, smooth_response
from dfad.effects.vocoders.parts import Seed, drive, match_level, noise_like, sizes


def lpc(wave: Tensor, sample_rate: int, seed: Seed = 0, *, order: int | None = None) -> Tensor:
    """Copy through linear prediction: an all-pole envelope driven by pulses or noise (Atal and Hanauer, 1971).

    Args:
        wave: clips.
        sample_rate: Hz.
        seed: of the noise; one for all clips or one per clip.
        order: poles; two more than one per kHz by default.

    Shape:
        wave: (batch, samples) float32 in [-1, 1]; the result likewise.
    """
    order = order or sample_rate // 1000 + 2
    size, hop, edge = sizes(sample_rate)
    padded = F.pad(wave, (edge, edge))
    window = torch.hann_window(size, device=wave.device)
    frames = framed(padded, size, hop) * window
    correlation = autocorrelation(frames)[..., : order + 1]
    correlation[..., 0] = correlation[..., 0] * 1.00001 + 1e-9 * size  # keeps empty bands and silence solvable
    predictor, error = levinson(correlation)
    gain = (error / window.square().sum()).sqrt()
    response = gain[..., None] / torch.fft.rfft(predictor, 2 * size)
    f0, voicing = pitch(padded, sample_rate, hop)
    voiced = (voicing > 0.5).to(wave.dtype)[..., None]  # one switch for all frequencies, as in the first vocoders
    copy = drive(response, f0, voiced, noise_like(seed, padded), hop, sample_rate)
    return match_level(copy, padded, size, hop)[..., edge:-edge]


def minimum_phase(wave: Tensor, sample_rate: int, seed: Seed = 0, *, voiced_below: float = 4000.0) -> Tensor:
    """Copy through a smooth cepstral envelope made minimum-phase (Oppenheim and Schafer, 1989, chapter 12).

    Args:
        wave: clips.
        sample_rate: Hz.
        seed: of the noise; one for all clips or one per clip.
        voiced_below: Hz; voiced frames have pulses below and noise above.

    Shape:
        wave: (batch, samples) float32 in [-1, 1]; the result likewise.
    """
    size, hop, edge = sizes(sample_rate)
    padded = F.pad(wave, (edge, edge))
    response = smooth_response(padded, size, hop, cepstra=int(0.002 * sample_rate))
    f0, voicing = pitch(padded, sample_rate, hop)
    hertz = torch.linspace(0, sample_rate / 2, size + 1, device=wave.device)
    voiced = voicing[..., None] * torch.sigmoid((voiced_below - hertz) / 300.0)
    copy = drive(response, f0, voiced, noise_like(seed, padded), hop, sample_rate)
    return match_level(copy, padded, size, hop)[..., edge:-edge]
