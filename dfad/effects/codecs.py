"""Real codecs: a clip goes through an encoder and a decoder in memory, and comes back as long as it was and in step.

NumPy on a CPU, a clip at a time, without gradients: a chain with a codec in it runs in the loader's workers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType
from typing import Literal

import numpy as np
import soxr

from dfad.effects import codec_ffmpeg, codec_sndfile
from dfad.errors import AudioError, ConfigError, did_you_mean

_TAIL_S = 0.1  # of silence after the clip, so that all of it leaves the codec


@dataclass(frozen=True)
class Codec:
    """What a codec is, and how a waveform goes through it.

    Attributes:
        through: (wave at one of `rates`, Hz, kbit/s) -> wave, as `codec_sndfile` says.
        library: `soundfile` is always there, `av` comes with the extra `formats`.
        rates: Hz; a clip goes through at its own rate, else at the next higher one, else at the highest.
        bands: kbit/s -> Hz above which nothing is left of a clip at 16 kHz.
        usual: kbit/s unless told.
        encoder: as FFmpeg calls it, which may have been built without.
    """

    through: Callable[[np.ndarray, int, float], np.ndarray]
    library: Literal["soundfile", "av"]
    rates: tuple[int, ...]
    bands: Mapping[float, float]
    usual: float
    encoder: str = ""

    @property
    def kbps(self) -> tuple[float, ...]:
        """Its bit rates, kbit/s, the lowest first."""
        return tuple(self.bands)

    @property
    def lacking(self) -> str:
        """Why it cannot be used here; empty if it can."""
        if find_spec(self.library) is None:
            return "it needs a package: pip install 'dfad[formats]'"
        if self.encoder and not codec_ffmpeg.encodes(self.encoder):
            return f"the FFmpeg of PyAV here has no encoder {self.encoder}; reinstall: pip install 'dfad[formats]'"
        return ""

    @property
    def version(self) -> str:
        """Of its library; empty where that is not installed."""
        if find_spec(self.library) is None:
            return ""
        return {"soundfile": codec_sndfile, "av": codec_ffmpeg}[self.library].version()

    def rate(self, sample_rate: int) -> int:
        """The rate at which a clip goes through, Hz."""
        return min((rate for rate in self.rates if rate >= sample_rate), default=self.rates[-1])


_TELEPHONE = (8000,)
_MPEG = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)  # at 8 to 12 kHz the higher bit rates do not exist
_OPUS = (8000, 12_000, 16_000, 24_000, 48_000)
_VORBIS = (8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000)
_AMR = (4.75, 5.15, 5.9, 6.7, 7.4, 7.95, 10.2, 12.2)

CODECS: Mapping[str, Codec] = MappingProxyType(
    {
        "mp3": Codec(codec_sndfile.mp3, "soundfile", _MPEG, {16: 5600, 32: 7300, 64: 7300, 128: 7300}, 64),
        "vorbis": Codec(
            codec_sndfile.vorbis, "soundfile", _VORBIS, {24: 7600, 32: 8000, 48: 8000, 64: 8000, 96: 8000}, 64
        ),
        "opus": Codec(codec_sndfile.opus, "soundfile", _OPUS, {6: 4300, 12: 8000, 24: 8000}, 24),
        "gsm": Codec(codec_sndfile.gsm, "soundfile", _TELEPHONE, {13: 4000}, 13),
        "mu-law": Codec(codec_sndfile.mu_law, "soundfile", _TELEPHONE, {64: 4000}, 64),
        "a-law": Codec(codec_sndfile.a_law, "soundfile", _TELEPHONE, {64: 4000}, 64),
        "aac": Codec(codec_ffmpeg.aac, "av", _MPEG, {16: 3900, 32: 8000, 64: 8000}, 64, codec_ffmpeg.AAC),
        "amr-nb": Codec(codec_ffmpeg.amr_nb, "av", _TELEPHONE, dict.fromkeys(_AMR, 4000), 12.2, codec_ffmpeg.AMR_NB),
        "g722": Codec(codec_ffmpeg.g722, "av", (16_000,), {64: 8000}, 64, codec_ffmpeg.G722),
    }
)


def recode(wave: np.ndarray, sample_rate: int, codec: str, kbps: float | None = None) -> np.ndarray:
    """Send a clip through a codec.

    Args:
        wave: what exceeds [-1, 1] is clipped first, as encoders do.
        sample_rate: Hz; resampled to a rate of the codec's and back.
        codec: a name of `CODECS`.
        kbps: kbit/s, one of the codec's; its usual one unless told.

    Shape:
        (samples,) float32 -> (samples,) float32 in [-1, 1], in step with what came to within 0.1 ms

    Raises:
        ConfigError: for a codec or a bit rate that there is not, or that cannot be used here.
        AudioError: for NaN or infinite samples.
    """
    if codec not in CODECS:
        raise ConfigError(f"codec {codec!r} is not known; {did_you_mean(codec, CODECS)}")
    this = CODECS[codec]
    kbps = this.usual if kbps is None else kbps
    if kbps not in this.bands:
        raise ConfigError(
            f"{codec} at {kbps:g} kbit/s is not known; choose from: {', '.join(f'{k:g}' for k in this.kbps)}"
        )
    if why := this.lacking:
        raise ConfigError(f"codec {codec}: {why}")
    if not np.isfinite(wave).all():  # LAME would abort the process
        raise AudioError(f"codec {codec} was given NaN or infinite samples")
    rate = this.rate(sample_rate)
    padded = np.pad(np.clip(wave, -1, 1).astype(np.float32), (0, round(_TAIL_S * sample_rate)))
    there = this.through(soxr.resample(padded, sample_rate, rate), rate, float(kbps))
    back = soxr.resample(there, rate, sample_rate)
    return np.clip(back[: len(wave)], -1, 1)
