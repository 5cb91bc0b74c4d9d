"""An audio file → the audio file that a pack holds for it: its bytes as they are, or its samples."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass

import numpy as np
import soundfile

from dfad.audio import Limits, load, probe, verify
from dfad.errors import AudioError
from dfad.places import Piece, Place, opened
from dfad.wav import header

KINDS = ("as-is", "pcm", "flac")


@dataclass(frozen=True)
class Recipe:
    """How a pack is made.

    Attributes:
        kind: `as-is`, the bytes of each file; `pcm` and `flac`, its samples, mono in 16 bits.
        rate: Hz of the latter; None for the former.
        chunk: bytes at which a chunk is full.
        skip: whether clips that cannot be used are left out.
    """

    kind: str = "as-is"
    rate: int | None = None
    chunk: int = 64_000_000
    skip: bool = False


@dataclass(frozen=True)
class Bytes(Piece):
    """An audio file in memory."""

    name: str
    data: bytes
    changed: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def size(self) -> int:
        """Bytes of the audio file."""
        return len(self.data)

    @property
    def look(self) -> bytes:
        """A hash of them."""
        return hashlib.blake2b(self.data, digest_size=16).digest()

    def read(self, start: int = 0, count: int | None = None) -> bytes:
        """Give bytes of it."""
        return self.data[start : None if count is None else start + count]


def prepared(place: Place, recipe: Recipe, *, expected_s: float | None = None, limits: Limits) -> Bytes:
    """The audio file that a pack holds for one.

    Raises:
        AudioError: if the clip cannot be used, as `load` and `verify` say it.
    """
    rate = probe(place, limits=limits).sample_rate  # before all of it is read, which may never end
    if recipe.kind == "as-is":
        try:
            with opened(place) as descriptor, os.fdopen(os.dup(descriptor), "rb") as file:
                whole = Bytes(str(place), file.read())
        except (OSError, ValueError) as error:
            raise AudioError(f"{place}: {(getattr(error, 'strerror', None) or str(error)).lower()}") from None
        verify(whole, expected_s=expected_s, limits=limits)
        return whole
    assert recipe.rate is not None
    wave = load(place, sample_rate=recipe.rate, expected_s=expected_s, limits=limits)
    samples = np.clip(np.rint(wave * np.float32(2**15)), -(2**15), 2**15 - 1).astype("<i2")
    changed = rate != recipe.rate or bool((samples * np.float32(2**-15) != wave).any())
    if recipe.kind == "pcm":
        return Bytes(str(place), header(samples.nbytes, recipe.rate) + samples.tobytes(), changed)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, recipe.rate, format="FLAC", subtype="PCM_16")
    return Bytes(str(place), buffer.getvalue(), changed)
