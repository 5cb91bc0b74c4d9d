"""The only decoder: a file becomes a mono float32 waveform at the rate that was asked for, or a clear error.

Files are told by their content, never by their suffix: libsndfile first, FFmpeg (PyAV, the `formats` extra) for what
it refuses. Only the seconds that are needed are read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from dfad.errors import AudioError

SUFFIXES = frozenset(
    [
        ".wav",
        ".flac",
        ".mp3",
        ".ogg",
        ".opus",
        ".oga",
        ".aif",
        ".aiff",
        ".au",
        ".m4a",
        ".aac",
        ".amr",
        ".wma",
        ".webm",
        ".mp4",
        ".mka",
    ]
)
# FFmpeg may open nothing but plain containers of sound: no playlist, no concat script, nothing that names other files
_CONTAINERS = "wav,flac,ogg,mp3,aac,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,amr,asf,aiff,au,g722,caf,w64"
_MARGIN_S = 0.05  # read around a crop before resampling, so that the filter sees what surrounds it
_BLOCK = 2**18  # frames decoded at a time where the whole file is read
_SLACK_S = 0.05  # a clip may be this much, or 1 %, shorter than its manifest says


@dataclass(frozen=True)
class Limits:
    """What a clip must keep to before any of it is decoded."""

    min_duration_s: float = 0.1
    max_duration_s: float = 3600.0
    min_rate: int = 4000
    max_rate: int = 384_000
    max_channels: int = 32


LIMITS = Limits()


@dataclass(frozen=True)
class AudioInfo:
    """What the header of a file says."""

    frames: int
    sample_rate: int  # Hz
    channels: int
    format: str  # container and encoding, such as "WAV PCM_16"

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate


def probe(path: Path, *, limits: Limits = LIMITS) -> AudioInfo:
    """Read a file's header and hold it against the limits.

    Raises:
        AudioError: for a file that is missing, no audio, or beyond the limits.
    """
    with _open(path) as source:
        _check(path, source.info, limits, None)
        return source.info


def load(
    path: Path,
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
    with _open(path) as source:
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
    mono = wave.mean(axis=1, dtype=np.float32) if wave.shape[1] > 1 else wave[:, 0]
    _check_finite(path, mono)
    if info.sample_rate == sample_rate:
        return mono
    mono = soxr.resample(mono, info.sample_rate, sample_rate, quality="HQ")
    first = before // unit * (sample_rate * unit // info.sample_rate)
    return mono[first : first + -(-crop * sample_rate // info.sample_rate)]


def verify(path: Path, *, expected_s: float | None = None, limits: Limits = LIMITS) -> AudioInfo:
    """Decode a whole file, a few seconds at a time, and keep none of it.

    Raises:
        AudioError: as `load` does.
    """
    with _open(path) as source:
        _check(path, source.info, limits, expected_s)
        frames = 0
        for wave in source.blocks():
            frames += len(wave)
            _check_finite(path, wave)
        _check_whole(path, frames, source.info.frames, source.slack)
        return source.info


def fit(wave: np.ndarray, samples: int) -> np.ndarray:
    """Cut a waveform to a length, or repeat it up to it; zeros would tell the network how long the clip was.

    Shape:
        (any,) -> (samples,)

    >>> fit(np.array([1.0, 2.0, 3.0]), 5)
    array([1., 2., 3., 1., 2.])
    """
    return wave[:samples] if len(wave) >= samples else np.resize(wave, samples)


def _check(path: Path, info: AudioInfo, limits: Limits, expected_s: float | None) -> None:
    if not limits.min_rate <= info.sample_rate <= limits.max_rate:
        raise AudioError(f"{path}: sample rate {info.sample_rate} Hz, expected {limits.min_rate} to {limits.max_rate}")
    if not 1 <= info.channels <= limits.max_channels:
        raise AudioError(f"{path}: {info.channels} channels, expected 1 to {limits.max_channels}")
    if info.duration_s > limits.max_duration_s:
        raise AudioError(f"{path}: {info.duration_s:.0f} s long, at most {limits.max_duration_s:.0f} s are allowed")
    if info.duration_s < limits.min_duration_s:
        raise AudioError(f"{path}: {info.duration_s:.3f} s long, at least {limits.min_duration_s} s are needed")
    if expected_s is not None and info.duration_s < expected_s - max(_SLACK_S, 0.01 * expected_s):
        raise AudioError(f"{path}: truncated, {info.duration_s:.3f} s of the {expected_s:.3f} s in its manifest")


def _check_whole(path: Path, found: int, promised: int, slack: int) -> None:
    if found < promised - slack:
        raise AudioError(f"{path}: truncated or damaged, {found} of {promised} frames could be decoded")


def _check_finite(path: Path, wave: np.ndarray) -> None:
    if not np.isfinite(wave.sum(dtype=np.float64)):  # one pass, no array of flags
        raise AudioError(f"{path}: holds NaN or infinite samples")


@contextmanager
def _open(path: Path) -> Iterator[_SoundFile | _Av]:
    """Open a regular file with the first decoder that takes it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO must not block us
    except OSError as error:
        raise AudioError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise AudioError(f"{path}: not a regular file")
        try:
            # by descriptor, so that the suffix cannot speak
            handle = soundfile.SoundFile(os.dup(descriptor), closefd=True)
        except (soundfile.LibsndfileError, TypeError, ValueError) as error:
            reason = getattr(error, "error_string", str(error)).strip(" .")
            with _open_av(path, descriptor, reason) as source:
                yield source
        else:
            with handle:
                yield _SoundFile(path, handle)
    finally:
        os.close(descriptor)


class _SoundFile:
    """Decode with libsndfile."""

    slack = 0  # frames that the header may promise too many

    def __init__(self, path: Path, handle: soundfile.SoundFile) -> None:
        self.path, self.handle = path, handle
        self.info = AudioInfo(handle.frames, handle.samplerate, handle.channels, f"{handle.format} {handle.subtype}")

    def read(self, start: int, count: int) -> np.ndarray:
        # an MP3 frame borrows bits from frames before it: after a bare seek, low bit rates decode wrongly at first
        bare_seek = self.handle.format == "MP3" and start != self.handle.tell()
        preroll = min(start, self.handle.samplerate) if bare_seek else 0
        try:
            with _muted() if preroll else nullcontext():
                if start != self.handle.tell():
                    self.handle.seek(start - preroll)
                return self.handle.read(preroll + count, dtype="float32", always_2d=True)[preroll:]
        except soundfile.LibsndfileError as error:
            if find_spec("av") is not None:  # libsndfile 1.2.2 loses sync on sound FLACs that FFmpeg decodes
                descriptor = os.open(self.path, os.O_RDONLY)
                try:
                    with _open_av(self.path, descriptor, str(error)) as source:
                        return source.read(start, count)
                finally:
                    os.close(descriptor)
            raise AudioError(f"{self.path}: {error.error_string.strip(' .').lower()}") from None

    def blocks(self) -> Iterator[np.ndarray]:
        done = 0
        while len(wave := self.read(done, min(_BLOCK, self.info.frames - done))):
            yield wave
            done += len(wave)


@contextmanager
def _muted() -> Iterator[None]:
    """Send the process's stderr nowhere: the MP3 decoder complains there about the frames before a seek."""
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextmanager
def _open_av(path: Path, descriptor: int, refusal: str) -> Iterator[_Av]:
    if os.fstat(descriptor).st_size == 0:
        raise AudioError(f"{path}: the file is empty")
    if find_spec("av") is None:
        raise AudioError(f"{path}: {refusal}; for more formats: pip install 'dfad[formats]'")
    import av

    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        with (
            os.fdopen(os.dup(descriptor), "rb") as file,
            av.open(file, options={"format_whitelist": _CONTAINERS}) as container,
        ):
            if not container.streams.audio:
                raise AudioError(f"{path}: holds no sound")
            yield _Av(path, container)
    except (av.FFmpegError, ValueError) as error:
        raise AudioError(f"{path}: no audio that can be decoded ({error})") from None


class _Av:
    """Decode with FFmpeg: from the start, as its seeking is not exact."""

    slack = 4096  # containers count the encoder's padding too

    def __init__(self, path: Path, container: Any) -> None:
        self.path, self.container = path, container
        self.stream = container.streams.audio[0]
        rate, channels = self.stream.codec_context.sample_rate, self.stream.codec_context.channels
        length = self.stream.duration and float(self.stream.duration * self.stream.time_base)
        length = length or (container.duration or 0) / 1e6
        self.info = AudioInfo(int(length * rate), rate, channels, f"{container.format.name} {self.stream.codec.name}")

    def read(self, start: int, count: int) -> np.ndarray:
        parts: list[np.ndarray] = [np.zeros((0, self.info.channels), np.float32)]
        seen = 0
        for wave in self.blocks():
            parts.append(wave[max(0, start - seen) : max(0, start + count - seen)])
            seen += len(wave)
            if seen >= start + count:
                break
        return np.concatenate(parts)

    def blocks(self) -> Iterator[np.ndarray]:
        import av

        to_float = av.AudioResampler(format="fltp")
        for frame in self.container.decode(self.stream):
            for part in to_float.resample(frame):
                yield part.to_ndarray().T
