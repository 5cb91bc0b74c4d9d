"""The logarithmic quantisers of digital telephony (ITU-T Recommendation G.711, 1988)."""

from __future__ import annotations

import torch
from torch import Tensor

from dfad.effects.level import power_of_two, straight_through

_MU_SCALE, _MU_MOST, _MU_BIAS = 8192.0, 8158.0, 33.0  # samples of 14 bits
_A_SCALE, _A_MOST = 4096.0, 4095.0  # samples of 13 bits
_FIRST = 32.0  # below it the A-law is linear: its first segment is as wide as the second


def mu_law(wave: Tensor, bits: Tensor) -> Tensor:
    """Encode by the µ-law of North America and Japan, and decode; the gradient is that of clipping.

    8 bits are those of G.711: the sign, 3 for one of 8 segments, each twice as wide as the one before, and 4 for the
    place in it. Other numbers of bits have more or fewer places; 32 or more leave a clip as it is.

    Shape:
        wave: (batch, samples); bits: (batch,) whole numbers, at least 4 -> (batch, samples)
    """
    bits = bits[:, None].long()
    size = (wave.detach().abs() * _MU_SCALE).clamp_max(_MU_MOST) + _MU_BIAS
    coded = (_middle(size, _segment(size) / power_of_two(bits - 4, wave)) - _MU_BIAS) / _MU_SCALE
    return torch.where(bits >= 32, wave, straight_through(wave.sign() * coded, wave.clamp(-1.0, 1.0)))


def a_law(wave: Tensor) -> Tensor:
    """Encode by the A-law of Europe in 8 bits, and decode; the gradient is that of clipping.

    It has no zero: silence becomes an offset of half a step, 1/4096.

    Shape:
        wave: (batch, samples) -> (batch, samples)
    """
    size = (wave.detach().abs() * _A_SCALE).clamp_max(_A_MOST)
    coded = _middle(size, _segment(size.clamp_min(_FIRST)) / 16.0) / _A_SCALE
    return straight_through(torch.where(wave < 0, -coded, coded), wave.clamp(-1.0, 1.0))


def _segment(size: Tensor) -> Tensor:
    """Give the power of two at or below every number, exactly."""
    return size / (2.0 * torch.frexp(size).mantissa)


def _middle(size: Tensor, step: Tensor) -> Tensor:
    """Give the middle of the step that a number is on."""
    return ((size / step).floor() + 0.5) * step
