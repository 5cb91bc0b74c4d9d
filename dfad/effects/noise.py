"""Noise: its colours, a crowd, and how it is added at an exact signal-to-noise ratio."""

from __future__ import annotations

import torch
from torch import Tensor

LOWEST = 1 / 800  # cycles per sample: 20 Hz at 16 kHz
_SILENCE = 1e-20  # power below which there is nothing to amplify


def add_noise(wave: Tensor, noise: Tensor, snr_db: Tensor) -> Tensor:
    """Add noise, scaled so that the ratio of the clip's mean power to the noise's is `snr_db`.

    A silent clip stays silent; infinitely many dB leave a clip as it is.

    Shape:
        wave, noise: (batch, samples); snr_db: (batch,) dB -> (batch, samples)
    """
    signal = wave.square().mean(-1, keepdim=True)
    power = noise.square().mean(-1, keepdim=True).clamp_min(_SILENCE)
    wanted = signal / power * 10.0 ** (-snr_db[:, None] / 10.0)
    return wave + noise * torch.where(wanted > 0, wanted, 1.0).sqrt() * (wanted > 0)  # a root has no slope at 0


def coloured(deviates: Tensor, exponent: Tensor, lowest: float = LOWEST) -> Tensor:
    """Colour white noise: its power falls with frequency as 1/f^exponent.

    Args:
        deviates: white noise, standard normal.
        exponent: 0 white, 1 pink, 2 brown.
        lowest: cycles per sample below which coloured noise has nothing; there brown noise would have most of its
            power, unheard. White noise has all of it.

    Shape:
        deviates: (batch, samples); exponent: (batch,) -> (batch, samples) of power 1
    """
    samples = deviates.shape[-1]
    cycles = torch.fft.rfftfreq(samples, device=deviates.device, dtype=deviates.dtype)
    gain = torch.where(cycles < lowest, 0.0, (cycles.clamp_min(lowest) / lowest) ** (-exponent[:, None] / 2.0))
    shaped = torch.fft.irfft(torch.fft.rfft(deviates) * gain, samples)
    return of_unit_power(torch.where(exponent[:, None] == 0, deviates, shaped))


def babble(voices: Tensor) -> Tensor:
    """Let several people talk at once, all equally loud; who is silent adds nothing.

    Shape:
        voices: (batch, talkers, samples) -> (batch, samples) of power 1
    """
    return of_unit_power(of_unit_power(voices).sum(-2))


def of_unit_power(noise: Tensor) -> Tensor:
    """Scale to a mean power of 1; silence stays silent.

    Shape:
        noise: (…, samples) -> (…, samples)
    """
    return noise / noise.square().mean(-1, keepdim=True).clamp_min(_SILENCE).sqrt()
