"""What each laundering does to clips, from a strength and what is drawn for every clip."""

from __future__ import annotations

from math import ceil, log10

import numpy as np
import torch
from torch import Tensor

from dfad.augment import RawBoost, Scene
from dfad.effects import filters, level, noise, resampling, rooms, time
from dfad.effects.codecs import recode
from dfad.effects.rerecord import rerecord
from dfad.robustness.given import Given

TALKERS = 6  # in babble
_DRR_DB = 0.0  # of a reverberant room: as much energy in its tail as in the direct sound
_NEAR_M, _NEAR_SNR_DB, _CRITICAL_M = 0.3, 35.0, 0.7  # of re-recording, see `rerecorded`


def white(wave: Tensor, sample_rate: int, strength: float, given: Given) -> Tensor:
    """White noise at a signal-to-noise ratio in dB."""
    return _noisy(wave, strength, given, 0.0)


def pink(wave: Tensor, sample_rate: int, strength: float, given: Given) -> Tensor:
    """Pink noise, of equal power in every octave, at a signal-to-noise ratio in dB."""
    return _noisy(wave, strength, given, 1.0)


def brown(wave: Tensor, sample_rate: int, strength: float, given: Given) -> Tensor:
    """Brown noise, a rumble, at a signal-to-noise ratio in dB."""
    return _noisy(wave, strength, given, 2.0)


def babble(wave: Tensor, sample_rate: int, strength: float, given: Given) -> Tensor:
    """Six other clips that talk at once, at a signal-to-noise ratio in dB."""
    return noise.add_noise(wave, noise.babble(given.others(TALKERS)), _each(wave, strength))


def reverb(wave: Tensor, sample_rate: int, strength: float, given: Given) -> Tensor:
    """A room whose sound falls by 60 dB in so many seconds, with as much energy in its tail as in the direct sound."""
    return rooms.convolve(wave, _room(wave, sample_rate, given, _each(wave, strength), _each(wave, _DRR_DB)))


def rerecorded(wave: Tensor, sample_rate: int, strength: float, given: Given) -> Tensor:
    """Played by a small loudspeaker and recorded so many metres away, in a room of 0.3 to 0.5 s.

    Direct sound falls by 6 dB with every doubling of the distance; at 0.7 m, the critical distance of a living room,
    it has the energy of the tail. Pink noise is 35 dB down at 0.3 m, and less by as much as the direct sound falls.
    Room, band and resonance are drawn for every clip; the recorder compresses by 2 : 1.
    """
    draws = given.draws
    farther = 20.0 * log10(strength / _NEAR_M)
    room = _room(
        wave,
        sample_rate,
        given,
        draws.uniform("rt60", low=0.3, high=0.5),
        _each(wave, 20.0 * log10(_CRITICAL_M / strength)),
    )
    return rerecord(
        wave,
        sample_rate,
        room,
        draws.uniform("low", low=100.0, high=300.0),
        draws.uniform("high", low=5000.0, high=7500.0),
        noise.coloured(draws.normal("noise", wave.shape[-1]), _each(wave, 1.0)),
        _each(wave, _NEAR_SNR_DB - farther),
        _each(wave, 2.0),
        draws.uniform("resonance", low=500.0, high=3000.0),
        draws.uniform("resonance_db", low=3.0, high=6.0),
    )


def low_pass(wave: Tensor, sample_rate: int, strength: float, given: Given) -> Tensor:
    """Nothing above a cut-off in Hz."""
    return filters.band(wave, sample_rate, _each(wave, 0.0), _each(wave, strength))


def tilted(wave: Tensor, sample_rate: int, strength: float, given: Given) -> Tensor:
    """A spectrum that rises by so many dB per octave, or falls: brighter or duller, as by another microphone."""
    return filters.tilt(wave, sample_rate, _each(wave, strength))


def telephone(wave: Tensor, sample_rate: int, strength: float, given: Given) -> Tensor:
    """300 to 3400 Hz."""
    return filters.telephone(wave, sample_rate)


def resampled(wave: Tensor, sample_rate: int, strength: float, given: Given) -> Tensor:
    """Brought to another rate, in Hz, and back."""
    return resampling.through(wave, sample_rate, _each(wave, strength))


def rawboosted(wave: Tensor, sample_rate: int, strength: float, given: Given) -> Tensor:
    """RawBoost with its published ranges: distortion, impulses and stationary noise, one after the other."""
    step = RawBoost()
    drawn = step.draw(given.draws, wave.shape[-1], sample_rate)
    return step.apply(wave, drawn, given.draws, Scene(sample_rate))


def recoded(wave: Tensor, sample_rate: int, strength: float, given: Given, *, codec: str) -> Tensor:
    """Through the encoder and the decoder of the codec, at so many kbit/s or its usual ones."""
    waves = [recode(clip, sample_rate, codec, strength or None) for clip in wave.cpu().numpy()]
    return torch.from_numpy(np.stack(waves)).to(wave)


def requantised(wave: Tensor, sample_rate: int, strength: float, given: Given) -> Tensor:
    """Linear samples of so many bits."""
    return level.requantise(wave, _each(wave, strength))


def gain(wave: Tensor, sample_rate: int, strength: float, given: Given) -> Tensor:
    """Another level, by dB."""
    return level.gain(wave, _each(wave, strength))


def inverted(wave: Tensor, sample_rate: int, strength: float, given: Given) -> Tensor:
    """The sign of the waveform turned, which nobody hears."""
    return level.invert(wave)


def clipped(wave: Tensor, sample_rate: int, strength: float, given: Given) -> Tensor:
    """Cut off above a share of the clip's own peak."""
    return level.clip(wave, _each(wave, strength))


def speed(wave: Tensor, sample_rate: int, strength: float, given: Given) -> Tensor:
    """Played at another speed, which changes pitch and tempo."""
    return time.speed(wave, _each(wave, strength))


def shifted(wave: Tensor, sample_rate: int, strength: float, given: Given) -> Tensor:
    """Rotated, so that it begins so many seconds later; what leaves at its end comes at its start."""
    samples = round(strength * sample_rate)
    return time.shift(wave, torch.full(wave.shape[:1], samples, device=wave.device))


def silence(wave: Tensor, sample_rate: int, strength: float, given: Given) -> Tensor:
    """Zeros ahead of the clip, of so many seconds."""
    samples = round(strength * sample_rate)
    return time.insert_silence(wave, torch.full(wave.shape[:1], samples, device=wave.device))


def trimmed(wave: Tensor, sample_rate: int, strength: float, given: Given) -> Tensor:
    """Without its beginning and end, as far as they are softer than so many dB below the loudest moment."""
    return time.trim_silence(wave, sample_rate, _each(wave, strength))


def _noisy(wave: Tensor, snr_db: float, given: Given, exponent: float) -> Tensor:
    """The same noise for a clip at every ratio."""
    deviates = given.draws.normal("noise", wave.shape[-1])
    return noise.add_noise(wave, noise.coloured(deviates, _each(wave, exponent)), _each(wave, snr_db))


def _room(wave: Tensor, sample_rate: int, given: Given, rt60_s: Tensor, drr_db: Tensor) -> Tensor:
    """A response for every clip; up to 1 s, the same noise decays whatever the strength and the neighbours."""
    taps = min(wave.shape[-1], ceil(max(1.0, float(rt60_s.max())) * sample_rate))
    return rooms.response(given.draws.normal("room", taps), sample_rate, rt60_s, drr_db)


def _each(wave: Tensor, strength: float) -> Tensor:
    """One value for every clip. Shape: (batch,)."""
    return wave.new_full(wave.shape[:1], strength)
