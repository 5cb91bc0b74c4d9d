"""Codecs of FFmpeg (PyAV, the extra `formats`): each takes a waveform through its encoder and decoder, in memory.

They are what `codec_sndfile` says of its own. No container is between encoder and decoder, so what the two lag behind
together is taken away here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

AAC, AMR_NB, G722 = "aac", "libopencore_amrnb", "g722"  # as FFmpeg calls them


def encodes(name: str) -> bool:
    """Whether this FFmpeg has an encoder; PyAV must be installed."""
    import av

    try:
        av.codec.Codec(name, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def version() -> str:
    """Of the library that is used."""
    import av

    return f"libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}"


def aac(wave: np.ndarray, rate: int, kbps: float) -> np.ndarray:
    """AAC, low complexity, by FFmpeg's own encoder."""
    return _through(AAC, wave, rate, kbps, delay=1024)


def amr_nb(wave: np.ndarray, rate: int, kbps: float) -> np.ndarray:
    """AMR narrow-band (3GPP TS 26.071)."""
    return _through(AMR_NB, wave, rate, kbps, delay=40)


def g722(wave: np.ndarray, rate: int, kbps: float) -> np.ndarray:
    """G.722: two bands, each by adaptive differences."""
    return _through(G722, wave, rate, kbps, delay=22)


def _through(name: str, wave: np.ndarray, rate: int, kbps: float, delay: int) -> np.ndarray:
    packets, extradata = _encode(name, np.pad(wave, (0, delay)), rate, kbps)
    return _decode(name, packets, extradata, rate)[delay:]


def _encode(name: str, wave: np.ndarray, rate: int, kbps: float) -> tuple[list[Any], bytes | None]:
    """Make packets, and what a decoder must know before the first."""
    import av

    encoder: Any = av.CodecContext.create(name, "w")
    encoder.sample_rate, encoder.layout, encoder.format = rate, "mono", encoder.codec.audio_formats[0]
    encoder.bit_rate, encoder.thread_count = round(kbps * 1000), 1
    encoder.open()
    size = encoder.frame_size
    wave = np.pad(wave, (0, -len(wave) % size + size))  # the decoder keeps some of the last frame
    if encoder.format.name == "s16":
        wave = np.rint(32767 * wave).astype(np.int16)
    packets = []
    for start in range(0, len(wave), size):
        frame = av.AudioFrame.from_ndarray(wave[None, start : start + size], encoder.format.name, "mono")
        frame.sample_rate, frame.pts = rate, start
        packets += encoder.encode(frame)
    return [*packets, *encoder.encode(None)], encoder.extradata


def _decode(name: str, packets: list[Any], extradata: bytes | None, rate: int) -> np.ndarray:
    import av

    decoder: Any = av.CodecContext.create(name, "r")
    decoder.sample_rate, decoder.layout, decoder.thread_count = rate, "mono", 1
    decoder.extradata = extradata
    parts = [frame.to_ndarray()[0] for packet in [*packets, None] for frame in decoder.decode(packet)]
    wave = np.concatenate(parts)
    return wave / np.float32(32768) if wave.dtype == np.int16 else wave
