"""Rooms: synthetic decaying responses, convolution with them, and how a decay is measured."""

from __future__ import annotations

import torch
from torch import Tensor

from dfad.effects import convolution

DIRECT_S = 0.0025  # what comes within 2.5 ms counts as direct sound: no reflection is as early
_TINY = 1e-20  # power; 200 dB below full scale


def response(deviates: Tensor, sample_rate: int, rt60_s: Tensor, drr_db: Tensor) -> Tensor:
    """Make the response of a room: the direct sound, 1 at sample 0, and a tail of noise that decays exponentially.

    The tail is that of Polack (1988): white noise whose level falls by 60 dB in `rt60_s`. It begins 2.5 ms after the
    direct sound and its energy is scaled to `drr_db` exactly.

    Args:
        deviates: standard normal numbers, one per sample of the response. It takes `rt60_s` · `sample_rate` of them to
            hold the whole decay; fewer cut its end off.
        sample_rate: Hz.
        rt60_s: time in which the tail falls by 60 dB; 0 leaves the direct sound alone.
        drr_db: energy of the direct sound over the tail's, dB; infinity leaves the direct sound alone.

    Shape:
        deviates: (batch, taps); rt60_s, drr_db: (batch,) -> (batch, taps)
    """
    taps = deviates.shape[-1]
    time = torch.arange(taps, device=deviates.device, dtype=deviates.dtype) / sample_rate
    decay = 10.0 ** (-3.0 * time / rt60_s[:, None].clamp_min(1e-3))
    tail = deviates * decay * (time >= DIRECT_S)
    energy = tail.square().sum(-1, keepdim=True).clamp_min(_TINY)
    tail = tail * (10.0 ** (-drr_db[:, None] / 10.0) / energy).sqrt()
    tail = torch.where(rt60_s[:, None] > 0, tail, 0.0)
    return torch.where(time == 0, 1.0, tail)


def from_direct(response: Tensor) -> Tensor:
    """Let measured responses begin with their direct sound, taken to be their largest sample, made 1.

    Shape:
        (batch, taps) -> (batch, taps); zeros follow the end
    """
    first = response.abs().argmax(-1, keepdim=True)
    place = torch.arange(response.shape[-1], device=response.device) + first
    moved = response.gather(-1, place.clamp_max(response.shape[-1] - 1))
    moved = torch.where(place < response.shape[-1], moved, 0.0)
    return moved / torch.where(moved[:, :1] == 0, 1.0, moved[:, :1])


def convolve(wave: Tensor, response: Tensor) -> Tensor:
    """Hear every clip through its response, whose sample 0 is the direct sound; the clip's mean power is kept.

    What sounds on after the clip's end is cut. A response with nothing after sample 0 changes nothing.

    Shape:
        wave: (batch, samples); response: (batch, taps) -> (batch, samples)
    """
    heard = with_power_of(wave, convolution.convolve(wave[:, None], response[:, None, : wave.shape[-1]]))
    return torch.where(response[:, 1:].any(-1, keepdim=True), heard, wave)


def with_power_of(wave: Tensor, changed: Tensor) -> Tensor:
    """Scale each of the changed clips to the mean power that it had before.

    Shape:
        wave, changed: (batch, samples) -> (batch, samples)
    """
    before, after = ((x.square().mean(-1, keepdim=True) + _TINY).sqrt() for x in (wave, changed))
    return changed * (before / after)


def rt60(response: Tensor, sample_rate: int) -> Tensor:
    """Measure the reverberation time: backward integration (Schroeder, 1965), a line fitted from −5 to −35 dB.

    The direct sound, the first 2.5 ms, is left out: its own fall is not the room's.

    Shape:
        (batch, taps) -> (batch,) s; 0 where nothing follows the direct sound
    """
    tail = response[:, round(DIRECT_S * sample_rate) :].double()
    left = tail.square().flip(-1).cumsum(-1).flip(-1)
    level = 10.0 * (left / left[:, :1].clamp_min(1e-30)).clamp_min(1e-30).log10()
    weight = ((level <= -5.0) & (level >= -35.0)).double()
    time = torch.arange(tail.shape[-1], device=tail.device) / sample_rate
    count = weight.sum(-1, keepdim=True).clamp_min(1.0)
    time = (time - (weight * time).sum(-1, keepdim=True) / count) * weight
    slope = (time * level).sum(-1) / time.square().sum(-1).clamp_min(1e-30)  # dB/s
    return torch.where(slope < 0, -60.0 / slope, 0.0).to(response.dtype)
