"""What can be told of a clip's sound while it streams by: its level, its spectrum, and samples at full scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft
from scipy.ndimage import uniform_filter1d

FULL_SCALE = 0.999
QUIET_DB = 40.0  # below the loudest frame: silence
_FRAME_S = 0.032
_LEAST_DB, _MOST_DB = -120, 20  # of a frame, re a constant 1
_ABSURD = 1e4  # what floating-point samples may hold is no number any more once it is squared
_EDGE_DB, _SMOOTH_HZ = -60.0, 250.0

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Sound:
    """Statistics of a clip.

    Attributes:
        sample_rate: at which it was heard, Hz.
        duration_s: of the clip.
        full_scale: share of the samples as they are stored that lie at full scale.
        levels: how many frames have a level of −120, −119, … 20 dB. Shape: (141,) int64
        spectrum: mean power from 0 to half the sample rate. Shape: (bins,) float64
    """

    sample_rate: int
    duration_s: float
    full_scale: float
    levels: NDArray[np.int64]
    spectrum: Floats

    @property
    def loudest_db(self) -> float:
        """Level of the loudest frame, dB re full scale; −120 at the least."""
        heard = np.flatnonzero(self.levels)
        return float(heard[-1] + _LEAST_DB) if len(heard) else float(_LEAST_DB)

    @property
    def level_db(self) -> float:
        """RMS level of the frames that are no silence, dB re full scale."""
        steps = np.arange(_LEAST_DB, _MOST_DB + 1)
        counts = np.where(steps >= self.loudest_db - QUIET_DB, self.levels, 0)
        if not counts.sum():
            return float(_LEAST_DB)
        return float(10 * np.log10(counts @ 10.0 ** (steps / 10) / counts.sum()))

    @property
    def silence(self) -> float:
        """Share of the frames that lie 40 dB below the loudest, or lower."""
        first = round(self.loudest_db - QUIET_DB) - _LEAST_DB
        return float(self.levels[: max(0, first)].sum() / max(1, self.levels.sum()))

    @property
    def bandwidth_hz(self) -> float:
        """The highest frequency whose power is less than 60 dB below that of the strongest."""
        step = self.sample_rate / 2 / (len(self.spectrum) - 1)
        smooth = uniform_filter1d(self.spectrum, max(1, round(_SMOOTH_HZ / step)), mode="nearest")
        if not smooth.max() > 0:
            return 0.0
        end = int(np.flatnonzero(smooth >= smooth.max() * 10 ** (_EDGE_DB / 10))[-1])
        # smoothing blurs the edge
        return self.sample_rate / 2 if end == len(smooth) - 1 else max(step, end * step - _SMOOTH_HZ / 2)


class Listener:
    """Listens to a clip block after block, and keeps a few hundred numbers."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.size = max(16, 2 * round(_FRAME_S * sample_rate / 2))
        self.window = np.hanning(self.size + 1)[:-1].astype(np.float32)
        self.rest = np.zeros(0, np.float32)  # less than a frame
        self.levels = np.zeros(_MOST_DB - _LEAST_DB + 1, np.int64)
        self.spectrum = np.zeros(self.size // 2 + 1)
        self.stored_samples = self.at_full_scale = 0

    def stored(self, wave: Floats) -> None:
        """Take the next samples as the file holds them. Shape: (frames, channels)."""
        self.stored_samples += wave.size
        if wave.max() >= FULL_SCALE or wave.min() <= -FULL_SCALE:  # most sound never is
            self.at_full_scale += int(np.count_nonzero(np.abs(wave) >= FULL_SCALE))

    def __call__(self, wave: Floats) -> None:
        """Take the next samples as the detector hears them. Shape: (samples,) float32."""
        whole = np.clip(np.concatenate((self.rest, wave)), -_ABSURD, _ABSURD)
        frames = whole[: len(whole) // self.size * self.size].reshape(-1, self.size)
        self.rest = whole[frames.size :]
        if not len(frames):
            return
        frames = frames - frames.mean(axis=1, keepdims=True)  # an offset is no sound
        power = np.einsum("fs,fs->f", frames, frames) / self.size
        level = np.rint(10 * np.log10(np.maximum(power, 1e-12))).astype(np.int64)
        self.levels += np.bincount(np.clip(level, _LEAST_DB, _MOST_DB) - _LEAST_DB, minlength=len(self.levels))
        spectra = rfft(frames * self.window)
        self.spectrum += np.einsum("fb,fb->b", spectra.real, spectra.real, dtype=np.float64)
        self.spectrum += np.einsum("fb,fb->b", spectra.imag, spectra.imag, dtype=np.float64)

    def sound(self, duration_s: float) -> Sound:
        """What was heard."""
        return Sound(
            sample_rate=self.sample_rate,
            duration_s=duration_s,
            full_scale=self.at_full_scale / max(1, self.stored_samples),
            levels=self.levels,
            spectrum=self.spectrum / (max(1, self.levels.sum()) * self.size * np.sum(self.window**2)),
        )
