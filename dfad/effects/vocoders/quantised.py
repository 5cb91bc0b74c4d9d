"""A vocoder that codes: a transform whose coefficients are quantised in stages, as neural codecs quantise theirs."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from dfad.effects.analysis import even
from dfad.effects.vocoders.parts import Seed

_WIDTH = 8  # coefficients that are coded together: 400 Hz
_WORDS = 256
_STEP_DB = 1.5


def residual_vq(wave: Tensor, sample_rate: int, seed: Seed = 0, *, stages: int = 2) -> Tensor:
    """Copy through a lapped transform, vector-quantised in stages (Princen and Bradley, 1986; Zeghidour et al., 2021).

    Every 10 ms the coefficients of a modified discrete cosine transform are cut into bands of 400 Hz. A band's level is
    coded in steps of 1.5 dB, and its shape by words of 8 bits, each for what those before it left: two up to 2 kHz and
    one above, 20 kbit/s at a sample rate of 16 kHz. The code books are drawn, not trained: another seed, another codec.

    Args:
        wave: clips.
        sample_rate: Hz.
        seed: of the code books; one for all clips or one per clip.
        stages: words per band up to 2 kHz.

    Shape:
        wave: (batch, samples) float32 in [-1, 1]; the result likewise.
    """
    hop = even(0.01 * sample_rate)
    samples = wave.shape[-1]
    basis = lapped_basis(hop).to(wave.device)
    padded = F.pad(wave, (hop, hop + -samples % hop))
    found = padded.unfold(-1, 2 * hop, hop) @ basis  # (batch, frames, hop)
    bands = F.pad(found, (0, -hop % _WIDTH))
    bands = bands.view(*bands.shape[:2], -1, _WIDTH)
    level = bands.square().sum(-1, keepdim=True).sqrt()
    step = torch.log(torch.tensor(10.0)).item() * _STEP_DB / 20
    coded = torch.exp((level.clamp_min(1e-9).log() / step).round() * step) * (level > 1e-6)
    rest = (bands / level.clamp_min(1e-9)).double()  # a near tie must not fall otherwise beside other clips
    shape = torch.zeros_like(rest)
    low = torch.arange(bands.shape[2], device=wave.device) * (_WIDTH * sample_rate / (2 * hop))  # Hz
    for stage, book in enumerate(_books(seed, len(wave), stages, wave.device).unbind(1)):
        coded_here = (low < 2000.0) | (stage == 0)
        nearest = (rest.flatten(1, 2) @ book.transpose(1, 2) - 0.5 * book.square().sum(-1)[:, None]).argmax(-1)
        word = book.gather(1, nearest[..., None].expand(-1, -1, _WIDTH)).view_as(rest) * coded_here[:, None]
        shape, rest = shape + word, rest - word
    shape = shape / shape.square().sum(-1, keepdim=True).sqrt().clamp_min(1e-9)
    spectrum = (shape.to(wave.dtype) * coded).flatten(2)[..., :hop]
    frames = spectrum @ basis.T
    total = (frames.shape[1] + 1) * hop
    summed = F.fold(frames.transpose(1, 2), (1, total), (1, 2 * hop), stride=(1, hop))[:, 0, 0]
    return summed[:, hop : hop + samples]


@lru_cache(maxsize=4)
def lapped_basis(hop: int) -> Tensor:
    """Give the modified discrete cosine transform with a sine window; its transpose is the way back.

    Shape:
        (2 · hop, hop) float32; half overlapped frames times it and times its transpose, added up, are the signal
    """
    n, k = torch.arange(2 * hop, dtype=torch.float64)[:, None] + 0.5, torch.arange(hop, dtype=torch.float64) + 0.5
    window = torch.sin(torch.pi * n / (2 * hop))
    return (window * (2 / hop) ** 0.5 * torch.cos(torch.pi / hop * (n + hop / 2) * k)).float()


def _books(seed: Seed, clips: int, stages: int, device: torch.device) -> Tensor:
    """Draw words of unit length, shorter from stage to stage: (clips, stages, words, width) float64."""
    seeds = [seed] * clips if isinstance(seed, int) else seed
    drawn = [torch.randn(stages, _WORDS, _WIDTH, generator=torch.Generator().manual_seed(one)) for one in seeds]
    books = F.normalize(torch.stack(drawn).double(), dim=-1)
    lengths = torch.tensor([0.8 * 0.62**stage for stage in range(stages)], dtype=torch.float64)
    return (books * lengths[:, None, None]).to(device)
