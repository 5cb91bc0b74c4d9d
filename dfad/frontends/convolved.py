"""Frontends without an FFT, for graphs that know none: the same transforms as products with fixed matrices.

A short-time Fourier transform correlates the waveform with windowed tones, so it is a convolution with these as its
kernels and the hop as its stride. The constant-Q transform needs the Fourier transform of a whole crop; that is taken
in two steps (Cooley and Tukey, 1965), of as many points as there are frames, and as there are samples in a hop.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from math import pi

import torch
import torchaudio.transforms as transforms
from torch import Tensor, nn
from torch.nn import functional as F

from dfad.frontends.base import Frontend
from dfad.frontends.cqt import Power

_Times = Callable[[Tensor, Tensor], Tensor]


def convolved(frontend: Frontend) -> Frontend:
    """A copy of a frontend, every Fourier transform in it replaced; that of `cqt` takes its crop and no longer clip."""
    copy = deepcopy(frontend)
    for module in list(copy.modules()):
        for name, child in module.named_children():
            if isinstance(child, transforms.Spectrogram):
                setattr(module, name, _Spectrogram(child))
            elif isinstance(child, Power):
                setattr(module, name, _ConstantQ(child))
    return copy


class _Spectrogram(nn.Module):
    """The power spectrogram of torchaudio; only where the window is above zero is anything multiplied.

    Shape:
        (batch, samples) -> (batch, n_fft / 2 + 1, frames)
    """

    def __init__(self, given: transforms.Spectrogram) -> None:
        super().__init__()
        taps, self.hop = given.win_length, given.hop_length
        self.ahead = (given.n_fft - taps) // 2
        self.behind = given.n_fft - taps - self.ahead
        time, bins = torch.arange(self.ahead, self.ahead + taps), torch.arange(given.n_fft // 2 + 1)
        kernels = torch.cat(_turns(bins, time, given.n_fft)) * given.window.double().cpu()
        self.register_buffer("kernels", kernels[:, None].float())

    def forward(self, wave: Tensor) -> Tensor:
        """Compute the powers."""
        heard = wave[:, None, self.ahead : -self.behind or None]
        real, imaginary = F.conv1d(heard, self.get_buffer("kernels"), stride=self.hop).chunk(2, 1)
        return real.square() + imaginary.square()


class _ConstantQ(nn.Module):
    """The powers of the constant-Q transform of one crop, as `Power` computes them, with its spectra of atoms.

    Sample p + hop · q and bin s · points + b make the angle of p · s / hop + p · b / size + q · b / points turns.

    Shape:
        wave: (batch, crop_samples + 2 margin) -> (batch, bands, 1 + crop_samples // hop)
    """

    def __init__(self, given: Power) -> None:
        super().__init__()
        self.given, self.points = given, given.size // given.hop
        frames, hop = torch.arange(self.points), torch.arange(given.hop)
        parts = {
            "slow": _turns(frames, frames, self.points),
            "twist": _turns(hop, frames, given.size),
            "fast": _turns(hop, hop, given.hop),
        }
        for name, (cosine, sine) in parts.items():
            self.register_buffer(f"{name}_cosine", cosine)
            self.register_buffer(f"{name}_sine", sine)

    def forward(self, wave: Tensor) -> Tensor:
        """Compute the powers."""
        given, crop = self.given, wave.shape[-1] - 2 * self.given.margin
        padded = F.pad(wave, (given.ahead, given.size - given.ahead - wave.shape[-1])).double()
        samples = padded.reshape(-1, self.points, given.hop).mT  # (batch, hop, points)
        real, imaginary = samples @ self._of("slow_cosine"), -(samples @ self._of("slow_sine"))
        real, imaginary = self._turned(real, imaginary, torch.mul, "twist")
        real, imaginary = self._turned(real.mT, imaginary.mT, torch.matmul, "fast")  # (batch, points, hop)
        folded = [torch.cat(self._folded(part), -1).permute(1, 2, 0) for part in (real, imaginary)]
        back = slice(given.first, given.first + 1 + crop // given.hop)
        cosine, sine = (self._of(f"slow_{name}")[:, back].float() / self.points for name in ("cosine", "sine"))
        found = folded[0] @ cosine - folded[1] @ sine, folded[0] @ sine + folded[1] @ cosine
        return found[0].square() + found[1].square()

    def _turned(self, real: Tensor, imaginary: Tensor, times: _Times, by: str) -> tuple[Tensor, Tensor]:
        """The complex product with a factor that turns backwards."""
        cosine, sine = self._of(f"{by}_cosine"), self._of(f"{by}_sine")
        return times(real, cosine) + times(imaginary, sine), times(imaginary, cosine) - times(real, sine)

    def _folded(self, part: Tensor) -> list[Tensor]:
        """Products with the spectra of each octave's atoms. Shape: -> (points, batch, bands) float32 each."""
        bins = part.transpose(0, 1)  # (points, batch, hop)
        return [
            (bins[..., segments] @ self.given.get_buffer(f"octave{octave}").double()).float()
            for octave, segments in enumerate(self.given.segments)
        ]

    def _of(self, name: str) -> Tensor:
        return self.get_buffer(name)


def _turns(rows: Tensor, columns: Tensor, whole: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of row · column / whole turns; whole turns are taken off first, for exact angles."""
    angles = 2 * pi * (rows[:, None] * columns % whole).double() / whole
    return angles.cos(), angles.sin()
