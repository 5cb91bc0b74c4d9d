"""RawBoost: the three distortions of Tak et al., "RawBoost: a raw data boosting and augmentation method" (ICASSP 2022).

Each follows the definition in the paper; its ranges are in the arguments' descriptions, for those who draw.
"""

from __future__ import annotations

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from dfad.effects.noise import add_noise

LONGEST = 101  # coefficients of a notch
_GRID = 1024  # points on which five notches in a row fit


def convolutive(
    wave: Tensor, sample_rate: int, centre_hz: Tensor, width_hz: Tensor, taps: Tensor, gain_db: Tensor
) -> Tensor:
    """Distort linearly and not: powers 1, 2, … of the clip, each through its own notches, added; no offset is left.

    Equation 1 of the paper, a Hammerstein system of parallel branches.

    Args:
        wave: clips.
        sample_rate: Hz.
        centre_hz: of the notches of each power (published: 5 powers with 5 notches each, 20 to 8000 Hz).
        width_hz: of the notches (published: 100 to 1000 Hz); 0 for none.
        taps: coefficients of each notch (published: 10 to 100), at most 101; even ones get one more.
        gain_db: of each power (published: 0 for the first, −20 to −5 for the others); −infinity leaves one out.

    Shape:
        wave: (batch, samples); centre_hz, width_hz, taps: (batch, powers, notches); gain_db: (batch, powers)
        -> (batch, samples)
    """
    powers = torch.stack([wave**power for power in range(1, gain_db.shape[1] + 1)], 1)
    filters = notches(sample_rate, centre_hz, width_hz, taps) * (10.0 ** (gain_db / 20.0))[..., None]
    heard = _filtered(powers, filters).sum(1)
    heard = heard - heard.mean(-1, keepdim=True)
    rest = (width_hz == 0).flatten(1).all(-1) & (gain_db[:, 0] == 0) & gain_db[:, 1:].isneginf().all(-1)
    return torch.where(rest[:, None], wave, heard)


def impulsive(wave: Tensor, places: Tensor, factor: Tensor, share: Tensor, gain: Tensor) -> Tensor:
    """Add impulses that follow the signal: some samples x become x + gain · factor · x.

    Args:
        wave: clips.
        places: numbers without ties, such as uniform ones; the samples with the smallest are hit.
        factor: of each sample (published: the product of two numbers uniform on [−1, 1]).
        share: of the samples that are hit (published: up to 0.1), rounded down to whole samples.
        gain: published: 2.

    Shape:
        wave, places, factor: (batch, samples); share, gain: (batch,) -> (batch, samples)
    """
    count = (share * wave.shape[-1] + 1e-3).long()[:, None]
    ordered = torch.nn.functional.pad(places.sort(-1).values, (1, 0), value=-torch.inf)
    hit = places <= ordered.gather(-1, count)
    return torch.where(hit, wave + gain[:, None] * factor * wave, wave)


def stationary(
    wave: Tensor,
    sample_rate: int,
    deviates: Tensor,
    centre_hz: Tensor,
    width_hz: Tensor,
    taps: Tensor,
    snr_db: Tensor,
) -> Tensor:
    """Add noise coloured by notches.

    Args:
        wave: clips.
        sample_rate: Hz.
        deviates: standard normal numbers.
        centre_hz: as for `convolutive`, one row of notches per clip.
        width_hz: likewise.
        taps: likewise.
        snr_db: published: 10 to 40 dB; infinity for no noise.

    Shape:
        wave, deviates: (batch, samples); centre_hz, width_hz, taps: (batch, notches); snr_db: (batch,)
        -> (batch, samples)
    """
    filters = notches(sample_rate, centre_hz, width_hz, taps)
    return add_noise(wave, _filtered(deviates, filters), snr_db)


def notches(sample_rate: int, centre_hz: Tensor, width_hz: Tensor, taps: Tensor) -> Tensor:
    """Design filters that leave bands out: windowed (Hamming) band-stops in a row, the largest gain made 1.

    Args:
        sample_rate: Hz.
        centre_hz: of the bands.
        width_hz: of the bands; 0 for none.
        taps: coefficients of each band-stop, at most 101; even ones get one more.

    Returns:
        Symmetric filters; sample 0 is in the middle.

    Shape:
        centre_hz, width_hz, taps: (…, notches) -> (…, notches · 100 + 1)
    """
    half = LONGEST // 2
    lag = torch.arange(-half, half + 1, device=centre_hz.device, dtype=centre_hz.dtype)
    low, high = ((centre_hz + side * width_hz / 2).clamp(0.0, sample_rate / 2) for side in (-1, 1))
    low, high = (2.0 * edge[..., None] / sample_rate for edge in (low, high))
    band = high * torch.sinc(high * lag) - low * torch.sinc(low * lag)
    reach = (taps // 2).to(lag.dtype)[..., None]  # lags to either side
    window = 0.54 + 0.46 * torch.cos(torch.pi * lag / reach.clamp_min(1.0))
    stop = torch.where(lag.abs() <= reach, ((lag == 0).to(lag.dtype) - band) * window, 0.0)
    spectrum = torch.fft.rfft(stop, _GRID).prod(-2)
    spectrum = spectrum / spectrum.abs().amax(-1, keepdim=True)
    return torch.fft.irfft(spectrum, _GRID)[..., : centre_hz.shape[-1] * (LONGEST - 1) + 1]


def _filtered(wave: Tensor, filters: Tensor) -> Tensor:
    """Convolve with filters whose sample 0 is in the middle, length kept."""
    samples, taps = wave.shape[-1], filters.shape[-1]
    size = next_fast_len(samples + taps - 1, real=True)
    heard: Tensor = torch.fft.irfft(torch.fft.rfft(wave, size) * torch.fft.rfft(filters, size), size)
    return heard[..., taps // 2 : taps // 2 + samples]
