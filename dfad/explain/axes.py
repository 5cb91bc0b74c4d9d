"""Where the bands and frames of a frontend lie: hertz and seconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dfad.errors import ConfigError
from dfad.frontends import CQTKnobs, FrontendKnobs, LFCCKnobs, LogMelKnobs, LogSpecKnobs, MFCCKnobs
from dfad.frontends.spectral import StftKnobs

Floats = NDArray[np.float64]


def band_edges(knobs: FrontendKnobs) -> Floats:
    """Lower and upper ends of the bands of a frontend, midway between their centres; of a cepstral one, of its filters.

    Shape:
        (bands + 1,) Hz

    Raises:
        ConfigError: for a frontend that is not known here.
    """
    if isinstance(knobs, CQTKnobs):
        half = 2 ** (0.5 / knobs.bins_per_octave)
        return np.append(knobs.hertz() / half, knobs.hertz()[-1] * half)
    if isinstance(knobs, LogMelKnobs | MFCCKnobs):
        return 700 * (10 ** (_between(_mel(knobs.f_min), _mel(knobs.top_hz), knobs.n_mels) / 2595) - 1)
    if isinstance(knobs, LFCCKnobs):
        return _between(knobs.f_min, knobs.top_hz, knobs.n_filters)
    if isinstance(knobs, LogSpecKnobs):
        return bin_edges(knobs.sample_rate, knobs.n_fft)
    raise ConfigError(f"where the bands of frontend={knobs.name} lie is not known; say it in dfad/explain/axes.py")


def bin_edges(sample_rate: int, n_fft: int) -> Floats:
    """Likewise of the bins of a Fourier transform. Shape: (n_fft / 2 + 2,) Hz."""
    return np.clip((np.arange(n_fft // 2 + 2) - 0.5) * sample_rate / n_fft, 0, sample_rate / 2)


def frame_edges(frames: int, hop: int, knobs: FrontendKnobs) -> Floats:
    """When frames begin and end that are centred at multiples of a hop. Shape: (frames + 1,) s of the crop."""
    return np.clip((np.arange(frames + 1) - 0.5) * hop, 0, knobs.crop_samples) / knobs.sample_rate


def hop_of(knobs: FrontendKnobs) -> int:
    """Samples between the frames of a spectral frontend."""
    if isinstance(knobs, CQTKnobs):
        return knobs.hop
    assert isinstance(knobs, StftKnobs)
    return round(knobs.hop_ms * knobs.sample_rate / 1000)


def _mel(hertz: float) -> float:
    """Mel of a frequency, as HTK counts it."""
    return 2595 * float(np.log10(1 + hertz / 700))


def _between(low: float, high: float, bands: int) -> Floats:
    """Points midway between the centres of triangles that begin where their neighbours have their tops."""
    return low + (high - low) * (np.arange(bands + 1) + 0.5) / (bands + 1)
