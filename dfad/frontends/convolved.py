"""Frontends whose transforms are convolutions with fixed kernels: the same numbers, for graphs that know no FFT.

A short-time Fourier transform and a constant-Q transform are correlations of the waveform with windowed tones, so a
convolution with these as its kernels and the hop as its stride is the same sum in another order. It takes more
multiplications than an FFT and runs wherever a convolution does.
"""

from __future__ import annotations

from copy import deepcopy
from math import ceil, pi

import numpy as np
import torch
import torchaudio.transforms as transforms
from torch import Tensor, nn
from torch.nn import functional as F

from dfad.frontends.base import Frontend
from dfad.frontends.cqt import CQTKnobs, tones
from dfad.frontends.cqt import Power as ConstantQ


def convolved(frontend: Frontend) -> Frontend:
    """A copy of a frontend, every Fourier transform in it replaced by a convolution."""
    copy = deepcopy(frontend)
    for module in list(copy.modules()):
        for name, child in module.named_children():
            if isinstance(child, transforms.Spectrogram):
                setattr(module, name, _spectrogram(child))
            elif isinstance(child, ConstantQ):
                setattr(module, name, _constant_q(child.knobs))
    return copy


class _Correlations(nn.Module):
    """Squared magnitudes of correlations with complex kernels, group by group, each group as long as it needs.

    Args:
        groups: (kernels, 2, taps) each, real and imaginary parts.
        starts: sample at which the first frame of each group begins.
        ends: samples behind the last frame of each group.
        hop: samples between frames.

    Shape:
        wave: (batch, samples) -> (batch, kernels of all groups, frames)
    """

    def __init__(self, groups: list[Tensor], starts: list[int], ends: list[int], hop: int) -> None:
        super().__init__()
        self.starts, self.ends, self.hop = starts, ends, hop
        for number, kernels in enumerate(groups):
            self.register_buffer(f"group{number}", kernels.transpose(0, 1).flatten(0, 1)[:, None].float())

    def forward(self, wave: Tensor) -> Tensor:
        """Compute the powers."""
        powers = []
        for number, (start, end) in enumerate(zip(self.starts, self.ends, strict=True)):
            heard = wave[:, None, start : -end or None]
            real, imaginary = F.conv1d(heard, self.get_buffer(f"group{number}"), stride=self.hop).chunk(2, 1)
            powers.append(real.square() + imaginary.square())
        return powers[0] if len(powers) == 1 else torch.cat(powers, 1)


def _spectrogram(given: transforms.Spectrogram) -> _Correlations:
    """The power spectrogram of torchaudio; only that part of a transform is computed that the window leaves."""
    taps, ahead = given.win_length, (given.n_fft - given.win_length) // 2
    time = torch.arange(ahead, ahead + taps)
    bins = torch.arange(given.n_fft // 2 + 1)[:, None]
    turns = 2 * pi * (bins * time % given.n_fft).double() / given.n_fft  # whole turns taken off, for exact angles
    kernels = torch.stack([turns.cos(), turns.sin()], 1) * given.window.double().cpu()
    return _Correlations([kernels], [ahead], [given.n_fft - taps - ahead], given.hop_length)


def _constant_q(knobs: CQTKnobs) -> _Correlations:
    """The powers of the constant-Q transform, octave by octave, as each octave down has atoms twice as long."""
    groups, cut = [], []
    cycles = np.split(knobs.hertz() / knobs.sample_rate, knobs.n_octaves)
    for octave, lengths in zip(cycles, np.split(knobs.lengths(), knobs.n_octaves), strict=True):
        half = min(ceil(lengths[0] / 2), knobs.margin)
        atoms = tones(octave, lengths, np.arange(-half, half))  # at its ends an atom is 0
        groups.append(torch.from_numpy(np.stack([atoms.real, atoms.imag], 1)))
        cut.append(knobs.margin - half)
    return _Correlations(groups, cut, cut, knobs.hop)
