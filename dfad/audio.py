"""A file becomes a mono float32 waveform at the rate that was asked for, or a clear error: the only way to sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import gcd

import numpy as np
import soxr
from numpy.typing import ArrayLike, NDArray

from dfad.decoders import open_audio
from dfad.errors import AudioError
from dfad.places import Place
from dfad.wav import AudioInfo

SUFFIXES = frozenset(  # of audio files in a folder
    ".wav .flac .mp3 .ogg .opus .oga .aif .aiff .au .m4a .aac .amr .wma .webm .mp4 .mka".split()  # noqa: SIM905
)
_MARGIN_S = 0.05  # read around a crop before resampling, so that the filter sees what surrounds it
_SLACK_S = 0.05  # a clip may be this much, or 1 %, shorter than its manifest says


def is_audio(name: str) -> bool:
    """Whether a file is audio by its name; hidden ones, as macOS leaves them, are not."""
    stem, _, suffix = name.rpartition(".")
    return bool(stem) and f".{suffix.lower()}" in SUFFIXES and not name.startswith(".")


@dataclass(frozen=True)
class Limits:
    """What a clip must keep to before any of it is decoded."""

    min_duration_s: float = 0.1
    max_duration_s: float = 3600.0
    min_rate: int = 4000
    max_rate: int = 384_000
    max_channels: int = 32


LIMITS = Limits()


def probe(path: Place, *, limits: Limits = LIMITS) -> AudioInfo:
    """Read a file's header and hold it against the limits.

    Raises:
        AudioError: for a file that is missing, no audio, or beyond the limits.
    """
    with open_audio(path) as source:
        _check(path, source.info, limits, None)
        return source.info


def load(
    path: Place,
    *,
    sample_rate: int,
    crop_s: float | None = None,
    position: float = 0.0,
    expected_s: float | None = None,
    limits: Limits = LIMITS,
) -> np.ndarray:
    """Decode a file, or a crop of it, to mono at `sample_rate`.

    Args:
        path: the file.
        sample_rate: Hz of the result; resampled with an anti-aliasing filter where the file has another rate.
        crop_s: read only so many seconds; a shorter clip comes as it is (see `fit`).
        position: where the crop starts, from 0 (the clip's start) to 1 (the last start that fits).
        expected_s: what the manifest says the duration is; a file shorter than that is truncated.
        limits: what is refused unread.

    Shape:
        (samples,) float32, nominally in [-1, 1].

    Raises:
        AudioError: for a file that is missing, damaged, truncated, too short or long, or holds NaN or infinite values.
    """
    with open_audio(path) as source:
        info = source.info
        _check(path, info, limits, expected_s)
        crop = info.frames if crop_s is None else min(round(crop_s * info.sample_rate), info.frames)
        start = round(position * (info.frames - crop))
        unit = info.sample_rate // gcd(info.sample_rate, sample_rate)  # frames that make whole output samples
        margin = 0 if info.sample_rate == sample_rate else unit * max(1, round(_MARGIN_S * info.sample_rate / unit))
        before = min(margin, start // unit * unit)
        count = min(before + crop + margin, info.frames - start + before)
        wave = source.read(start - before, count)
    _check_whole(path, len(wave), count, source.slack)
    mono = to_mono(wave)
    _check_finite(path, mono)
    if info.sample_rate == sample_rate:
        return mono
    mono = soxr.resample(mono, info.sample_rate, sample_rate, quality="HQ")
    first = before // unit * (sample_rate * unit // info.sample_rate)
    return mono[first : first + -(-crop * sample_rate // info.sample_rate)]


def decode(
    path: Place, *, expected_s: float | None = None, limits: Limits = LIMITS
) -> Iterator[tuple[AudioInfo, np.ndarray]]:
    """Decode a whole file a few seconds at a time, so that its length costs no memory.

    Yields:
        The header, and the next samples as they are stored: (frames, channels) float32.

    Raises:
        AudioError: as `load` does; what is missing at the end is told after the last samples.
    """
    with open_audio(path) as source:
        _check(path, source.info, limits, expected_s)
        if too_short(source.info.duration_s, source.promised_s):
            raise AudioError(f"{path}: {shortness(source.info.duration_s, source.promised_s, 'header')}")
        frames = 0
        for wave in source.blocks():
            frames += len(wave)
            _check_finite(path, wave)
            yield source.info, wave
        _check_whole(path, frames, source.info.frames, source.slack)


def verify(
    path: Place,
    *,
    expected_s: float | None = None,
    limits: Limits = LIMITS,
    each: Callable[[np.ndarray], object] | None = None,
) -> AudioInfo:
    """Decode a whole file and keep none of it.

    Args:
        path: the file.
        expected_s: what the manifest says the duration is.
        limits: what is refused unread.
        each: given every piece of the sound, (frames, channels) float32.

    Raises:
        AudioError: as `load` does.
    """
    for info, wave in decode(path, expected_s=expected_s, limits=limits):  # noqa: B007  (the last one)
        if each:
            each(wave)
    return info  # of a file without any samples, an error was told


def too_short(found_s: ArrayLike, expected_s: ArrayLike) -> NDArray[np.bool_]:
    """Whether a duration is so much less than a manifest says that the file is truncated; unknown ones are not.

    >>> bool(too_short(1.96, 2.0)), bool(too_short(1.94, 2.0)), bool(too_short(1.0, float("nan")))
    (False, True, False)
    """
    expected = np.asarray(expected_s, float)
    return np.asarray(np.asarray(found_s, float) < expected - np.maximum(_SLACK_S, 0.01 * expected))


def shortness(found_s: float, expected_s: float, where: str = "manifest") -> str:
    """That in words."""
    return f"truncated, {found_s:.3f} s of the {expected_s:.3f} s in its {where}"


def to_mono(wave: np.ndarray) -> np.ndarray:
    """The mean of the channels, one after the other: NumPy's own along so short an axis takes several times as long.

    Shape:
        (frames, channels) -> (frames,) float32
    """
    if wave.shape[1] == 1:
        return wave[:, 0].astype(np.float32, copy=False)
    total = wave[:, 0].astype(np.float32)
    for channel in range(1, wave.shape[1]):
        total += wave[:, channel]
    return total / np.float32(wave.shape[1])


def fit(wave: np.ndarray, samples: int) -> np.ndarray:
    """Cut a waveform to a length, or repeat it up to it; zeros would tell the network how long the clip was.

    Shape:
        (any,) -> (samples,)

    >>> fit(np.array([1.0, 2.0, 3.0]), 5)
    array([1., 2., 3., 1., 2.])
    """
    return wave[:samples] if len(wave) >= samples else np.resize(wave, samples)


def _check(path: Place, info: AudioInfo, limits: Limits, expected_s: float | None) -> None:
    if not limits.min_rate <= info.sample_rate <= limits.max_rate:
        raise AudioError(f"{path}: sample rate {info.sample_rate} Hz, expected {limits.min_rate} to {limits.max_rate}")
    if not 1 <= info.channels <= limits.max_channels:
        raise AudioError(f"{path}: {info.channels} channels, expected 1 to {limits.max_channels}")
    if info.duration_s > limits.max_duration_s:
        raise AudioError(f"{path}: {info.duration_s:.0f} s long, at most {limits.max_duration_s:.0f} s are allowed")
    if info.duration_s < limits.min_duration_s:
        raise AudioError(f"{path}: {info.duration_s:.3f} s long, at least {limits.min_duration_s} s are needed")
    if expected_s is not None and too_short(info.duration_s, expected_s):
        raise AudioError(f"{path}: {shortness(info.duration_s, expected_s)}")


def _check_whole(path: Place, found: int, promised: int, slack: int) -> None:
    if found < max(1, promised - slack):
        raise AudioError(f"{path}: truncated or damaged, {found} of {promised} frames could be decoded")


def _check_finite(path: Place, wave: np.ndarray) -> None:
    with np.errstate(invalid="ignore"):
        total = wave.sum(dtype=np.float64)  # one pass, no array of flags
    if not np.isfinite(total):
        raise AudioError(f"{path}: holds NaN or infinite samples")
