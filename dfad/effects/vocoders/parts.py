"""What the vocoders are put together from: excitation, filters that change with time, and the level of the original."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from dfad.effects.analysis import even, framed

Seed = int | Sequence[int]

HOP_S, EDGE_S = 0.008, 0.1


def sizes(sample_rate: int) -> tuple[int, int, int]:
    """Give window, hop (a quarter of the window) and edge in samples; the edge lets border frames be whole."""
    hop = even(HOP_S * sample_rate)
    return 4 * hop, hop, even(EDGE_S * sample_rate)


def noise_like(seed: Seed, like: Tensor) -> Tensor:
    """Draw white noise of power one: (batch, samples), equal rows if there is one seed."""
    seeds = [seed] if isinstance(seed, int) else seed
    rows = [torch.randn(like.shape[-1], generator=torch.Generator().manual_seed(one)) for one in seeds]
    return torch.stack(rows).to(like.device).expand_as(like)


def per_sample(values: Tensor, hop: int, samples: int) -> Tensor:
    """Interpolate (batch, frames) to (batch, samples)."""
    values = F.pad(values[:, None], (0, 1), mode="replicate")
    count = (values.shape[-1] - 1) * hop + 1
    return F.interpolate(values, count, mode="linear", align_corners=True)[:, 0, :samples]


def cycles(f0: Tensor, sample_rate: int) -> Tensor:
    """Count cycles: (batch, samples) float64, which stays exact over an hour."""
    return torch.cumsum(f0.double() / sample_rate, -1)


def drive(response: Tensor, f0: Tensor, voiced: Tensor, noise: Tensor, hop: int, sample_rate: int) -> Tensor:
    """Send pulses and noise, each of power one, through the responses, mixed by `voiced` (batch, frames, 1 or bins)."""
    f0 = per_sample(f0, hop, noise.shape[-1])
    pulses = cycles(f0, sample_rate).floor().diff(prepend=torch.zeros_like(f0[:, :1]).double())
    pulses = ((pulses - f0 / sample_rate) * (sample_rate / f0).sqrt()).to(noise.dtype)  # of zero mean: speech has no DC
    return shape(pulses, response * voiced.sqrt(), hop) + shape(noise, response * (1.0 - voiced).sqrt(), hop)


def shape(signal: Tensor, response: Tensor, hop: int) -> Tensor:
    """Filter (batch, samples) by responses (batch, frames, bins) that change with time, frames overlapped and added."""
    size = response.shape[-1] - 1  # twice as many points as samples: the response's tail has room
    window = torch.hann_window(size, device=signal.device) * (2.0 * hop / size)  # sums to one
    frames = torch.fft.irfft(torch.fft.rfft(framed(signal, size, hop) * window, 2 * size) * response)
    total = (frames.shape[1] - 1) * hop + 2 * size
    summed = F.fold(frames.transpose(1, 2), (1, total), (1, 2 * size), stride=(1, hop))[:, 0, 0]
    return summed[:, size // 2 : size // 2 + signal.shape[-1]]


def match_level(copy: Tensor, wave: Tensor, size: int, hop: int) -> Tensor:
    """Give the copy (batch, samples) the wave's level, frame by frame: a harmonic on a sharp peak of it is too loud."""
    window = torch.hann_window(size, device=wave.device)
    wanted, found = ((framed(x, size, hop) * window).square().mean(-1) + 1e-10 for x in (wave, copy))
    return copy * per_sample((wanted / found).sqrt().clamp_max(4.0), hop, copy.shape[-1])
