"""Random numbers with an address: (seed, epoch, clip, draw, name) → the same numbers, wherever they are computed.

A generator hands out numbers in the order of the calls, so they change with workers, devices, batch order and a
resumed run. Here each number is a hash of its address instead: SplitMix64 (Steele, Lea and Flood, "Fast splittable
pseudorandom number generators", OOPSLA 2014), written in integer tensor operations that are exact on every device.
"""

from __future__ import annotations

from math import pi, prod
from zlib import crc32

import numpy as np
import torch
from torch import Tensor


def _signed(value: int) -> int:
    """The 64-bit pattern of `value` as the signed integer that torch knows."""
    return (value + 2**63) % 2**64 - 2**63


_GAMMA = _signed(0x9E3779B97F4A7C15)
_MULTIPLY_1 = _signed(0xBF58476D1CE4E5B9)
_MULTIPLY_2 = _signed(0x94D049BB133111EB)


def splitmix64(state: Tensor) -> Tensor:
    """Hash every 64-bit integer of a tensor: the output of SplitMix64 after it stepped on to `state`.

    Shape:
        any int64 -> same int64

    >>> splitmix64(torch.tensor(1234567 + _GAMMA)).item() % 2**64  # first output for the seed 1234567
    6457827717110365317
    """
    z = (state ^ _shift(state, 30)) * _MULTIPLY_1
    z = (z ^ _shift(z, 27)) * _MULTIPLY_2
    return z ^ _shift(z, 31)


def _shift(z: Tensor, bits: int) -> Tensor:
    return (z >> bits) & ((1 << (64 - bits)) - 1)  # torch's >> copies the sign, a logical shift does not


class Draws:
    """The random numbers of a batch of clips: one independent stream per clip and name.

    Args:
        seed: of the run.
        epoch: counted from 0.
        clip: row of each clip in the manifest. Shape: (batch,) int64.
        draw: how often the clip came up before in this epoch. Shape: (batch,) int64.
    """

    def __init__(self, seed: int, epoch: int, clip: Tensor, draw: Tensor) -> None:
        key = splitmix64(torch.tensor(_signed(seed)) + _GAMMA)
        key = splitmix64((key ^ epoch) + _GAMMA)
        self.key = splitmix64((splitmix64((key.to(clip.device) ^ clip) + _GAMMA) ^ draw) + _GAMMA)

    def to(self, device: torch.device) -> Draws:
        """The same numbers, computed on another device."""
        moved = object.__new__(Draws)
        moved.key = self.key.to(device, non_blocking=True)
        return moved

    def __getitem__(self, rows: Tensor) -> Draws:
        """The draws of some of the clips."""
        some = object.__new__(Draws)
        some.key = self.key[rows]
        return some

    def within(self, name: str) -> Draws:
        """The draws of one part of a work, such as a step: as independent of the others' as another clip's."""
        part = object.__new__(Draws)
        part.key = splitmix64((self.key ^ crc32(name.encode())) + _GAMMA)
        return part

    def bits(self, name: str, *shape: int) -> Tensor:
        """64 random bits per element. Shape: (batch, *shape) int64."""
        start = splitmix64((self.key ^ crc32(name.encode())) + _GAMMA)
        steps = torch.arange(1, prod(shape) + 1, device=self.key.device) * _GAMMA
        return splitmix64(start[:, None] + steps).view(len(start), *shape)

    def uniform(self, name: str, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform on [low, high). Shape: (batch, *shape) float32."""
        values = low + (high - low) * (_shift(self.bits(name, *shape), 40).float() * 2.0**-24)
        return values.clamp_max(float(np.nextafter(np.float32(high), np.float32(low))))  # rounding may reach `high`

    def integer(self, name: str, high: Tensor | int) -> Tensor:
        """Uniform on 0 … high − 1, `high` at most 2²⁴. Shape: (batch,) int64."""
        return (self.uniform(name) * high).long()

    def normal(self, name: str, count: int) -> Tensor:
        """Standard normal, two from each 64 bits (Box and Muller, 1958). Shape: (batch, count) float32."""
        bits = self.bits(name, (count + 1) // 2)
        radius = (-2.0 * ((_shift(bits, 40).float() + 1.0) * 2.0**-24).log()).sqrt()
        angle = (bits & 0xFFFFFF).float() * (2.0 * pi * 2.0**-24)
        return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=-1)[:, :count]
