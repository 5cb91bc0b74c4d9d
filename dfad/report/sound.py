"""Clips for the page: sound that a browser plays, and a small picture of it."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import soundfile
from matplotlib.image import imsave
from numpy.typing import ArrayLike, NDArray
from scipy.fft import rfft
from scipy.signal import get_window

WIDTH, HEIGHT = 320, 128  # pixels
_WINDOW = 0.032  # seconds, nearly
_RANGE = 60.0  # dB
_STEP = 3.0  # dB; finer steps are not seen at this size and make the file twice as large
_QUICK: Any = {"compress_level": 3}  # of such pictures no larger than the default, in a third of the time
_SILENCE = -80.0  # dB below a full-scale sine; where nothing is louder, the picture stays dark


def flac(wave: ArrayLike, sample_rate: int) -> bytes:
    """The wave as a FLAC file of 16 bits; samples outside [-1, 1] are clipped, NaN becomes 0.

    An empty wave becomes one silent sample: libsndfile writes no file without any.

    Shape:
        - wave: (samples,).
    """
    buffer = BytesIO()
    samples = np.clip(_samples(wave), -1, 1)
    soundfile.write(buffer, samples if samples.size else np.zeros(1), sample_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def spectrogram(wave: ArrayLike, sample_rate: int) -> bytes:
    """A PNG file of 320 x 128 pixels without axes: time to the right, 0 Hz at the bottom, half the rate at the top.

    Each column is the spectrum at one of 320 moments, evenly spread over the wave; each row the mean power of a few
    frequencies; brightness the level, 60 dB down from the loudest.

    Shape:
        - wave: (samples,).
    """
    per_row = max(1, round(_WINDOW * sample_rate / (2 * HEIGHT)))
    size = 2 * HEIGHT * per_row - 2  # so that there are as many frequencies as the rows can share evenly
    padded = np.pad(_samples(wave), size // 2)
    begins = np.linspace(0, padded.size - size, WIDTH).astype(np.int64)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[begins]
    window = get_window("hann", size).astype(np.float32)
    power = np.abs(rfft(frames * window) * (2 / window.sum())) ** 2
    rows = power.reshape(WIDTH, HEIGHT, per_row).mean(axis=2).T
    level = 10 * np.log10(np.maximum(rows, 1e-20))
    level -= max(level.max(), _SILENCE)
    buffer = BytesIO()
    shown = _STEP * np.round(level / _STEP)
    imsave(buffer, shown, vmin=-_RANGE, vmax=0, cmap="viridis", origin="lower", format="png", pil_kwargs=_QUICK)
    return buffer.getvalue()


def _samples(wave: ArrayLike) -> NDArray[np.float32]:
    return np.nan_to_num(np.asarray(wave, dtype=np.float32).ravel(), posinf=1, neginf=-1)
