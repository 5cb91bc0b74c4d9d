"""A bank of band-pass filters over the waveform, each given by its two edges alone (Ravanelli and Bengio, SLT 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def mel_edges(bands: int, sample_rate: int) -> Tensor:
    """Edges of bands that touch and are equally wide in mel, from 0 to half the sample rate.

    One mel is 2595 log10(1 + f / 700 Hz) (O'Shaughnessy, Speech Communication, 1987).

    Shape:
        -> (bands, 2) float64, Hz: lower and upper edge

    >>> mel_edges(2, 16000).round().tolist()
    [[0.0, 1767.0], [1767.0, 8000.0]]
    """
    top = 2595 * torch.log10(torch.tensor(1 + sample_rate / 2 / 700, dtype=torch.float64))
    edges = 700 * (10 ** (torch.linspace(0, 1, bands + 1, dtype=torch.float64) * top / 2595) - 1)
    return torch.stack([edges[:-1], edges[1:]], 1)


def band_pass(edges: Tensor, taps: int, sample_rate: int) -> Tensor:
    """Impulse responses of band-pass filters: the ideal ones, cut to a Hamming window, differentiable in the edges.

    Shape:
        edges: (bands, 2) Hz -> (bands, taps)
    """
    time = torch.arange(taps, dtype=edges.dtype, device=edges.device) - (taps - 1) / 2
    cutoff = 2 * edges / sample_rate  # of half the sample rate
    low_pass = cutoff[..., None] * torch.sinc(cutoff[..., None] * time)  # (bands, 2, taps)
    window = torch.hamming_window(taps, periodic=False, dtype=edges.dtype, device=edges.device)
    return (low_pass[:, 1] - low_pass[:, 0]) * window


class SincBank(nn.Module):
    """Mel-spaced band-pass filters, fixed or with edges that are learned; no padding.

    Args:
        bands: number of filters.
        taps: odd length of each, in samples.
        sample_rate: of the waveform, Hz.
        learned: whether the edges are trained.

    Shape:
        wave: (batch, samples) -> (batch, bands, samples - taps + 1)
    """

    def __init__(self, bands: int, taps: int, sample_rate: int, *, learned: bool = False) -> None:
        super().__init__()
        self.taps, self.sample_rate, self.learned = taps, sample_rate, learned
        edges = mel_edges(bands, sample_rate)
        if learned:
            self.edges = nn.Parameter(edges.float())
        else:  # no part of a checkpoint: the options give it
            self.register_buffer("fixed", band_pass(edges, taps, sample_rate).float(), persistent=False)

    def kernels(self) -> Tensor:
        """The impulse responses. Shape: (bands, taps)."""
        if not self.learned:
            assert isinstance(self.fixed, Tensor)
            return self.fixed
        low, high = self.edges.abs().unbind(1)  # a negative frequency is the same one
        edges = torch.stack([torch.minimum(low, high), torch.maximum(low, high)], 1)
        return band_pass(edges, self.taps, self.sample_rate)

    def forward(self, wave: Tensor) -> Tensor:
        """Filter a batch of waveforms."""
        return F.conv1d(wave[:, None], self.kernels()[:, None])
