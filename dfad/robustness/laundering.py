"""What each laundering does to clips, from a strength and what is drawn for every clip."""

from __future__ import annotations

from torch import Tensor

from dfad.effects import level
from dfad.effects.noise import add_noise
from dfad.robustness.given import Given


def white(wave: Tensor, sample_rate: int, strength: float, given: Given) -> Tensor:
    """White noise at a signal-to-noise ratio in dB."""
    return add_noise(wave, given.draws.normal("noise", wave.shape[-1]), _each(wave, strength))


def gain(wave: Tensor, sample_rate: int, strength: float, given: Given) -> Tensor:
    """Another level, by dB."""
    return level.gain(wave, _each(wave, strength))


def _each(wave: Tensor, strength: float) -> Tensor:
    """One value for every clip. Shape: (batch,)."""
    return wave.new_full(wave.shape[:1], strength)
