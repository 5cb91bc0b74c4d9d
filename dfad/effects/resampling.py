"""Resampling to another rate and back, as a chain of programs does that like different rates."""

from __future__ import annotations

import torchaudio.functional as functional
from torch import Tensor

from dfad.effects.filters import falling, zero_phase

PASSED = 0.91  # of half the lower rate: where the anti-aliasing filter begins to fall; soxr's HQ begins there too


def through(wave: Tensor, sample_rate: int, rate: Tensor) -> Tensor:
    """Resample to another rate and back, both times with a good resampler.

    What has nothing above half of a rate loses nothing when it is sampled at that rate (Shannon, 1949). So a trip to
    a lower rate and back does what its anti-aliasing filter does, and a trip to a higher one does nothing; samples at
    the other rate need not be computed, and every clip may have a rate of its own.

    Args:
        wave: clips.
        sample_rate: Hz.
        rate: Hz; from `sample_rate` on a clip stays as it is.

    Shape:
        wave: (batch, samples); rate: (batch,) above 0 -> (batch, samples), aligned
    """
    return zero_phase(wave, sample_rate, lambda hertz: anti_aliasing(hertz, rate), rest=rate >= sample_rate)


def anti_aliasing(hertz: Tensor, rate: Tensor) -> Tensor:
    """Amplitudes of the filter of a resampler: 1 up to 91 % of half the rate, 0 from half the rate on.

    Shape:
        hertz: (bins,); rate: (batch,) -> (batch, bins)
    """
    half = rate[:, None] / 2
    return falling(hertz, PASSED * half, half)


def to_rate(wave: Tensor, sample_rate: int, rate: int) -> Tensor:
    """Resample to another rate, and stay there; differentiable.

    A windowed sinc (Smith and Gossett, ICASSP 1984) with Kaiser's window, about as sharp as what decodes files.

    Args:
        wave: clips.
        sample_rate: theirs, Hz.
        rate: Hz; at `sample_rate` they stay as they are.

    Shape:
        (batch, samples) -> (batch, samples · rate / sample_rate, rounded up)
    """
    if rate == sample_rate:
        return wave
    return functional.resample(
        wave, sample_rate, rate, lowpass_filter_width=64, rolloff=0.95, resampling_method="sinc_interp_kaiser"
    )
