"""Vocoders of a source and a filter: pulses and noise through the envelope of the speech."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dfad.effects.analysis import autocorrelation, even, framed, levinson, pitch, smooth_response
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


def mixed_excitation(wave: Tensor, sample_rate: int, seed: Seed = 0) -> Tensor:
    """Copy through a smooth envelope driven by pulses and noise, mixed band by band (McCree and Barnwell, 1995).

    How periodic a band is, is measured on its temporal envelope at the pitch period, as WORLD and STRAIGHT do with
    their aperiodicity; the envelope of a band above 1 kHz tells it where the waveform's fine structure no longer can.

    Args:
        wave: clips.
        sample_rate: Hz.
        seed: of the noise; one for all clips or one per clip.

    Shape:
        wave: (batch, samples) float32 in [-1, 1]; the result likewise.
    """
    size, hop, edge = sizes(sample_rate)
    padded = F.pad(wave, (edge, edge))
    response = smooth_response(padded, size, hop, cepstra=int(0.0025 * sample_rate))
    f0, voicing = pitch(padded, sample_rate, hop)
    hertz = torch.linspace(0, sample_rate / 2, size + 1, device=wave.device)
    voiced = voicing[..., None].expand(-1, -1, size + 1)
    for low in (1000.0, 2000.0, 4000.0, 6000.0):
        if low < 0.45 * sample_rate:
            periodic = voicing * _periodicity(
                padded, f0, sample_rate, hop, low, 2.0 * low if low < 4000 else low + 2000
            )
            voiced = voiced + torch.sigmoid((hertz - low) / 100.0) * (periodic[..., None] - voiced)
    copy = drive(response, f0, voiced, noise_like(seed, padded), hop, sample_rate)
    return match_level(copy, padded, size, hop)[..., edge:-edge]


def _periodicity(wave: Tensor, f0: Tensor, sample_rate: int, hop: int, low: float, high: float) -> Tensor:
    """Correlate the temporal envelope of a band with itself a pitch period later: (batch, frames) in [0, 1]."""
    samples = wave.shape[-1]
    spectrum = torch.fft.rfft(wave)
    hertz = torch.linspace(0, sample_rate / 2, spectrum.shape[-1], device=wave.device)
    analytic = F.pad(torch.where((hertz >= low) & (hertz < high), spectrum, 0.0), (0, samples - spectrum.shape[-1]))
    envelope = torch.fft.ifft(analytic).abs()[..., ::2]  # slower than the band is wide: half the rate will do
    length = even(0.05 * sample_rate / 2)
    window = torch.hann_window(length, device=wave.device)
    frames = framed(envelope, length, hop // 2)[:, : f0.shape[1]]
    frames = (frames - frames.mean(-1, keepdim=True)) * window
    correlation, own = autocorrelation(frames), autocorrelation(window)
    lag = (0.5 * sample_rate / f0).round().long().clamp_max(length // 2)[..., None]
    power = correlation[..., :1] + 1e-9
    return (correlation.gather(-1, lag) / power / (own[lag] / own[0]))[..., 0].clamp(0.0, 1.0)
