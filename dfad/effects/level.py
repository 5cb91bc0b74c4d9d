"""Effects on the level, the sign and the grid of a waveform."""

from __future__ import annotations

import torch
from torch import Tensor


def gain(wave: Tensor, gain_db: Tensor) -> Tensor:
    """Scale every clip by its gain.

    Shape:
        wave: (batch, samples); gain_db: (batch,) dB -> (batch, samples)
    """
    return wave * (10.0 ** (gain_db / 20.0))[:, None]


def invert(wave: Tensor) -> Tensor:
    """Turn the sign, which nobody hears.

    Shape:
        wave: (batch, samples) -> (batch, samples)
    """
    return -wave


def within_full_scale(wave: Tensor) -> Tensor:
    """Scale down those clips that exceed [-1, 1]: a file would clip there, a float does not.

    Shape:
        wave: (batch, samples) -> (batch, samples)
    """
    return wave / wave.abs().amax(-1, keepdim=True).clamp_min(1.0)


def clip(wave: Tensor, ceiling: Tensor) -> Tensor:
    """Cut off what exceeds a share of the clip's own peak, as an overdriven input does.

    Shape:
        wave: (batch, samples); ceiling: (batch,) share of the peak, 1 = as it is -> (batch, samples)
    """
    most = wave.abs().amax(-1, keepdim=True) * ceiling[:, None].clamp(0.0, 1.0)
    return wave.clamp(-most, most)


def requantise(wave: Tensor, bits: Tensor) -> Tensor:
    """Round to the grid of PCM samples of so many bits; its gradient is that of clipping at full scale.

    16 bits keep what a 16-bit file holds bit for bit; 32 or more leave a clip as it is.

    Shape:
        wave: (batch, samples); bits: (batch,) whole numbers, at least 2 -> (batch, samples)
    """
    bits = bits[:, None].long()
    most = power_of_two(bits - 1, wave)
    inside = torch.minimum(wave.clamp_min(-1.0), 1.0 - 1.0 / most)
    return torch.where(bits >= 32, wave, straight_through((inside * most).round() / most, inside))


def power_of_two(exponent: Tensor, like: Tensor) -> Tensor:
    """2 to the power of integers from 0 to 62, which `pow` need not give exactly on every device.

    Shape:
        exponent: any int64 -> same, with the type of `like`
    """
    return (torch.ones_like(exponent) << exponent.clamp(0, 62)).to(like.dtype)


def straight_through(rounded: Tensor, wave: Tensor) -> Tensor:
    """Give the values of one tensor and the gradient of the other (Bengio et al., 2013, arXiv 1308.3432).

    Shape:
        rounded, wave: alike, and so is the result
    """
    return rounded.detach() + (wave - wave.detach())  # the bracket is exactly zero
