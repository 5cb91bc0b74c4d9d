"""Codecs of libsndfile (soundfile): each takes a waveform through its encoder and decoder, in memory.

All take `wave: (samples,) float32 in [-1, 1]` at a rate in Hz that the codec knows, and a bit rate in kbit/s, and give
as many samples or more, in step with those that came.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
import soundfile
import soxr

_VORBIS_LEVELS = {24.0: 1.0, 32.0: 0.9, 48.0: 0.7, 64.0: 0.5, 96.0: 0.0555}  # kbit/s by the header of a file at 16 kHz
_OPUS_SLOWEST, _OPUS_FASTEST = 6.0, 256.0  # kbit/s at libsndfile's compression levels 1 and 0
_MP3_DELAY = 576 + 529  # samples: LAME's, and that of any decoder


def version() -> str:
    """Of the library that is used."""
    return f"libsndfile {soundfile.__libsndfile_version__}"


def mp3(wave: np.ndarray, rate: int, kbps: float) -> np.ndarray:
    """MPEG layer III by LAME, at a constant bit rate; there is none below 32 kbit/s above 24 kHz."""
    if kbps < 32 and rate > 24_000:
        return soxr.resample(mp3(soxr.resample(wave, rate, 24_000), 24_000, kbps), 24_000, rate)
    slowest, fastest = (8.0, 160.0) if rate < 32_000 else (32.0, 320.0)  # what libsndfile's levels 1 and 0 are
    level = min((fastest - kbps) / (fastest - slowest), 0.9999)  # libsndfile 1.2.2 refuses a whole 1
    data = _encode(wave, rate, "MP3", "MPEG_LAYER_III", compression_level=level, bitrate_mode="CONSTANT")
    # where a frame is too small for LAME's note on its delay, no decoder can take it away
    return _decode(data)[0 if b"Info" in data[:256] else _MP3_DELAY :]


def vorbis(wave: np.ndarray, rate: int, kbps: float) -> np.ndarray:
    """Ogg Vorbis, of the quality whose nominal bit rate this is at 16 kHz; speech takes up to a third less."""
    return _decode(_encode(wave, rate, "OGG", "VORBIS", compression_level=_VORBIS_LEVELS[kbps]))


def opus(wave: np.ndarray, rate: int, kbps: float) -> np.ndarray:
    """Opus (RFC 6716), at a bit rate that varies with the sound."""
    level = (_OPUS_FASTEST - kbps) / (_OPUS_FASTEST - _OPUS_SLOWEST)
    return _decode(_encode(wave, rate, "OGG", "OPUS", compression_level=level))


def gsm(wave: np.ndarray, rate: int, kbps: float) -> np.ndarray:
    """GSM 06.10 full rate."""
    return _decode(_encode(wave, rate, "WAV", "GSM610"))


def mu_law(wave: np.ndarray, rate: int, kbps: float) -> np.ndarray:
    """G.711 µ-law."""
    return _decode(_encode(wave, rate, "WAV", "ULAW"))


def a_law(wave: np.ndarray, rate: int, kbps: float) -> np.ndarray:
    """G.711 A-law."""
    return _decode(_encode(wave, rate, "WAV", "ALAW"))


def _encode(wave: np.ndarray, rate: int, container: str, subtype: str, **options: float | str) -> bytes:
    memory = BytesIO()
    with soundfile.SoundFile(memory, "w", rate, 1, format=container, subtype=subtype, **options) as file:
        file.write(wave)
    return memory.getvalue()


def _decode(data: bytes) -> np.ndarray:
    with soundfile.SoundFile(BytesIO(data)) as file:
        return file.read(file.frames, dtype="float32")
