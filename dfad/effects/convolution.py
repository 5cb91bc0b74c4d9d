"""Convolution by FFT, in blocks where the filters are short."""

from __future__ import annotations

from scipy.fft import next_fast_len
from torch import Tensor, fft
from torch.nn import functional as F


def convolve(signals: Tensor, filters: Tensor, ahead: int = 0) -> Tensor:
    """Convolve signals with filters and add them up, length kept (overlap-save: Stockham, 1966).

    Blocks of a few times the filter's length stay in a processor's cache; one transform serves where it is shorter.

    Args:
        signals: to add up after they are filtered, silence before and after them.
        filters: of any length.
        ahead: how many coefficients meet samples that are still to come; 0 for a causal filter.

    Shape:
        signals: (batch, signals, samples); filters: (batch, signals, taps) -> (batch, samples)
    """
    samples, taps = signals.shape[-1], filters.shape[-1]
    size = min(next_fast_len(samples + taps - 1, real=True), max(4096, 1 << (2 * taps).bit_length()))
    hop = size - taps + 1
    blocks = -(-samples // hop)
    padded = F.pad(signals, (taps - 1 - ahead, blocks * hop - samples + ahead))
    spectrum = (fft.rfft(padded.unfold(-1, size, hop)) * fft.rfft(filters, size)[..., None, :]).sum(1)
    return fft.irfft(spectrum, size)[..., taps - 1 :].flatten(1)[:, :samples]
