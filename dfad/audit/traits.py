"""What a detector may take for the label instead of the voice: timing, level, DC, band, noise and container of a clip.

Measured on what a detector hears of the clip, at its sample rate, so that what decoding and resampling wash away does
not count. Every rule is one function and stands in its docstring.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

Wave = NDArray[np.float32]
Floats = NDArray[np.float64]

SPEECH_DB = (-40.0, -20.0)  # of the loudest frame: between these lies the level above which a frame is speech
ABOVE_FLOOR_DB = 6.0
FRAME_S, RUN = 0.02, 3  # frames of 20 ms, half overlapping; so many in a row are speech, fewer are a click
STRETCH = 10  # frames, 110 ms: the quietest such stretch is the floor of the speech rule
CUTOFF_DB = -60.0  # of the strongest frequency
SPECTRUM_S, SMOOTH_HZ = 0.032, 250.0
QUIETEST = 0.1  # share of the frames below the one that tells the noise floor
ZEROS_S = 0.001  # speech crosses zero, but does not stay there
LEAST = 1e-12  # mean power, −120 dB: what is below counts as nothing at all


@dataclass(frozen=True)
class Traits:
    """The nuisances of one clip; `TRAITS` says which belong together.

    Attributes:
        lead_s: silence before the speech, s.
        trail_s: silence after it, s; 0 for a clip that goes on after the crop.
        length_s: of the clip, at most the crop, s: shorter clips are repeated, which can be heard.
        speech_s: from the first to the last speech of all that was decoded, s.
        rms_db: level of the crop without its mean, dB of full scale.
        dc: its mean over its RMS.
        dc_db: the same in dB, whatever the sign.
        crest_db: its peak over its RMS, dB.
        cutoff_hz: where the band ends.
        floor: spectrum of the noise floor, (bins,): shares of the crop's power.
        floor_db: power of a white floor that has their median below the cut-off, over that of the crop, dB.
        bits: the fewest with which every sample can be written; 24 for all that needs more than 16.
        zeros: share of samples in digital silence: runs of exact zeros.
    """

    lead_s: float
    trail_s: float
    length_s: float
    speech_s: float
    rms_db: float
    dc: float
    dc_db: float
    crest_db: float
    cutoff_hz: float
    floor: Floats
    floor_db: float
    bits: int
    zeros: float


TRAITS = {  # group → those of its traits that might tell the classes apart alone, and what a class with more of it does
    "timing": {
        "lead_s": "has more silence at the start",
        "trail_s": "has more silence at the end",
        "length_s": "is longer",
    },
    "level": {"rms_db": "is louder"},
    "dc": {"dc_db": "has more DC"},
    "band": {"cutoff_hz": "has a wider band"},
    "noise": {"floor_db": "has a louder noise floor"},
    "container": {"bits": "has finer samples", "zeros": "has more digital silence"},
}


def measure(wave: Wave, crop: int, sample_rate: int) -> Traits:
    """Measure a clip.

    Args:
        wave: the clip from its start, (samples,): as much as was decoded, perhaps more than is heard.
        crop: samples that the detector hears.
        sample_rate: Hz.
    """
    heard = wave[:crop]
    first, last = speech(heard, sample_rate)
    begin, end = speech(wave, sample_rate)
    mean = float(heard.mean(dtype=np.float64))
    sound = heard.astype(np.float64) - mean
    power = float(np.mean(sound**2))
    floor, band = noise_floor(heard, sample_rate), cutoff(heard, sample_rate)
    return Traits(
        lead_s=first / sample_rate,
        trail_s=(len(heard) - last) / sample_rate if len(wave) <= crop else 0.0,
        length_s=len(heard) / sample_rate,
        speech_s=(end - begin) / sample_rate,
        rms_db=decibel(power),
        dc=mean / max(power, LEAST) ** 0.5,
        dc_db=decibel(mean**2 / max(power, LEAST)),
        crest_db=decibel(float(np.max(sound**2))) - decibel(power),
        cutoff_hz=band,
        floor=floor,
        floor_db=floor_db(floor, sample_rate, band),
        bits=bits(heard),
        zeros=digital_silence(heard, sample_rate),
    )


def speech(wave: Wave, sample_rate: int) -> tuple[int, int]:
    """Find the first sample of speech, and the one after its last.

    Speech is whatever keeps above a level for three frames (20 ms each, half overlapping, 40 ms in all). The level is
    6 dB above the quietest 110 ms, but at most 20 dB and at least 40 dB below the loudest frame: so noise before the
    first word is silence, and a soft consonant is not. Where there is nothing of the kind, all of the clip counts.

    Returns:
        Sample numbers, 0 ≤ first < last ≤ samples.
    """
    size = max(2, 2 * round(FRAME_S * sample_rate / 2))
    hop = size // 2
    if len(wave) < size + RUN * hop:
        return 0, len(wave)
    squares = (wave.astype(np.float64) - wave.mean(dtype=np.float64)) ** 2
    total = np.concatenate(([0.0], np.cumsum(squares)))
    starts = np.arange(0, len(wave) - size + 1, hop)
    power = (total[starts + size] - total[starts]) / size
    stretch = min(STRETCH, len(power))
    quietest = np.convolve(power, np.full(stretch, 1 / stretch), "valid").min()
    top = decibel(float(power.max()))
    if top <= decibel(0):
        return 0, len(wave)
    level = np.clip(decibel(max(float(quietest), 0.0)) + ABOVE_FLOOR_DB, top + SPEECH_DB[0], top + SPEECH_DB[1])
    above = 10 * np.log10(np.maximum(power, LEAST)) > level
    runs = np.flatnonzero(np.convolve(above, np.ones(RUN), "valid") > RUN - 0.5)
    if not len(runs):
        return 0, len(wave)
    last = int(runs[-1]) + RUN - 1
    return int(starts[runs[0]]), len(wave) if last == len(starts) - 1 else int(starts[last]) + size


def cutoff(wave: Wave, sample_rate: int) -> float:
    """Find where the band ends: the highest frequency whose power is less than 60 dB below that of the strongest.

    Powers are means over the clip (Hann windows of 32 ms), smoothed over 250 Hz. White noise 40 dB below speech fills
    a band by this rule, the rounding of 16 bits does not.

    Returns:
        Hz; half the sample rate where nothing is to be heard.
    """
    smooth = _smooth(_spectra(wave, sample_rate).mean(axis=0), sample_rate)
    last = len(smooth) - 1
    step = sample_rate / 2 / last
    if smooth.max() <= LEAST * step / sample_rate:
        return sample_rate / 2
    end = int(np.flatnonzero(smooth >= smooth.max() * 10 ** (CUTOFF_DB / 10))[-1])
    return sample_rate / 2 if end == last else max(step, end * step - SMOOTH_HZ / 2)  # smoothing blurs the edge


def noise_floor(wave: Wave, sample_rate: int) -> Floats:
    """Estimate the spectrum of the noise floor: by frequency, the power that nine tenths of the frames exceed.

    Speech leaves every frequency alone now and then, steady noise none (minimum statistics; Martin, 2001). Powers of
    noise are exponentially distributed: a tenth of them lies below 0.105 of their mean. What is found is divided by
    that, and smoothed over 250 Hz. Where speech never pauses, its softest sounds count as noise.

    Returns:
        (bins,) shares of the clip's own power from 0 to half the sample rate; together its power.
    """
    spectra = _spectra(wave, sample_rate)
    low = np.quantile(spectra, QUIETEST, axis=0) / -np.log1p(-QUIETEST)
    return _smooth(low, sample_rate) / max(float(spectra.sum(axis=1).mean()), LEAST)


def floor_db(floor: Floats, sample_rate: int, cutoff_hz: float) -> float:
    """Tell how loud a noise floor is, as that of a white one: by its median over the band, which no voice moves."""
    return decibel(len(floor) * float(np.median(floor[: bins_below(len(floor), sample_rate, cutoff_hz)])))


def bins_below(bins: int, sample_rate: int, hertz: float) -> int:
    """Count the bins of a spectrum, from 0 to half the sample rate, up to a frequency; one at least."""
    return 1 + min(bins - 1, int(hertz * 2 * (bins - 1) / sample_rate))


def bits(wave: Wave) -> int:
    """Count the bits that every sample fits in, from 8 to 16; 24 for all that is finer, such as a resampled clip."""
    for count in range(8, 17):
        scaled = wave * np.float32(2 ** (count - 1))  # exact in float32
        if (scaled == np.rint(scaled)).all():
            return count
    return 24


def digital_silence(wave: Wave, sample_rate: int) -> float:
    """Count the samples in runs of exact zeros that last a millisecond or more, as a share of all."""
    least = max(2, round(ZEROS_S * sample_rate))
    edges = np.flatnonzero(np.diff(np.concatenate(([False], wave == 0, [False]))))
    runs = edges[1::2] - edges[::2]
    return float(runs[runs >= least].sum() / len(wave))


def decibel(power: float) -> float:
    """Give a power in dB, at least −120.

    >>> decibel(0.5), decibel(0)
    (-3.010299956639812, -120.0)
    """
    return float(10 * np.log10(max(power, LEAST)))


def window_size(sample_rate: int) -> int:
    """Count the samples of a spectrum's window, an even number."""
    return max(16, 2 * round(SPECTRUM_S * sample_rate / 2))


def _smooth(power: Floats, sample_rate: int) -> Floats:
    """The mean over 250 Hz around every bin; not below 0, as the rounding of a running sum may be."""
    step = sample_rate / 2 / (len(power) - 1)
    return np.maximum(uniform_filter1d(power, max(1, round(SMOOTH_HZ / step)), mode="nearest"), 0.0)


def _spectra(wave: Wave, sample_rate: int) -> Floats:
    """Power by frame and frequency, without the clip's mean; a frame's powers sum to its mean square.

    Shape:
        wave: (samples,) -> (frames, window / 2 + 1)
    """
    size = window_size(sample_rate)
    sound = wave.astype(np.float64) - wave.mean(dtype=np.float64)
    sound = np.pad(sound, (0, max(0, size - len(sound))))
    window = np.hanning(size + 1)[:-1]
    frames = sliding_window_view(sound, size)[:: size // 2]
    power = np.abs(np.fft.rfft(frames * window)) ** 2 / (size * np.sum(window**2))
    power[:, 1:-1] *= 2  # of negative frequencies
    return np.asarray(power)
