"""One pass over all clips: each file becomes a few numbers, and what could not be decoded is named."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import log2, nan

import numpy as np
import pandas as pd
import soxr

from dfad.audio import LIMITS, Limits, decode, to_mono
from dfad.audit.features import FEATURES
from dfad.audit.hearing import RATE, Hearing, Stored
from dfad.clips import Manifest
from dfad.corpora.base import Progress
from dfad.corpora.check import in_threads
from dfad.errors import AudioError, DataError
from dfad.places import Place, size_of
from dfad.wav import AudioInfo

NUMBERS = tuple(name for name in FEATURES if name not in ("format", "name"))
_LOSSLESS = ("alac", "flac", "pcm")  # begin the names of encodings that FFmpeg reads without saying their bits


@dataclass(frozen=True)
class Measured:
    """What is known of the clips that could be decoded.

    Attributes:
        manifest: of those clips.
        numbers: a row per clip, a float32 column for each of `NUMBERS`; NaN where there is nothing to measure.
        formats: container and encoding of each clip, such as "WAV PCM_16", as a categorical column.
        content: a fingerprint of the samples of each clip, uint64: the same sound in another lossless container has
            the same. (clips,)
        skipped: the ids of all others, and what is wrong with them.
    """

    manifest: Manifest
    numbers: pd.DataFrame
    formats: pd.Series
    content: np.ndarray
    skipped: dict[str, str]


def measure(manifest: Manifest, *, limits: Limits = LIMITS, progress: Progress | None = None) -> Measured:
    """Measure every clip.

    Raises:
        DataError: if hardly any could be decoded, so that a class has none left.
    """
    seconds = manifest.frame["duration_s"].to_numpy(float)
    numbers = np.full((len(manifest), len(NUMBERS)), np.nan, np.float32)
    content, codes = np.zeros(len(manifest), np.uint64), np.full(len(manifest), -1, np.int16)
    formats: dict[str, int] = {}
    skipped: dict[str, str] = {}

    def look(row: int) -> tuple[np.ndarray, int, str] | str:
        expected = None if np.isnan(seconds[row]) else float(seconds[row])
        try:
            return facts_of(manifest.path(row), expected_s=expected, limits=limits)
        except AudioError as error:
            return str(error)

    for row, found in enumerate(in_threads(look, range(len(manifest)), progress)):
        if isinstance(found, str):
            skipped[str(manifest.ids[row])] = found
        else:
            numbers[row], content[row] = found[:2]
            codes[row] = formats.setdefault(found[2], len(formats))
    whole = np.flatnonzero(codes >= 0)
    kept = manifest.only(whole) if skipped else manifest
    if skipped and np.unique(kept.labels).size < np.unique(manifest.labels).size:
        first = next(iter(skipped.values()))
        raise DataError(f"{len(skipped)} of {len(manifest)} clips cannot be decoded, a whole class among them: {first}")
    table = pd.DataFrame(numbers[whole] if skipped else numbers, columns=list(NUMBERS), copy=False)
    words = pd.Series(pd.Categorical.from_codes(codes[whole], categories=pd.Index(list(formats))))
    return Measured(kept, table, words, content[whole], skipped)


def facts_of(path: Place, *, expected_s: float | None = None, limits: Limits = LIMITS) -> tuple[np.ndarray, int, str]:
    """Measure one file, a few seconds at a time.

    Returns:
        The values of `NUMBERS` (float32), the fingerprint of its samples, and its format.

    Raises:
        AudioError: as `dfad.audio.load` does.
    """
    hear, see, sha = Hearing(), Stored(), hashlib.blake2b(digest_size=8)
    resampler = info = None
    for info, wave in decode(path, expected_s=expected_s, limits=limits):
        see(wave)
        sha.update(np.ascontiguousarray(wave).data)
        mono = to_mono(wave)
        if info.sample_rate != RATE:
            if resampler is None:
                resampler = soxr.ResampleStream(info.sample_rate, RATE, 1, dtype="float32", quality="HQ")
            mono = resampler.resample_chunk(mono)
        hear(mono)
    assert info
    if resampler is not None:
        hear(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    sha.update(info.sample_rate.to_bytes(4, "little"))
    facts = hear.facts() | see.facts() | stored_as(info, size_of(path), see.frames)
    values = np.array([facts.get(name, nan) for name in NUMBERS], np.float32)
    return values, int.from_bytes(sha.digest(), "little"), info.format


def stored_as(info: AudioInfo, size: int, frames: int) -> dict[str, float]:
    """How a file is stored, by the names of `FEATURES`.

    The bytes per second are those of the samples where these are stored as such, or losslessly: a header weighs more
    in a short clip, and how well FLAC packs is a matter of the sound. Of a lossy file they are those of the file, to
    the nearest eighth of an octave.
    """
    lossy = not info.bits and not info.encoding.lower().startswith(_LOSSLESS)
    if lossy:
        per_s = 2 ** (round(8 * log2(max(1.0, size * info.sample_rate / max(1, frames)))) / 8)
    else:
        per_s = info.sample_rate * info.channels * info.bits / 8 or nan
    return {
        "rate": info.sample_rate,
        "bits": info.bits or nan,
        "channels": info.channels,
        "lossy": float(lossy),
        "bytes_per_s": per_s,
    }
