"""What the header of an audio file says; and WAVs of 16-bit samples in larger files, read without a decoder."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dfad.places import Piece

HEADER = 44  # bytes before the samples of a WAV that holds nothing else
_MOST_BYTES, _MOST_CHANNELS = 2**32 - 1 - 36, 2**15 - 1  # that a header can say
_BLOCK = 2**18  # frames read at a time where the whole file is read


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

    @property
    def container(self) -> str:
        """The first word of `format`, such as "WAV"."""
        return self.format.partition(" ")[0]

    @property
    def encoding(self) -> str:
        """The rest of `format`, such as "PCM_16"."""
        return self.format.partition(" ")[2]

    @property
    def bits(self) -> int:
        """Bits per sample as stored; 0 for encodings that do not store samples, such as MP3.

        >>> AudioInfo(1, 16000, 1, "WAV PCM_16").bits, AudioInfo(1, 16000, 1, "MP3 MPEG_LAYER_III").bits
        (16, 0)
        """
        known = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 64}
        return known.get(self.encoding, 0)


class Plain:
    """A piece that is a WAV of 16-bit samples and nothing else: read without a decoder, to the same floats."""

    slack = 0

    def __init__(self, piece: Piece, info: AudioInfo) -> None:
        self.piece, self.info = piece, info
        self.promised_s = info.duration_s

    @classmethod
    def of(cls, piece: Piece) -> Plain | None:
        """Open a piece, if it is one of that kind, by every byte of its header."""
        head = piece.read(0, HEADER)
        if len(head) < HEADER:
            return None
        channels, rate = int.from_bytes(head[22:24], "little"), int.from_bytes(head[24:28], "little")
        samples = piece.size - HEADER
        if not 0 < channels <= _MOST_CHANNELS or not rate or samples > _MOST_BYTES or samples % (2 * channels):
            return None
        if head != header(samples, rate, channels):
            return None
        return cls(piece, AudioInfo(samples // (2 * channels), rate, channels, "WAV PCM_16"))

    def read(self, start: int, count: int) -> np.ndarray:
        """Read frames, fewer where the file ends. Shape: (frames, channels) float32."""
        frame = 2 * self.info.channels
        data = self.piece.read(HEADER + start * frame, count * frame)
        wave = np.frombuffer(data, "<i2").astype(np.float32)
        wave *= np.float32(2**-15)
        return wave.reshape(-1, self.info.channels)

    def blocks(self) -> Iterator[np.ndarray]:
        """Read all frames, some at a time."""
        for start in range(0, self.info.frames, _BLOCK):
            yield self.read(start, min(_BLOCK, self.info.frames - start))


def header(size: int, rate: int, channels: int = 1) -> bytes:
    """The header of a WAV of 16-bit samples, as libsndfile writes it, for so many bytes of them."""
    shape = struct.pack("<IHHIIHH", 16, 1, channels, rate, (rate * channels * 2) & 0xFFFFFFFF, 2 * channels, 16)
    return b"RIFF" + struct.pack("<I", size + 36) + b"WAVEfmt " + shape + b"data" + struct.pack("<I", size)
