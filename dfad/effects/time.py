"""Effects on when things happen; every clip keeps its length."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dfad.effects.filters import bin_hertz, padded_size
from dfad.effects.resampling import anti_aliasing

FRAME_S = 0.01  # in which silence is looked for
_FINER = 6  # times as many samples, from which those between samples are interpolated
_EDGE = 1024  # samples behind a clip: both of its ends may ring there, and not into each other


def shift(wave: Tensor, samples: Tensor) -> Tensor:
    """Rotate every clip: what leaves at its end comes back at its start.

    Shape:
        wave: (batch, samples); samples: (batch,) int64, positive = later -> (batch, samples)
    """
    length = wave.shape[-1]
    return wave.gather(-1, (_places(wave) - samples[:, None]) % length)


def insert_silence(wave: Tensor, samples: Tensor) -> Tensor:
    """Put zeros before every clip, which loses as much at its end.

    Shape:
        wave: (batch, samples); samples: (batch,) int64 from 0 on -> (batch, samples)
    """
    place = _places(wave) - samples[:, None]
    return torch.where(place < 0, 0.0, wave.gather(-1, place.clamp_min(0)))


def trim_silence(wave: Tensor, sample_rate: int, threshold_db: Tensor) -> Tensor:
    """Remove the silence before and after the speech; what is left is repeated up to the old length.

    Silent is a frame of 10 ms whose power is below the threshold.

    Args:
        wave: clips.
        sample_rate: Hz.
        threshold_db: against the clip's loudest frame, below 0; minus infinity leaves a clip as it is.

    Shape:
        wave: (batch, samples); threshold_db: (batch,) -> (batch, samples)
    """
    samples, frame = wave.shape[-1], max(1, round(FRAME_S * sample_rate))
    frames = -(-samples // frame)
    place = torch.arange(frames, device=wave.device)
    power = F.pad(wave.detach(), (0, frames * frame - samples)).view(-1, frames, frame).square().sum(-1)
    power = power / (samples - frame * place).clamp_max(frame)  # the last frame may be shorter
    heard = power >= power.amax(-1, keepdim=True) * 10.0 ** (threshold_db[:, None] / 10.0)
    start = torch.where(heard, place, frames).amin(-1, keepdim=True) * frame
    end = (torch.where(heard, place, -1).amax(-1, keepdim=True) + 1) * frame
    return wave.gather(-1, start + _places(wave) % (end.clamp_max(samples) - start))


def speed(wave: Tensor, factor: Tensor) -> Tensor:
    """Play faster or slower: pitch and tempo change together, as with a tape.

    A slower clip is cut at its end, a faster one repeated from its start. Sounds that would pass half the sample
    rate are filtered out as by `resampling.through`; a slower clip has nothing above `factor` times half the rate, as
    there was nothing to be slowed down. What interpolation adds to a tone is 60 dB below it, 80 dB up to 4 kHz of 8.

    Args:
        wave: clips.
        factor: of speed; 1 leaves a clip as it is.

    Shape:
        wave: (batch, samples); factor: (batch,) above 0 -> (batch, samples)
    """
    samples = wave.shape[-1]
    size = padded_size(samples, _EDGE)
    spectrum = torch.fft.rfft(F.pad(wave, (1, 0)), size)  # a zero ahead: the first sample has a left neighbour
    kept = torch.where(factor[:, None] > 1, anti_aliasing(bin_hertz(size, 2, wave), 2.0 / factor), 1.0)
    fine = torch.fft.irfft(spectrum * (kept * _FINER).to(wave.dtype), _FINER * size)
    factor = factor[:, None].double()
    length = ((samples - 1) / factor).floor().long() + 1
    position = (_places(wave) % length) * (factor * _FINER) + (_FINER - 1)
    whole = position.floor()
    return torch.where(factor == 1, wave, _between(fine, whole.long(), (position - whole).to(wave.dtype)))


def _between(fine: Tensor, place: Tensor, part: Tensor) -> Tensor:
    """Interpolate `part` of a sample after `place + 1`, by the cubic through the four from `place` on (Lagrange)."""
    left, here, right, next_right = (fine[:, one:].gather(-1, place) for one in range(4))
    outer, inner = part * (part - 1.0) / 6.0, (part + 1.0) * (part - 2.0) / 2.0
    far = next_right * (part + 1.0) - left * (part - 2.0)
    return outer * far + inner * (here * (part - 1.0) - right * part)


def _places(wave: Tensor) -> Tensor:
    return torch.arange(wave.shape[-1], device=wave.device)
