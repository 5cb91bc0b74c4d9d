"""Codecs leave a clip where it was, take away what is above their band, and are real: bytes, bits, order of quality."""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import soxr
from scipy import signal

from dfad.corpora.voices import draw_voice, utter
from dfad.effects import codec_sndfile
from dfad.effects.codecs import CODECS, recode
from dfad.errors import AudioError, ConfigError

RATE = 16000
NAMES = list(CODECS)
ALL = [(name, kbps) for name, codec in CODECS.items() for kbps in codec.kbps]
RANDOM = np.random.default_rng(6)
NOISE = (0.1 * RANDOM.normal(size=2 * RATE)).astype(np.float32)
SPEECH = np.concatenate([utter(draw_voice(seed), seed, 2.0) for seed in range(3)])
CLICKS = np.zeros(2 * RATE, np.float32)
CLICKS[np.arange(500, 31500, 1500) + RANDOM.integers(0, 1000, 21)] = RANDOM.choice([-0.6, 0.6], 21)

everyone = pytest.mark.parametrize(("name", "kbps"), ALL)
usual = pytest.mark.parametrize("name", NAMES)


def db(found: np.ndarray, given: np.ndarray, low: float, high: float) -> float:
    """How much more energy there is between two frequencies in Hz."""
    frequency = np.fft.rfftfreq(len(given), 1 / RATE)
    band = (low <= frequency) & (frequency < high)
    power = [np.sum(np.abs(np.fft.rfft(wave)[band]) ** 2) for wave in (found, given)]
    return float(10 * np.log10(power[0] / power[1]))


def lag(found: np.ndarray, given: np.ndarray) -> int:
    """By how many samples `found` is late: the peak of the cross-correlation."""
    return int(np.argmax(signal.correlate(found, given, method="fft"))) - (len(given) - 1)


def snr(found: np.ndarray, given: np.ndarray) -> float:
    """Signal to error in dB of short-time magnitudes above 300 Hz: AMR filters with a phase below."""
    magnitudes = [np.abs(signal.stft(wave, RATE, nperseg=512)[2])[10:] for wave in (found, given)]
    return float(10 * np.log10(np.sum(magnitudes[1] ** 2) / np.sum((magnitudes[0] - magnitudes[1]) ** 2)))


@everyone
def test_band(name: str, kbps: float) -> None:
    edge, found = CODECS[name].bands[kbps], recode(NOISE, RATE, name, kbps)
    if edge < RATE / 2:
        assert db(found, NOISE, edge, RATE) < -35
    for low in np.arange(300, 0.93 * edge - 500, 500):
        assert -8 < db(found, NOISE, low, low + 500) < 4  # AMR at its lowest rates cannot code noise
    assert db(recode(SPEECH, RATE, name, kbps), SPEECH, 300, 0.93 * edge) == pytest.approx(0, abs=1)


@everyone
@pytest.mark.parametrize("given", [SPEECH, NOISE, CLICKS], ids=["speech", "noise", "clicks"])
def test_alignment(name: str, kbps: float, given: np.ndarray) -> None:
    found, own = recode(given, RATE, name, kbps), CODECS[name].rate(RATE)
    assert lag(soxr.resample(found, RATE, own), soxr.resample(given, RATE, own)) == 0
    if given is not CLICKS:
        assert abs(lag(found, given)) <= 1


@pytest.mark.parametrize("rate", [8000, 11025, 20000, 44100, 96000])
@usual
def test_clips_at_other_rates(name: str, rate: int) -> None:
    given = soxr.resample(SPEECH[: 2 * RATE + 1], RATE, rate)
    for kbps in (CODECS[name].kbps[0], CODECS[name].kbps[-1]):
        found = recode(given, rate, name, kbps)
        assert found.shape == given.shape
        assert abs(lag(found, given)) <= max(1, 1e-4 * rate)


@pytest.mark.parametrize("samples", [1, 2, 159, 1601, 16001])
@everyone
def test_length_type_and_range(name: str, kbps: float, samples: int) -> None:
    given = 1.5 * SPEECH[4000 : 4000 + samples] / np.abs(SPEECH[4000 : 4000 + samples]).max()
    before = given.copy()
    found = recode(given, RATE, name, kbps)
    assert found.shape == given.shape
    assert found.dtype == np.float32
    assert np.abs(found).max() <= 1
    assert np.isfinite(found).all()
    assert np.array_equal(given, before)


@everyone
def test_silence_stays_silence(name: str, kbps: float) -> None:
    assert np.abs(recode(np.zeros(RATE, np.float32), RATE, name, kbps)).max() < 1e-3


@usual
def test_more_bits_are_nearer(name: str) -> None:
    found = [snr(recode(SPEECH, RATE, name, kbps), SPEECH) for kbps in CODECS[name].kbps]
    assert found == sorted(set(found))
    assert found[-1] > 15


def encoded(name: str, kbps: float, rate: int = RATE) -> bytes:
    """Ten seconds of noise as a file."""
    with patch.object(codec_sndfile, "_decode", wraps=codec_sndfile._decode) as decode:
        recode(np.resize(NOISE, 10 * rate), rate, name, kbps)
    return decode.call_args.args[0]


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("kbps", CODECS["mp3"].kbps)
def test_bits_of_an_mp3(rate: int, kbps: float) -> None:
    assert 8 * len(encoded("mp3", kbps, rate)) / 1000 / 10 == pytest.approx(kbps, rel=0.04)


@pytest.mark.parametrize("kbps", CODECS["vorbis"].kbps)
def test_bits_in_the_header_of_a_vorbis_file(kbps: float) -> None:
    data = encoded("vorbis", kbps)
    nominal = data.index(b"\x01vorbis") + 20  # Vorbis I specification, 4.2.2
    assert int.from_bytes(data[nominal : nominal + 4], "little") == pytest.approx(1000 * kbps, rel=1e-3)


@pytest.mark.parametrize("kbps", CODECS["opus"].kbps)
def test_bits_of_an_opus_file(kbps: float) -> None:
    assert 8 * len(encoded("opus", kbps)) / 1000 / 10 == pytest.approx(kbps, rel=0.2)


def job(name: str) -> np.ndarray:
    return recode(SPEECH[:RATE], RATE, name)


def test_the_same_again_in_threads_and_in_forked_processes() -> None:
    names = 4 * NAMES
    expected = [job(name) for name in NAMES]
    with ThreadPoolExecutor(4) as threads:
        in_threads = list(threads.map(job, names))
    with multiprocessing.get_context("fork").Pool(2) as processes:
        in_processes = processes.map(job, names, chunksize=1)
    for found in (in_threads, in_processes):
        for number, wave in enumerate(found):
            assert np.array_equal(wave, expected[number % len(NAMES)])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@usual
def test_samples_that_are_no_numbers(name: str, bad: float) -> None:
    wave = NOISE.copy()
    wave[7] = bad
    with pytest.raises(AudioError, match=f"codec {name} was given NaN or infinite samples"):
        recode(wave, RATE, name)


def test_unknown_codecs_and_bit_rates() -> None:
    with pytest.raises(ConfigError, match="codec 'mp4' is not known; did you mean 'mp3'"):
        recode(NOISE, RATE, "mp4")
    with pytest.raises(ConfigError, match="mp3 at 31 kbit/s is not known; choose from: 16, 32, 64, 128"):
        recode(NOISE, RATE, "mp3", 31)


def test_without_av(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    lacking = [name for name, codec in CODECS.items() if codec.lacking]
    assert lacking == ["aac", "amr-nb", "g722"]
    for name in lacking:
        with pytest.raises(ConfigError, match=f"codec {name}: it needs a package: pip install 'dfad\\[formats\\]'"):
            recode(NOISE, RATE, name)
    assert recode(NOISE, RATE, "opus").shape == NOISE.shape


def test_an_ffmpeg_without_an_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = replace(CODECS["amr-nb"], encoder="lib_that_nobody_built")
    monkeypatch.setattr("dfad.effects.codecs.CODECS", {**CODECS, "amr-nb": bare})
    with pytest.raises(ConfigError, match="codec amr-nb: the FFmpeg of PyAV here has no encoder lib_that_nobody_built"):
        recode(NOISE, RATE, "amr-nb")
    assert not any(codec.lacking for codec in CODECS.values())


def test_codecs_do_not_chatter(capfd: pytest.CaptureFixture[str]) -> None:
    for name, kbps in ALL:
        recode(SPEECH[:100], RATE, name, kbps)
    assert capfd.readouterr() == ("", "")
