"""Codecs of FFmpeg (PyAV, the extra `formats`): each takes a waveform through its encoder and decoder, in memory.

They are what `codec_sndfile` says of its own. No container is between encoder and decoder, so what the two lag behind
together is taken away here.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def aac(wave: np.ndarray, rate: int, kbps: float) -> np.ndarray:
    """AAC, low complexity, by FFmpeg's own encoder."""
    return _through("aac", wave, rate, kbps, delay=1024)


def amr_nb(wave: np.ndarray, rate: int, kbps: float) -> np.ndarray:
    """AMR narrow-band (3GPP TS 26.071)."""
    return _through("libopencore_amrnb", wave, rate, kbps, delay=40)


def g722(wave: np.ndarray, rate: int, kbps: float) -> np.ndarray:
    """G.722: two bands, each by adaptive differences."""
    return _through("g722", wave, rate, kbps, delay=22)


def _through(name: str, wave: np.ndarray, rate: int, kbps: float, delay: int) -> np.ndarray:
    import av

    encoder: Any = av.CodecContext.create(name, "w")
    encoder.sample_rate, encoder.layout, encoder.format = rate, "mono", encoder.codec.audio_formats[0].name
    encoder.bit_rate, encoder.thread_count = round(kbps * 1000), 1
    encoder.open()
    decoder: Any = av.CodecContext.create(name, "r")
    decoder.sample_rate, decoder.layout, decoder.thread_count = rate, "mono", 1
    decoder.extradata = encoder.extradata
    size = encoder.frame_size or 320
    missing = -(len(wave) + delay) % size + size  # the decoder keeps some of the last frame
    padded = np.pad(wave, (0, delay + missing))
    if encoder.format.name == "s16":
        padded = np.rint(32767 * padded).astype(np.int16)
    parts = []
    for start in range(0, len(padded), size):
        frame = av.AudioFrame.from_ndarray(padded[None, start : start + size], encoder.format.name, "mono")
        frame.sample_rate, frame.pts = rate, start
        for packet in encoder.encode(frame):
            parts += [part.to_ndarray()[0] for part in decoder.decode(packet)]
    for packet in [*encoder.encode(None), None]:
        parts += [part.to_ndarray()[0] for part in decoder.decode(packet)]
    found = np.concatenate(parts)
    if found.dtype == np.int16:
        found = found.astype(np.float32) / 32768
    return found[delay:]
