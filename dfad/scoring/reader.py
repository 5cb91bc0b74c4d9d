"""One clip, a file or an array, read as windows while it is decoded."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

from dfad.audio import LIMITS, decode, fit, load, probe, to_mono
from dfad.errors import AudioError
from dfad.frontends import FrontendKnobs
from dfad.places import Place
from dfad.scoring.options import ScoringKnobs
from dfad.scoring.sound import Listener, Sound
from dfad.scoring.windows import Cutter, Piece, Wave

_BLOCK = 2**18  # frames of an array taken at a time
_MARGIN_S = 0.05  # of an array beyond the first crop, for the resampling filter

Array = NDArray[np.floating]


class Reader:
    """Gives the windows of a clip, once; afterwards it knows what was heard.

    Args:
        source: a file, or a waveform of shape (samples,) or (samples, channels) in [-1, 1].
        frontend: of the detector: its sample rate and crop.
        options: how it is scored.
        sample_rate: of a waveform, Hz.

    Attributes:
        samples: that were heard, at the detector's rate, once all windows are out.

    Raises:
        AudioError: on the way, for sound that cannot be used; no other error comes of a file, whatever it holds.
        ValueError: for a hop that leaves gaps.
    """

    def __init__(
        self, source: Place | Array, frontend: FrontendKnobs, options: ScoringKnobs, sample_rate: int | None = None
    ) -> None:
        self.source, self.options, self.array_rate = source, options, sample_rate
        self.rate, self.crop, self.crop_s = frontend.sample_rate, frontend.crop_samples, frontend.crop_s
        hop_s = options.hop_s or frontend.crop_s / 2
        self.cutter = Cutter(self.crop, max(1, round(hop_s * self.rate)))
        self.listener, self.seconds, self.samples = Listener(self.rate), 0.0, 0

    @property
    def sound(self) -> Sound:
        """What was heard until now; in the end the whole clip, or its first crop where only that is heard."""
        return self.listener.sound(self.seconds)

    def __iter__(self) -> Iterator[Piece]:
        try:
            yield from self._first() if self.options.first else self._whole()
        except AudioError:
            raise
        except Exception as error:  # hostile bytes can raise anything in a decoder
            raise AudioError(f"{self._name}cannot be decoded ({type(error).__name__}: {error})") from error

    @property
    def _name(self) -> str:
        return "" if isinstance(self.source, np.ndarray) else f"{self.source}: "

    def _whole(self) -> Iterator[Piece]:
        resampler: soxr.ResampleStream | None = None
        for rate, wave in self._blocks():
            self.seconds += len(wave) / rate
            if self.seconds > self.options.limits.max_duration_s:  # headers of some formats only guess
                raise AudioError(f"{self._name}longer than {self.options.max_hours:g} hours, and than its header says")
            self.listener.stored(wave)
            mono = to_mono(wave)
            if rate != self.rate:
                resampler = resampler or soxr.ResampleStream(rate, self.rate, 1, dtype="float32", quality="HQ")
                mono = resampler.resample_chunk(mono)
            self.listener(mono)
            yield from self.cutter(mono)
        if resampler:
            mono = resampler.resample_chunk(np.zeros(0, np.float32), last=True)
            self.listener(mono)
            yield from self.cutter(mono)
        yield from self.cutter.last()
        self.samples = self.cutter.samples

    def _first(self) -> Iterator[Piece]:
        """Give the one window that evaluation hears, read as evaluation does."""
        if isinstance(self.source, np.ndarray):
            rate, frames = _checked(self.source, self.array_rate)
            self.seconds = len(frames) / rate
            mono = to_mono(frames[: round((self.crop_s + _MARGIN_S) * rate)])
            _require_finite(mono)
            wave = mono if rate == self.rate else soxr.resample(mono, rate, self.rate, quality="HQ")
        else:
            limits = self.options.limits
            self.seconds = probe(self.source, limits=limits).duration_s
            wave = load(self.source, sample_rate=self.rate, crop_s=self.crop_s, limits=limits)
        wave = wave[: self.crop]
        self.listener.stored(wave[:, None])
        self.listener(wave)
        yield 0, fit(wave, self.crop)
        self.samples = len(wave)

    def _blocks(self) -> Iterator[tuple[int, Wave]]:
        """The sample rate, and the next samples as they are stored: (frames, channels)."""
        if isinstance(self.source, np.ndarray):
            rate, frames = _checked(self.source, self.array_rate)
            for start in range(0, len(frames), _BLOCK):
                wave = frames[start : start + _BLOCK].astype(np.float32)
                _require_finite(wave)
                yield rate, wave
            return
        for info, wave in decode(self.source, limits=self.options.limits):
            yield info.sample_rate, wave


def _require_finite(wave: Array) -> None:
    if not np.isfinite(wave).all():
        raise AudioError("the waveform holds NaN or infinite samples")


def _checked(wave: Array, sample_rate: int | None) -> tuple[int, Array]:
    """The sample rate of an array and its samples as (frames, channels), held against the limits of files."""
    if sample_rate is None:
        raise AudioError("an array needs its sample rate: scorer(wave, sample_rate)")
    if not LIMITS.min_rate <= sample_rate <= LIMITS.max_rate:
        raise AudioError(f"sample rate {sample_rate} Hz, expected {LIMITS.min_rate} to {LIMITS.max_rate}")
    frames = wave[:, None] if wave.ndim == 1 else wave
    if frames.ndim != 2 or not 1 <= frames.shape[1] <= LIMITS.max_channels:
        raise AudioError(f"expected a waveform (samples,) or (samples, channels), found the shape {wave.shape}")
    if len(wave) < LIMITS.min_duration_s * sample_rate:
        raise AudioError(f"{len(wave) / sample_rate:.3f} s long, at least {LIMITS.min_duration_s} s are needed")
    if not np.issubdtype(wave.dtype, np.floating):
        raise AudioError(f"expected floating-point samples in [-1, 1], found {wave.dtype}")
    return sample_rate, frames
