"""Re-recording: a clip played by a loudspeaker in a room and recorded again."""

from __future__ import annotations

from math import exp, sqrt

import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn import functional as F

from dfad.effects import convolution, rooms
from dfad.effects.noise import add_noise
from dfad.effects.rooms import with_power_of

RESONANCE_Q = 2.0
FRAME_S, ATTACK_S, RELEASE_S, KNEE_DB = 0.001, 0.005, 0.1, 6.0


def rerecord(
    wave: Tensor,
    sample_rate: int,
    response: Tensor,
    low_hz: Tensor,
    high_hz: Tensor,
    noise: Tensor,
    snr_db: Tensor,
    ratio: Tensor,
    resonance_hz: Tensor | None = None,
    resonance_db: Tensor | None = None,
) -> Tensor:
    """Play and record again: loudspeaker and microphone, room, noise, compression; power is kept as by `transducer`.

    Args:
        wave: clips.
        sample_rate: Hz.
        response: of the room, direct sound at sample 0, see `rooms.response`.
        low_hz: where the loudspeaker begins, see `transducer`; 0 for no limit.
        high_hz: where it ends; half the sample rate and above for no limit.
        noise: of the room or the microphone, at any level.
        snr_db: of the recording before it is compressed; infinity for no noise.
        ratio: of the compression, see `compress`; 1 for none.
        resonance_hz: of the loudspeaker; none if left out.
        resonance_db: its gain; 0 for none.

    Shape:
        wave, noise: (batch, samples); response: (batch, taps); the rest (batch,) -> (batch, samples)
    """
    if resonance_hz is None or resonance_db is None:
        resonance_hz, resonance_db = torch.full_like(low_hz, 1000.0), torch.zeros_like(low_hz)
    played = transducer(wave, sample_rate, low_hz, high_hz, resonance_hz, resonance_db)
    recorded = compress(add_noise(rooms.convolve(played, response), noise, snr_db), sample_rate, ratio)
    return with_power_of(played, recorded)


def transducer(
    wave: Tensor, sample_rate: int, low_hz: Tensor, high_hz: Tensor, resonance_hz: Tensor, resonance_db: Tensor
) -> Tensor:
    """Filter as a small loudspeaker and a microphone do together; the clip's mean power, less an offset's, is kept.

    A closed box falls by 12 dB per octave below `low_hz` (Small, 1972), a second-order low-pass above `high_hz`; both
    are 3 dB down there (Butterworth). Their resonance is a bell of Q = 2. All have minimum phase, but for the delay of
    the low-pass, which is taken out: the clip stays aligned.

    Args:
        wave: clips.
        sample_rate: Hz.
        low_hz: lower edge; 0 for none.
        high_hz: upper edge; half the sample rate and above for none.
        resonance_hz: centre of the bell.
        resonance_db: gain at its centre; 0 for none.

    Shape:
        wave: (batch, samples); the rest (batch,) -> (batch, samples)
    """
    low, high, centre, gain = (x.to(wave.dtype)[:, None] for x in (low_hz, high_hz, resonance_hz, resonance_db))
    bounded = (low > 0) | (high < sample_rate / 2) | (gain != 0)
    played = wave - torch.where(low > 0, wave.mean(-1, keepdim=True), 0.0)  # an offset would begin with a click
    size = 1 << (sample_rate // 8).bit_length()
    hertz = torch.fft.rfftfreq(size, 1.0 / sample_rate, device=wave.device, dtype=wave.dtype)
    above = torch.where(low > 0, hertz / low.clamp_min(1e-3), 1e6)
    below = torch.where(high < sample_rate / 2, hertz / high.clamp_min(1e-3), 0.0)
    off = hertz / centre.clamp_min(1e-3)
    bell = 10.0 ** (gain / 40.0)
    transfer = -above.square() / torch.complex(1.0 - above.square(), sqrt(2.0) * above)
    transfer = transfer * torch.polar(torch.ones_like(below), sqrt(2.0) * below)  # takes the low-pass's delay out
    transfer = transfer / torch.complex(1.0 - below.square(), sqrt(2.0) * below)
    transfer = transfer * torch.complex(1.0 - off.square(), off * bell / RESONANCE_Q)
    transfer = transfer / torch.complex(1.0 - off.square(), off / bell / RESONANCE_Q)
    ahead = size // 16
    heard = convolution.convolve(played[:, None], torch.fft.irfft(transfer, size).roll(ahead, -1)[:, None], ahead)
    return torch.where(bounded, with_power_of(played, heard), wave)


def compress(wave: Tensor, sample_rate: int, ratio: Tensor, threshold_db: float = 0.0) -> Tensor:
    """Bring loud moments closer to the rest, as the automatic level of a recorder does; the mean power is kept.

    Above the threshold, `ratio` dB more at the input are 1 dB more at the output, with a knee of 6 dB (Giannoulis et
    al., "Digital dynamic range compressor design", JAES 2012). The level is the power averaged over 5 ms where it
    rises and over 100 ms where it falls.

    Args:
        wave: clips.
        sample_rate: Hz.
        ratio: 1 and above; 1 changes nothing.
        threshold_db: against the clip's own mean power.

    Shape:
        wave: (batch, samples); ratio: (batch,) -> (batch, samples)
    """
    samples, hop = wave.shape[-1], max(1, round(FRAME_S * sample_rate))
    mean = wave.square().mean(-1, keepdim=True) + 1e-20
    power = F.pad(wave.square() / mean, (0, -samples % hop)).view(len(wave), -1, hop).mean(-1)
    level = 10.0 * _past(power, hop / sample_rate).clamp_min(1e-6).log10() - threshold_db
    over = (level + KNEE_DB / 2).clamp(0.0, KNEE_DB).square() / (2 * KNEE_DB) + (level - KNEE_DB / 2).clamp_min(0.0)
    gain = 10.0 ** ((1.0 / ratio.to(wave.dtype)[:, None] - 1.0) * over / 20.0)
    before = F.pad(gain[:, :-1], (1, 0), value=1.0)  # a frame's level is known when it ends: no gain before its cause
    step = torch.arange(1, hop + 1, device=wave.device, dtype=wave.dtype) / hop
    gain = (before[..., None] + (gain - before)[..., None] * step).flatten(1)[:, :samples]
    return torch.where(ratio[:, None] > 1.0, with_power_of(wave, wave * gain), wave)


def _past(power: Tensor, frame_s: float) -> Tensor:
    """Average the power of the frames so far: the larger of a quick and a slow mean, one pole each.

    Shape:
        (batch, frames) -> (batch, frames)
    """
    frames = power.shape[-1]
    size = next_fast_len(frames + round(8 * RELEASE_S / frame_s), real=True)  # the slow mean has died away in between
    turn = torch.fft.rfftfreq(size, device=power.device, dtype=power.dtype) * (-2.0 * torch.pi)
    delay = torch.polar(torch.ones_like(turn), turn)
    spectrum = torch.fft.rfft(power, size)
    poles = (exp(-frame_s / seconds) for seconds in (ATTACK_S, RELEASE_S))
    quick, slow = (torch.fft.irfft(spectrum * ((1.0 - pole) / (1.0 - pole * delay)), size) for pole in poles)
    return torch.maximum(quick, slow)[:, :frames]
