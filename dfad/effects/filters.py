"""Zero-phase filters, applied in the frequency domain: they change how a clip sounds and not when."""

from __future__ import annotations

from collections.abc import Callable

import torch
from scipy.fft import next_fast_len
from torch import Tensor

FLANK, WIDEST_HZ = 0.1, 100.0  # half of a flank: a share of the cut-off, but no more than so many Hz
TELEPHONE_HZ = (300.0, 3400.0)
PIVOT_HZ, LOWEST_HZ = 1000.0, 50.0  # of a tilt: where nothing changes, and below which it goes no further
_EDGE_S = 0.1  # behind a clip: both of its ends may ring there, and not into each other


def band(wave: Tensor, sample_rate: int, low_hz: Tensor, high_hz: Tensor) -> Tensor:
    """Keep what lies between two cut-offs.

    The amplitude is halved at a cut-off, and falls from one to nothing in a raised cosine that reaches a tenth of the
    cut-off, at most 100 Hz, to either side. Beyond that, sounds are at least 70 dB down.

    Args:
        wave: clips.
        sample_rate: Hz.
        low_hz: lower cut-off; 0 is none.
        high_hz: upper cut-off, above the lower one; half of `sample_rate` and more is none.

    Shape:
        wave: (batch, samples); low_hz, high_hz: (batch,) -> (batch, samples)
    """
    limits = (low_hz > 0, high_hz < sample_rate / 2)

    def response(hertz: Tensor) -> Tensor:
        (_, above), (below, _) = (_halves(hertz, cut[:, None]) for cut in (low_hz, high_hz))
        return torch.where(limits[0][:, None], above, 1.0) * torch.where(limits[1][:, None], below, 1.0)

    return zero_phase(wave, sample_rate, response, rest=~(limits[0] | limits[1]))


def telephone(wave: Tensor, sample_rate: int) -> Tensor:
    """Keep the band of an analogue telephone, 300 to 3400 Hz, with the flanks of `band`.

    Shape:
        wave: (batch, samples) -> (batch, samples)
    """
    low, high = (wave.new_full((len(wave),), hertz) for hertz in TELEPHONE_HZ)
    return band(wave, sample_rate, low, high)


def tilt(wave: Tensor, sample_rate: int, db_per_octave: Tensor) -> Tensor:
    """Tilt the spectrum around 1 kHz; below 50 Hz the gain stays as it is at 50 Hz.

    Args:
        wave: clips.
        sample_rate: Hz.
        db_per_octave: more than 0 is brighter, less is duller, 0 leaves a clip as it is.

    Shape:
        wave: (batch, samples); db_per_octave: (batch,) -> (batch, samples)
    """

    def response(hertz: Tensor) -> Tensor:
        octaves = (hertz.clamp_min(LOWEST_HZ) / PIVOT_HZ).log2()
        return 10.0 ** (db_per_octave[:, None] * octaves / 20.0)

    return zero_phase(wave, sample_rate, response, rest=db_per_octave == 0)


def zero_phase(wave: Tensor, sample_rate: int, response: Callable[[Tensor], Tensor], rest: Tensor) -> Tensor:
    """Multiply spectra by real responses.

    Args:
        wave: clips.
        sample_rate: Hz.
        response: gives the amplitudes (batch, bins) at frequencies (bins,) in Hz.
        rest: which clips stay as they are, bit for bit.

    Shape:
        wave: (batch, samples); rest: (batch,) bool -> (batch, samples)
    """
    samples = wave.shape[-1]
    size = padded_size(samples, round(_EDGE_S * sample_rate))
    spectrum = torch.fft.rfft(wave, size) * response(bin_hertz(size, sample_rate, wave)).to(wave.dtype)
    return torch.where(rest[:, None], wave, torch.fft.irfft(spectrum, size)[:, :samples])


def falling(hertz: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Fall from 1 at one frequency to 0 at another in a raised cosine.

    Shape:
        hertz: (bins,); first, last: (batch, 1), the first below the last -> (batch, bins)
    """
    place = ((hertz - first) / (last - first)).clamp(0.0, 1.0)
    return 0.5 + 0.5 * torch.cos(torch.pi * place)


def padded_size(samples: int, edge: int) -> int:
    """A length of which transforms are fast, with room for a clip and at least so many zeros behind it."""
    return int(next_fast_len(samples + edge, real=True))


def bin_hertz(size: int, sample_rate: int, like: Tensor) -> Tensor:
    """Frequencies of the bins of a real transform. Shape: (size // 2 + 1,)."""
    return torch.arange(size // 2 + 1, device=like.device, dtype=like.dtype) * (sample_rate / size)


def _halves(hertz: Tensor, cut: Tensor) -> tuple[Tensor, Tensor]:
    """Amplitudes below and above a cut-off, one in sum. Shape: (bins,), (batch, 1) -> (batch, bins) each."""
    half = (FLANK * cut).clamp(1.0, WIDEST_HZ)
    below = falling(hertz, cut - half, cut + half)
    return below, 1.0 - below
