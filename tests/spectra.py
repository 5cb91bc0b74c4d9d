"""Signals with a spectrum, made for tests in the frequency domain."""

from __future__ import annotations

import numpy as np


def low_passed(wave: np.ndarray, edge: float, rate: int = 16_000) -> np.ndarray:
    """Without anything above a frequency."""
    spectrum = np.fft.rfft(wave)
    spectrum[np.fft.rfftfreq(len(wave), 1 / rate) > edge] = 0
    return np.fft.irfft(spectrum, len(wave)).astype(np.float32)


def amplitude(wave: np.ndarray, hertz: float, rate: int = 16_000) -> complex:
    """The amplitude and phase of a tone, away from both ends."""
    inner = wave[len(wave) // 8 : -len(wave) // 8]
    time = (np.arange(len(inner)) + len(wave) // 8) / rate
    return complex(2 * np.mean(inner * np.exp(-2j * np.pi * hertz * time)))
