"""What is measured of a clip is what was put into it."""

from __future__ import annotations

import numpy as np
import pytest

from dfad.audit.traits import bits, cutoff, digital_silence, measure, noise_floor, speech
from dfad.corpora.voices import draw_voice, utter
from tests.spectra import low_passed

RATE = 16_000


def noise(seconds: float, rms: float = 0.1, seed: int = 0) -> np.ndarray:
    return (rms * np.random.default_rng(seed).normal(size=round(seconds * RATE))).astype(np.float32)


def voice(seconds: float = 2.0, seed: int = 0) -> np.ndarray:
    return utter(draw_voice(seed), (seed, 1), seconds)


@pytest.mark.parametrize("floor_db", [-200, -80, -30])
@pytest.mark.parametrize("lead", [0.0, 0.3, 1.1])
@pytest.mark.parametrize("trail", [0.0, 0.5])
def test_speech_is_found_between_silences(lead: float, trail: float, floor_db: float) -> None:
    floor = 0.1 * 10 ** (floor_db / 20)
    parts = [noise(lead, floor, 1), noise(0.8, 0.1, 2), noise(trail, floor, 3)]
    first, last = speech(np.concatenate(parts), RATE)
    assert first / RATE == pytest.approx(lead, abs=0.02)
    assert last / RATE == pytest.approx(lead + 0.8, abs=0.02)


def test_a_click_is_no_speech() -> None:
    wave = np.concatenate((np.zeros(RATE // 2, np.float32), noise(0.5)))
    wave[1000:1010] = 0.5
    assert speech(wave, RATE)[0] == pytest.approx(RATE // 2, abs=320)


@pytest.mark.parametrize("wave", [np.zeros(8000, np.float32), np.full(8000, 0.5, np.float32), noise(0.01), noise(1.0)])
def test_where_nothing_stands_out_all_counts(wave: np.ndarray) -> None:
    assert speech(wave, RATE) == (0, len(wave))


def test_a_gain_moves_no_edge_of_speech() -> None:
    wave = np.concatenate((noise(0.4, 1e-4), voice(1.0), noise(0.2, 1e-4)))
    assert speech(wave, RATE) == speech((0.01 * wave).astype(np.float32), RATE)


@pytest.mark.parametrize("edge", [2000.0, 3500.0, 6000.0])
def test_the_cut_off_is_where_a_filter_ends(edge: float) -> None:
    assert cutoff(low_passed(noise(2.0), edge), RATE) == pytest.approx(edge, abs=300)


def test_a_full_band_ends_at_half_the_rate() -> None:
    assert cutoff(noise(2.0), RATE) == RATE / 2
    assert cutoff(np.zeros(RATE, np.float32), RATE) == RATE / 2


def test_the_rounding_of_16_bits_fills_no_band() -> None:
    wave = np.rint(low_passed(noise(2.0, 0.02), 3000.0) * 32768) / np.float32(32768)
    assert cutoff(wave.astype(np.float32), RATE) < 3500


@pytest.mark.parametrize("snr", [12.0, 18.0, 25.0])  # the voice breathes some 35 dB below its level
@pytest.mark.parametrize("seed", range(3))
def test_the_noise_floor_under_a_voice_is_the_noise_that_was_added(snr: float, seed: int) -> None:
    wave = voice(2.0, seed)
    noisy = (wave + noise(2.0, float(np.std(wave)) * 10 ** (-snr / 20), seed)).astype(np.float32)
    assert measure(noisy, len(noisy), RATE).floor_db == pytest.approx(-snr, abs=3.5)


def test_the_floor_of_mere_noise_is_the_noise() -> None:
    floor = noise_floor(noise(4.0), RATE)
    assert 10 * np.log10(floor.sum()) == pytest.approx(0, abs=0.5)
    assert np.ptp(10 * np.log10(floor[10:-10])) < 6


@pytest.mark.parametrize("count", [8, 9, 12, 16])
def test_bits_are_counted(count: int) -> None:
    steps = np.rint(noise(0.5) * 2 ** (count - 1)) / 2 ** (count - 1)
    assert bits(steps.astype(np.float32)) == count


def test_finer_samples_count_as_24_bits() -> None:
    assert bits(noise(0.5)) == 24


def test_digital_silence_is_a_run_of_zeros() -> None:
    wave = noise(1.0)
    wave[2000:6000] = 0
    wave[9000:9005] = 0  # a crossing
    assert digital_silence(wave, RATE) == 4000 / RATE


def test_all_traits_of_a_clip() -> None:
    wave = np.concatenate((noise(0.25, 1e-4), noise(0.6, 0.1), noise(0.15, 1e-4))) + np.float32(0.02)
    found = measure(wave, 2 * RATE, RATE)
    assert (found.lead_s, found.trail_s) == (pytest.approx(0.25, abs=0.02), pytest.approx(0.15, abs=0.02))
    assert (found.length_s, found.speech_s) == (1.0, pytest.approx(0.6, abs=0.03))
    rms = np.std(wave)
    assert found.rms_db == pytest.approx(20 * np.log10(rms), abs=1e-4)
    assert found.dc == pytest.approx(0.02 / rms, rel=0.05)
    assert found.dc_db == pytest.approx(20 * np.log10(abs(found.dc)))
    assert found.crest_db == pytest.approx(20 * np.log10(np.abs(wave - wave.mean()).max() / rms), abs=1e-3)


def test_a_clip_that_goes_on_has_no_silence_at_its_end() -> None:
    wave = np.concatenate((noise(0.8), noise(0.4, 1e-5), noise(2.0)))
    found = measure(wave, RATE, RATE)
    assert (found.trail_s, found.length_s) == (0.0, 1.0)
    assert found.speech_s == pytest.approx(3.2, abs=0.02)


@pytest.mark.parametrize("wave", [np.zeros(1600, np.float32), np.eye(1, 1600, 5, dtype=np.float32)[0], noise(0.1, 1.0)])
@pytest.mark.parametrize("rate", [4000, 16_000, 96_000])
def test_every_clip_has_finite_traits(wave: np.ndarray, rate: int) -> None:
    found = measure(wave, 800, rate)
    assert all(np.isfinite(value).all() for value in vars(found).values())
