"""Additive noise at an exact signal-to-noise ratio."""

from __future__ import annotations

import torch
from torch import Tensor


def add_noise(wave: Tensor, noise: Tensor, snr_db: Tensor) -> Tensor:
    """Add noise, scaled so that the ratio of the clip's mean power to the noise's is `snr_db`.

    Shape:
        wave, noise: (batch, samples); snr_db: (batch,) dB -> (batch, samples); a silent clip stays silent
    """
    signal = wave.square().mean(-1, keepdim=True)
    power = noise.square().mean(-1, keepdim=True).clamp_min(1e-20)
    scale = signal / power * 10.0 ** (-snr_db[:, None] / 10.0)
    return wave + noise * torch.where(scale > 0, scale, 1.0).sqrt() * (scale > 0)  # the root of 0 has no gradient
