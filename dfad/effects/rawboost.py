"""RawBoost: the three distortions of Tak et al., "RawBoost: a raw data boosting and augmentation method" (ICASSP 2022).

Each follows the definition in the paper; its ranges are in the arguments' descriptions, for those who draw.
"""

from __future__ import annotations

from itertools import accumulate
from operator import mul

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from dfad.effects.convolution import convolve
from dfad.effects.noise import add_noise

LONGEST = 101  # coefficients of a notch


def convolutive(
    wave: Tensor, sample_rate: int, centre_hz: Tensor, width_hz: Tensor, taps: Tensor, gain_db: Tensor
) -> Tensor:
    """Distort linearly and not: powers 1, 2, … of the clip, each through its own notches, added; no offset is left.

    A Hammerstein system of parallel branches; its filters have no delay here.

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
    filters = notches(sample_rate, centre_hz, width_hz, taps) * (10.0 ** (gain_db / 20.0))[..., None]
    powers = torch.stack(list(accumulate([wave] * gain_db.shape[1], mul)), 1)
    heard = convolve(powers, filters, filters.shape[-1] // 2)
    heard = heard - heard.mean(-1, keepdim=True)
    rest = (width_hz == 0).flatten(1).all(-1) & (gain_db[:, 0] == 0) & gain_db[:, 1:].isneginf().all(-1)
    return torch.where(rest[:, None], wave, heard)


def impulsive(wave: Tensor, deviates: Tensor, share: Tensor, gain: Tensor) -> Tensor:
    """Add impulses that follow the signal: some samples x become x + gain · factor · x.

    The factor is the product of two numbers uniform on [−1, 1]. The paper hits exactly that share of the samples; here
    each sample is hit with that probability, which spares a sort, and a share of 0.1 of 64,000 is 6400 ± 76.

    Args:
        wave: clips.
        deviates: standard normal numbers; one decides whether its sample is hit, and how hard.
        share: of the samples that are hit (published: up to 0.1).
        gain: published: 2.

    Shape:
        wave, deviates: (batch, samples); share, gain: (batch,) -> (batch, samples)
    """
    place = torch.special.ndtr(deviates) / share[:, None].clamp_min(1e-9)  # uniform on [0, 1) where hit
    coarse = (1024.0 * place).floor()
    factor = (2.0 * (coarse + 0.5) / 1024.0 - 1.0) * (2.0 * (1024.0 * place - coarse) - 1.0)  # upper and lower digits
    hit = (place < 1.0) & (share[:, None] > 0)
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
    return add_noise(wave, convolve(deviates[:, None], filters[:, None], filters.shape[-1] // 2), snr_db)


def notches(sample_rate: int, centre_hz: Tensor, width_hz: Tensor, taps: Tensor) -> Tensor:
    """Design filters that leave bands out: windowed (Hamming) band-stops in a row, the largest gain made 1.

    Args:
        sample_rate: Hz.
        centre_hz: of the bands.
        width_hz: of the bands; 0 for none.
        taps: coefficients of each band-stop, at most 101; even ones get one more.

    Returns:
        Symmetric filters; sample 0 is in the middle.

    Raises:
        ValueError: a band-stop has more coefficients than that.

    Shape:
        centre_hz, width_hz, taps: (…, notches) -> (…, notches · 100 + 1)
    """
    if taps.max() > LONGEST:
        raise ValueError(f"a notch has at most {LONGEST} coefficients, not {int(taps.max())}")
    half = LONGEST // 2
    lag = torch.arange(-half, half + 1, device=centre_hz.device, dtype=centre_hz.dtype)
    low, high = ((centre_hz + side * width_hz / 2).clamp(0.0, sample_rate / 2) for side in (-1, 1))
    low, high = (2.0 * edge[..., None] / sample_rate for edge in (low, high))
    band = high * torch.sinc(high * lag) - low * torch.sinc(low * lag)
    reach = (taps // 2).to(lag.dtype)[..., None]  # lags to either side
    window = 0.54 + 0.46 * torch.cos(torch.pi * lag / reach.clamp_min(1.0))
    stop = torch.where(lag.abs() <= reach, ((lag == 0).to(lag.dtype) - band) * window, 0.0)
    length = centre_hz.shape[-1] * (LONGEST - 1) + 1
    size = max(1024, next_fast_len(length, real=True))  # bins fine enough to find the largest gain
    spectrum = torch.fft.rfft(stop, size).prod(-2)
    spectrum = spectrum / spectrum.abs().amax(-1, keepdim=True).clamp_min(1e-4)  # rounding is no pass band
    return torch.fft.irfft(spectrum, size)[..., :length]
