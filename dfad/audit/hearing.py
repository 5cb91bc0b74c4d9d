"""What can be heard of one clip without understanding a word: when, how loud and in which band there is sound.

Blocks of samples come in, a few numbers come out; of a clip of any length no more is kept than 400 bytes per second.
Everything is measured at 16 kHz mono, as detectors hear it. Each number is to stand for one thing: level and band are
those of the frames in which there is sound, so that silence changes timing and nothing else; an offset is taken out
of them; bands are relative and end where nobody hears more, so that a gain changes the level alone.
"""

from __future__ import annotations

from math import inf, nan

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft

RATE = 16_000  # Hz
QUIET_DB = 40.0  # below the loudest frame: silence
SILENT_DB = -100.0  # dBFS; a clip whose loudest frame is below holds no sound
FULL_SCALE = 0.999
_FRAME = 160  # samples: 10 ms
_SIZE, _HOP = 512, 256  # of a spectrum: 32 ms, 31.25 Hz
_STEP_DB, _STEPS = 5.0, 30  # spectra are summed up by level, as which of them count shows at the end only
_FLOOR = 1e-12  # power
_WINDOW = np.hanning(_SIZE + 1)[:-1].astype(np.float32)
_HERTZ = np.arange(_SIZE // 2 + 1) * RATE / _SIZE
_HEARD_DB = 60.0  # below the whole nothing is heard: quantisation would speak, and tell the level
_NOISE_DB = 50.0  # the same for noise, whose power lies in the whole band
_EDGE_DB, _EDGE_HZ = 12.0, 250.0
_SMOOTH = 5  # bins

Floats = NDArray[np.floating]


class Hearing:
    """Listens to a clip block after block."""

    def __init__(self) -> None:
        self.samples, self.total, self.low, self.high = 0, 0.0, inf, -inf
        self.rest = np.zeros(0, np.float32)  # less than a frame
        self.past = np.zeros(0, np.float32)  # less than a window
        self.powers: list[Floats] = []  # of 10 ms frames, each without its mean
        self.spectra = np.zeros((_STEPS, _SIZE // 2 + 1))
        self.counts = np.zeros(_STEPS, np.int64)

    def __call__(self, wave: Floats) -> None:
        """Take the next samples. Shape: (samples,) float32, 16 kHz."""
        if not len(wave):
            return
        self.samples += len(wave)
        self.total += float(wave.sum(dtype=np.float64))
        self.low, self.high = min(self.low, float(wave.min())), max(self.high, float(wave.max()))
        whole = np.concatenate((self.rest, wave))
        frames = whole[: len(whole) // _FRAME * _FRAME].reshape(-1, _FRAME)
        self.rest = whole[frames.size :]
        self.powers.append(_power(frames - frames.mean(axis=1, keepdims=True)))
        self._see(np.concatenate((self.past, wave)))

    def _see(self, wave: Floats) -> None:
        """Add the spectra of all whole windows to the sums of their levels."""
        count = max(0, (len(wave) - _SIZE) // _HOP + 1)
        self.past = wave[count * _HOP :]
        if not count:
            return
        frames = np.lib.stride_tricks.sliding_window_view(wave, _SIZE)[::_HOP]
        frames = frames - frames.mean(axis=1, keepdims=True)  # an offset is no low sound
        level = _decibels(_power(frames))
        spectrum = rfft(frames * _WINDOW)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        step = np.clip((level + _STEP_DB * (_STEPS - 5)) / _STEP_DB, 0, _STEPS - 1).astype(np.int64)
        order = np.argsort(step, kind="stable")
        steps, first = np.unique(step[order], return_index=True)
        self.spectra[steps] += np.add.reduceat(power[order], first)
        self.counts += np.bincount(step, minlength=_STEPS)

    def facts(self) -> dict[str, float]:
        """What was heard, by the names of `FEATURES`; NaN where there was nothing to hear."""
        offset = self.total / max(1, self.samples)
        power = np.concatenate([*self.powers, []])
        loudest = power.max(initial=0)
        there = np.flatnonzero(power >= loudest * 10 ** (-QUIET_DB / 10))
        duration = self.samples / RATE
        if not _decibel(loudest) > SILENT_DB:
            silent = {"leading_silence": duration, "trailing_silence": duration}
            return {"duration": duration, **silent, "rms": SILENT_DB, "peak": SILENT_DB}
        first, last = int(there[0]), int(there[-1]) + 1
        rms, peak = _decibel(power[there].mean()), _decibel(max(self.high - offset, offset - self.low) ** 2)
        return {
            "duration": duration,
            "leading_silence": first * _FRAME / RATE,
            "trailing_silence": max(0.0, duration - last * _FRAME / RATE),
            "pauses": 1 - len(there) / (last - first),
            "rms": rms,
            "peak": peak,
            "offset": max(-_HEARD_DB, _decibel(offset**2) - rms),
            "noise_floor": max(-_NOISE_DB, _decibel(np.quantile(power[first:last], 0.05)) - rms),
            **self._band(),
        }

    def _band(self) -> dict[str, float]:
        """What the mean spectrum of the sounding frames shows."""
        heard = np.flatnonzero(self.counts)
        if not len(heard):
            return {}
        heard = heard[heard > heard[-1] - QUIET_DB / _STEP_DB]
        power = self.spectra[heard].sum(axis=0) / self.counts[heard].sum()
        whole = power.sum()
        if whole <= 0:
            return {}
        level = np.maximum(_decibels(power / power.max()), -_HEARD_DB)
        level = np.convolve(level, np.full(_SMOOTH, 1 / _SMOOTH), "valid")
        hertz = _HERTZ[_SMOOTH // 2 : -(_SMOOTH // 2)]
        parts = {"above_4k": _HERTZ >= 4000, "above_6k": _HERTZ >= 6000, "below_80": _HERTZ < 80}
        return {
            "bandwidth": float(hertz[np.flatnonzero(level > -_HEARD_DB)[-1]]),
            "roll_off": float(_HERTZ[np.searchsorted(np.cumsum(power), 0.95 * whole)]),
            "cut_off": _edge(level, hertz),
            **{name: max(-_HEARD_DB, _decibel(power[part].sum() / whole)) for name, part in parts.items()},
        }


class Stored:
    """Looks at the samples as the file holds them, at its own rate and in all its channels."""

    def __init__(self) -> None:
        self.frames = self.clipped = self.zeros = self.inside = 0
        self.run = 0  # zeros since the last sample that was none
        self.begun = False

    def __call__(self, wave: Floats) -> None:
        """Take the next samples. Shape: (frames, channels)."""
        self.frames += len(wave)
        size = np.abs(wave).max(axis=1) if wave.shape[1] > 1 else np.abs(wave[:, 0])
        self.clipped += int(np.count_nonzero(size >= FULL_SCALE))
        there = np.flatnonzero(size)
        if not len(there):
            self.run += len(wave)
            return
        before = self.run + int(there[0]) if self.begun else 0
        within = int(there[-1] - there[0]) + 1
        self.zeros += before + within - len(there)
        self.inside += before + within
        self.run, self.begun = len(wave) - 1 - int(there[-1]), True

    def facts(self) -> dict[str, float]:
        """What was seen, by the names of `FEATURES`."""
        return {
            "zeros": self.zeros / self.inside if self.inside else nan,
            "clipped": self.clipped / self.frames if self.frames else nan,
        }


def _edge(level: Floats, hertz: Floats) -> float:
    """Where above 2 kHz the spectrum falls off a cliff, Hz; the end of the band if it does not."""
    reach = round(_EDGE_HZ * _SIZE / RATE)
    mean = np.convolve(level, np.full(reach, 1 / reach), "valid")
    fall = mean[:-reach] - mean[reach:]  # from the mean of 250 Hz to that of the next 250 Hz
    at = hertz[reach - 1 : reach - 1 + len(fall)]
    fall = np.where(at >= 2000, fall, 0)
    return float(at[fall.argmax()]) if fall.max() >= _EDGE_DB else RATE / 2


def _power(frames: Floats) -> Floats:
    return np.einsum("fs,fs->f", frames, frames) / frames.shape[1]


def _decibels(power: Floats) -> Floats:
    return 10 * np.log10(np.maximum(power, _FLOOR))


def _decibel(power: float) -> float:
    return float(10 * np.log10(max(power, _FLOOR)))
