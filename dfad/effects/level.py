"""Effects on the level and the sign of a waveform."""

from __future__ import annotations

from torch import Tensor


def gain(wave: Tensor, gain_db: Tensor) -> Tensor:
    """Scale every clip by its gain.

    Shape:
        wave: (batch, samples); gain_db: (batch,) dB -> (batch, samples)
    """
    return wave * (10.0 ** (gain_db / 20.0))[:, None]


def invert(wave: Tensor) -> Tensor:
    """Turn the sign, which nobody hears.

    Shape:
        wave: (batch, samples) -> (batch, samples)
    """
    return -wave


def within_full_scale(wave: Tensor) -> Tensor:
    """Scale down those clips that exceed [-1, 1]: a file would clip there, a float does not.

    Shape:
        wave: (batch, samples) -> (batch, samples)
    """
    return wave / wave.abs().amax(-1, keepdim=True).clamp_min(1.0)
