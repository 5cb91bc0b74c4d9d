"""Short-time analysis of speech, vectorised over clips and frames: pitch, spectral envelope, linear prediction."""

from __future__ import annotations

from functools import lru_cache

import torch
import torchaudio
from torch import Tensor
from torch.nn import functional as F

WINDOW_S, PITCH_WINDOW_S = 0.032, 0.05
PITCH_HZ = (60.0, 400.0)


def pitch(wave: Tensor, sample_rate: int, hop: int) -> tuple[Tensor, Tensor]:
    """Track the fundamental by autocorrelation, freed of the window's own (Boersma, 1993).

    Args:
        wave: clips.
        sample_rate: Hz.
        hop: samples from one frame to the next; frame t is centred on sample t·hop.

    Returns:
        f0 in Hz (meaningless where unvoiced) and voicing in [0, 1].

    Shape:
        wave: (batch, samples); both results: (batch, samples // hop + 1).
    """
    size = even(PITCH_WINDOW_S * sample_rate)
    first, last = int(sample_rate / PITCH_HZ[1]), int(sample_rate / PITCH_HZ[0]) + 1
    window = torch.hann_window(size, device=wave.device)
    frames = framed(wave, size, hop)
    frames = (frames - frames.mean(-1, keepdim=True)) * window
    hertz = torch.linspace(0, sample_rate / 2, size + 1, device=wave.device)
    band = torch.exp(-(hertz / 1000.0).square()) * (hertz > 50.0)  # formants and rumble mislead
    correlation, own = autocorrelation(frames, band)[..., : last + 1], autocorrelation(window)[: last + 1]
    power = correlation[..., :1]
    floor = 1e-5 * power.amax(1, keepdim=True) + 1e-9  # frames 50 dB below the clip's loudest are unvoiced
    normal = correlation / (power + floor) / (own / own[0])
    left, here, right = (normal[..., first + step : last + step] for step in (-1, 0, 1))
    cost = 0.03 * torch.log2(torch.arange(first, last, device=wave.device) / first)  # of equal periods, the shortest
    strength, best = torch.where((here >= left) & (here >= right), here - cost, -1.0).max(-1, keepdim=True)
    left, here, right = (side.gather(-1, best)[..., 0] for side in (left, here, right))
    offset = 0.5 * (left - right) / (left - 2 * here + right).clamp_max(-1e-6)  # top of the parabola
    f0 = sample_rate / (first + best[..., 0] + offset.clamp(-0.5, 0.5))
    f0 = F.pad(f0[:, None], (2, 2), mode="replicate")[:, 0].unfold(-1, 5, 1).median(-1).values
    return f0, ((strength[..., 0] - 0.3) / 0.3).clamp(0.0, 1.0)


def even(samples: float) -> int:
    """The even number nearest to a number of samples, at least 2."""
    return max(2, 2 * round(samples / 2))


@lru_cache(maxsize=4)
def mel_matrices(sample_rate: int, bins: int, mels: int) -> tuple[Tensor, Tensor]:
    """Give (mels, bins) bands and their pseudo-inverse."""
    bands = torchaudio.functional.melscale_fbanks(bins, 0.0, sample_rate / 2, mels, sample_rate).T
    return bands, torch.linalg.pinv(bands)


def framed(wave: Tensor, size: int, hop: int) -> Tensor:
    """Cut (batch, frames, size), frame t centred on sample t·hop."""
    return F.pad(wave, (size // 2, size // 2)).unfold(-1, size, hop)


def autocorrelation(frames: Tensor, weights: Tensor | float = 1.0) -> Tensor:
    """Correlate each frame with itself: (…, size), lag 0 first; `weights` (size + 1) filter the power spectrum."""
    correlation: Tensor = torch.fft.irfft(power_of(frames) * weights)
    return correlation[..., : frames.shape[-1]]


def power_of(frames: Tensor) -> Tensor:
    """Give the power spectrum (…, size + 1) of frames (…, size)."""
    return torch.view_as_real(torch.fft.rfft(frames, 2 * frames.shape[-1])).square().sum(-1)


def levinson(correlation: Tensor) -> tuple[Tensor, Tensor]:
    """Solve for prediction-error filters (…, order + 1) and their error power (…) (Levinson, 1947; Durbin, 1960)."""
    filters, error = torch.ones_like(correlation[..., :1]), correlation[..., 0]
    for k in range(1, correlation.shape[-1]):
        reflection = -(filters * correlation[..., 1 : k + 1].flip(-1)).sum(-1) / error
        reflection = reflection.clamp(-0.9999, 0.9999)  # rounding must not make a pole leave the circle
        grown = F.pad(filters, (0, 1))
        filters = grown + reflection[..., None] * grown.flip(-1)
        error = error * (1.0 - reflection.square())
    return filters, error


def smooth_response(wave: Tensor, size: int, hop: int, cepstra: int) -> Tensor:
    """Give the minimum-phase response (batch, frames, size + 1) of each frame's smoothed spectrum, power kept."""
    window = torch.hann_window(size, device=wave.device)
    power = power_of(framed(wave, size, hop) * window) / window.square().sum()
    width = 2 * (size // 128) + 1  # bins in about 250 Hz: fills the valleys between harmonics
    power = F.avg_pool1d(power, width, stride=1, padding=width // 2, count_include_pad=False)
    cepstrum = torch.fft.irfft(0.5 * (power + 1e-9).log())[..., :cepstra]
    taper = 2.0 * torch.hann_window(2 * cepstra, device=wave.device)[cepstra:]  # doubled: folds negative quefrencies
    taper[0] = 1.0
    response: Tensor = torch.fft.rfft(cepstrum * taper, 2 * size).exp()
    gain = power.mean(-1, keepdim=True) / response.abs().square().mean(-1, keepdim=True)
    return response * gain.sqrt()
