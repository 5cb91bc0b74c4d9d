"""Give a clip another timing, level, DC, band, noise floor or container, and leave everything else as it is.

Pure functions on samples at the detector's sample rate; what is drawn comes from the generator that is given. Each does
(nearly) nothing to a clip that has the wanted value already. Some can only take away: what lies above a lower cut-off,
below a louder noise floor or a coarser step, or behind a shorter length is gone, and nothing brings it back.
"""

from __future__ import annotations

from math import pi

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import signal

from dfad.audit.traits import LEAST, Floats, Wave, bins_below, cutoff, noise_floor, speech

TRANSITION_HZ, STOP_DB = 160.0, 80.0  # of the low-pass filter
DITHER_LSB = 1.0  # RMS: rounding alone needs half of it, runs of zeros need more to break up


def timed(
    wave: Wave,
    sample_rate: int,
    *,
    length: int,
    lead: int = 0,
    trail: int = 0,
    random: Generator | None = None,
) -> Wave:
    """Take the speech of a clip, and give it these silences and this length.

    Silence at both ends goes (see `traits.speech`). New silence is noise with the spectrum of the clip's own floor, so
    it shows no seam that other clips lack.

    Args:
        wave: the clip, (samples,).
        sample_rate: Hz.
        length: samples of the result, silences included; fewer where there is not so much speech.
        lead: samples of silence before the speech.
        trail: samples of silence after it.
        random: of the new silence; without silence it is not needed.

    Shape:
        (samples,) -> (at most `length`,)
    """
    first, last = speech(wave, sample_rate)
    lead = min(lead, length - 1)
    trail = min(trail, length - lead - 1)
    body = wave[first:last][: length - lead - trail]
    if random is None or not lead + trail:
        return body
    power = float(np.var(wave, dtype=np.float64))
    silence = noise_like(noise_floor(wave, sample_rate) * power, lead + trail, random)
    return np.concatenate((silence[:lead], body, silence[lead:])).astype(np.float32)


def levelled(wave: Wave, rms_db: float) -> Wave:
    """Scale a clip to an RMS (without its mean) in dB of full scale. A silent clip stays as it is.

    Nothing is clipped: where peaks would leave [-1, 1] they do, as a limit would change the level.

    Shape:
        (samples,) -> (samples,)
    """
    power = float(np.var(wave, dtype=np.float64))
    return wave if power <= LEAST else np.asarray(wave * (10 ** (rms_db / 20) / power**0.5), dtype=np.float32)


def with_dc(wave: Wave, ratio: float = 0.0) -> Wave:
    """Give a clip a mean, as a ratio to its RMS without it.

    Shape:
        (samples,) -> (samples,)
    """
    mean = wave.mean(dtype=np.float64)
    return np.asarray(wave - mean + ratio * np.std(wave, dtype=np.float64), dtype=np.float32)


def band_limited(wave: Wave, sample_rate: int, cutoff_hz: float) -> Wave:
    """Keep what is up to a cut-off, and nothing from 160 Hz above it on (80 dB less), without any delay.

    A linear-phase filter: a sinc in Kaiser's window. Where it would end above half the sample rate, nothing is done.

    Shape:
        (samples,) -> (samples,)
    """
    if cutoff_hz + TRANSITION_HZ > sample_rate / 2:
        return wave
    width = 2 * pi * TRANSITION_HZ / sample_rate
    order = 2 * round((STOP_DB - 7.95) / (2.285 * width) / 2)  # Kaiser's formula; even: a whole delay
    taps = signal.firwin(
        order + 1, cutoff_hz + TRANSITION_HZ / 2, window=("kaiser", signal.kaiser_beta(STOP_DB)), fs=sample_rate
    )
    return np.asarray(signal.oaconvolve(wave, taps, mode="same"), dtype=np.float32)


def with_floor(wave: Wave, sample_rate: int, floor: Floats, random: Generator) -> Wave:
    """Raise the noise floor of a clip to a spectrum, by adding as much noise as is lacking; a louder floor stays.

    Nothing is added above the clip's cut-off: an empty band is not a soft floor.

    Args:
        wave: the clip, (samples,).
        sample_rate: Hz.
        floor: as `traits.noise_floor` gives it: shares of the clip's power.
        random: of the noise.

    Shape:
        (samples,) -> (samples,)
    """
    power = float(np.var(wave, dtype=np.float64))
    lacking = np.maximum(floor - noise_floor(wave, sample_rate), 0.0) * power
    lacking[bins_below(len(floor), sample_rate, cutoff(wave, sample_rate)) :] = 0.0
    return np.asarray(wave + noise_like(lacking, len(wave), random), dtype=np.float32)


def requantised(wave: Wave, bits: int, random: Generator | None = None) -> Wave:
    """Round samples to so many bits, within [-1, 1].

    Args:
        wave: the clip, (samples,).
        bits: per sample.
        random: of Gaussian noise (one step RMS) that is added before: no run of equal samples is left, as exact
            silence is one; None: no noise.

    Shape:
        (samples,) -> (samples,)
    """
    scale = 2.0 ** (bits - 1)
    steps = wave * scale
    if random is not None:
        steps = steps + DITHER_LSB * random.standard_normal(len(wave))
    return np.asarray(np.clip(np.rint(steps), -scale, scale - 1) / scale, dtype=np.float32)


def noise_like(spectrum: Floats, samples: int, random: Generator) -> NDArray[np.float64]:
    """Make Gaussian noise with a power spectrum.

    Args:
        spectrum: power by frequency, (bins,) from 0 to half the sample rate; the sum is the noise's mean square.
        samples: of the noise.
        random: of the noise.

    Shape:
        (samples,) float64
    """
    size = 2 * (len(spectrum) - 1)
    padded = max(samples, size)
    white = np.fft.rfft(random.standard_normal(padded))
    at = np.linspace(0, len(spectrum) - 1, len(white))
    gain = np.sqrt(np.interp(at, np.arange(len(spectrum)), spectrum) * (size / 2))
    return np.asarray(np.fft.irfft(white * gain, padded)[:samples])
