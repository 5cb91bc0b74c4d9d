"""A treatment gives a clip the value that it should have, and moves nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dfad.audit.neutralise import band_limited, levelled, noise_like, requantised, timed, with_dc, with_floor
from dfad.audit.traits import Traits, bits, cutoff, digital_silence, measure, noise_floor, speech
from dfad.audit.treatments import GROUPS, Neutral, Source
from tests.spectra import amplitude, low_passed
from tests.test_traits import RATE, noise, voice


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def clip(seed: int, *, lead: float = 0.2, gain: float = 1.0) -> np.ndarray:
    """A voice behind silence, at 16 bits."""
    wave = np.concatenate((noise(lead, 1e-4, seed), voice(1.5, seed), noise(0.2, 1e-4, seed + 50)))
    return (np.rint(gain * wave * 32768) / 32768).astype(np.float32)


# --- level and DC ----------------------------------------------------------------------------------


@pytest.mark.parametrize("gain", [0.001, 0.1, 1.0])
def test_every_clip_gets_the_same_level_and_only_that(gain: float) -> None:
    wave = clip(1, gain=1.0) * np.float32(gain)
    found = levelled(wave, -30.0)
    assert 20 * np.log10(np.std(found)) == pytest.approx(-30.0, abs=1e-4)
    assert np.corrcoef(found, wave)[0, 1] == pytest.approx(1.0, abs=1e-6)
    assert levelled(found, -30.0) == pytest.approx(found, rel=1e-5)


def test_a_silent_clip_keeps_its_level() -> None:
    assert (levelled(np.zeros(100, np.float32), -20.0) == 0).all()


@pytest.mark.parametrize("ratio", [0.0, 0.25, -0.5])
def test_dc_is_a_ratio_to_the_rms(ratio: float) -> None:
    wave = clip(1) + np.float32(0.03)
    found = with_dc(wave, ratio)
    assert found.mean() / np.std(found) == pytest.approx(ratio, abs=1e-4)
    assert np.std(found) == pytest.approx(np.std(wave), rel=1e-5)
    assert with_dc(found, ratio) == pytest.approx(found, abs=1e-6)


# --- band ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
@pytest.mark.parametrize("edge", [1000.0, 3000.0])
def test_tones_below_the_cut_off_pass_in_step_and_tones_above_are_gone(rate: int, edge: float) -> None:
    time = np.arange(rate) / rate
    for hertz, kept in ((edge / 2, 1.0), (edge - 10, 1.0), (edge + 170, 0.0), (min(1.5 * edge, rate / 2 - 100), 0.0)):
        wave = np.cos(2 * np.pi * hertz * time).astype(np.float32)
        assert abs(amplitude(band_limited(wave, rate, edge), hertz, rate) - kept) < 2e-3, hertz


def test_a_band_is_cut_at_80_db() -> None:
    wave = noise(2.0)
    above = np.abs(np.fft.rfft(band_limited(wave, RATE, 3000.0) * np.hanning(len(wave))))[2 * 3200 :]
    assert 20 * np.log10(above.max() / np.abs(np.fft.rfft(wave * np.hanning(len(wave)))).mean()) < -65


@pytest.mark.parametrize("seed", range(3))
def test_cut_offs_are_then_the_same(seed: int) -> None:
    found = band_limited(clip(seed), RATE, 3000.0)
    assert cutoff(found, RATE) == pytest.approx(3000, abs=200)
    again = band_limited(found, RATE, 3000.0)
    assert np.std(again - found) < 0.03 * np.std(found)  # what lies within the slope is halved once more


def test_a_narrower_clip_stays_as_it_is() -> None:
    wave = low_passed(noise(1.0), 2000.0)
    inner = slice(1000, -1000)
    assert band_limited(wave, RATE, 3000.0)[inner] == pytest.approx(wave[inner], abs=1e-4)


@pytest.mark.parametrize("edge", [7900.0, 8000.0])
def test_a_full_band_is_not_cut(edge: float) -> None:
    wave = noise(0.5)
    assert band_limited(wave, RATE, edge) is wave


# --- timing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lead", [0.0, 0.1, 0.7])
def test_silence_goes_and_speech_stays(lead: float) -> None:
    wave = clip(2, lead=lead)
    found = timed(wave, RATE, length=len(wave))
    assert speech(found, RATE)[0] / RATE < 0.03
    assert speech(found, RATE)[1] > len(found) - 0.03 * RATE
    first, last = speech(wave, RATE)
    assert (found == wave[first:last]).all()
    again = timed(found, RATE, length=len(found))
    assert len(found) - len(again) < 0.05 * RATE


def test_every_clip_gets_the_same_stretch_of_speech() -> None:
    found = {len(timed(clip(seed, lead=0.1 * seed), RATE, length=RATE)) for seed in range(4)}
    assert found == {RATE}


@pytest.mark.parametrize(("lead", "trail"), [(0.3, 0.0), (0.1, 0.4), (0.0, 0.2)])
def test_new_silence_is_as_long_as_asked_for_and_as_loud_as_the_floor(lead: float, trail: float) -> None:
    wave = clip(3)
    found = timed(
        wave, RATE, length=round(1.5 * RATE), lead=round(lead * RATE), trail=round(trail * RATE), random=random()
    )
    first, last = speech(found, RATE)
    assert len(found) == round(1.5 * RATE)
    assert first / RATE == pytest.approx(lead, abs=0.03)
    assert (len(found) - last) / RATE == pytest.approx(trail, abs=0.1)  # the speech may be cut at a pause
    silence = found[: round(lead * RATE)] if lead else found[-round(trail * RATE) :]
    assert 20 * np.log10(np.std(silence)) < 20 * np.log10(np.std(wave)) - 30
    assert np.std(silence) > 0


def test_silence_never_takes_all_of_a_clip() -> None:
    assert len(timed(clip(1), RATE, length=100, lead=500, trail=500, random=random())) == 100


# --- noise floor -----------------------------------------------------------------------------------


def test_noise_has_the_spectrum_that_it_should_have() -> None:
    wanted = noise_floor(low_passed(noise(4.0, 0.2), 3000.0), RATE) * 0.01
    found = noise_like(wanted, 4 * RATE, random()).astype(np.float32)
    assert np.mean(found**2) == pytest.approx(wanted.sum(), rel=0.05)
    both = noise_floor(found, RATE) * np.mean(found**2)
    assert 10 * np.log10(both[5:85] / wanted[5:85]) == pytest.approx(np.zeros(80), abs=2.5)


@pytest.mark.parametrize("seed", range(3))
def test_a_softer_floor_is_raised_and_a_louder_one_stays(seed: int) -> None:
    wanted = noise_floor(noise(4.0), RATE) * 10 ** (-25 / 10)
    wave = low_passed(voice(2.0, seed), 7900.0)
    raised = with_floor(wave, RATE, wanted, random(seed))
    assert measure(raised, len(raised), RATE).floor_db == pytest.approx(-25, abs=3.5)
    loud = (wave + noise(2.0, float(np.std(wave)) * 0.3, seed)).astype(np.float32)
    change = np.std(with_floor(loud, RATE, wanted, random(seed)) - loud)
    assert change < 0.01 * np.std(wave)


def test_no_noise_comes_into_an_empty_band() -> None:
    wave = low_passed(voice(2.0), 3000.0)
    found = with_floor(wave, RATE, np.full(257, 1e-3 / 257), random())
    assert np.std(found - wave) > 0.005 * np.std(wave)
    assert cutoff(found, RATE) < 3600


# --- container -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [8, 12, 16])
def test_samples_lie_on_a_grid_within_full_scale(count: int) -> None:
    found = requantised(noise(1.0, 0.6), count)
    assert bits(found) <= count
    assert found.min() >= -1
    assert found.max() < 1
    assert (requantised(found, count) == found).all()


def test_dither_ends_digital_silence_and_is_not_heard() -> None:
    wave = clip(1)
    wave[:3000] = 0
    found = requantised(wave, 16, random())
    assert digital_silence(wave, RATE) > 0.05
    assert digital_silence(found, RATE) == 0
    assert np.std(found - wave) < 1.5 / 32768


# --- all of them -----------------------------------------------------------------------------------

NEUTRAL = Neutral(speech_s=0.8, rms_db=-28.0, cutoff_hz=4000.0, floor=np.full(257, 1e-3 / 257), floor_db=-30.0, bits=16)
CROP = RATE
MOVED: dict[str, dict[str, float]] = {  # by how much a treatment may move what belongs to other groups
    "timing": {"dc": 0.01},
    "level": {"lead_s": 0, "trail_s": 0, "cutoff_hz": 0, "floor_db": 0.01, "dc": 1e-5},
    "dc": {"lead_s": 0, "trail_s": 0, "cutoff_hz": 0, "floor_db": 0.01, "rms_db": 1e-4},
    "band": {"lead_s": 0.05, "trail_s": 0.05, "rms_db": 0.5, "dc": 0.01},
    "noise": {"lead_s": 0.05, "trail_s": 0.05, "rms_db": 0.1, "dc": 0.01},
    "container": {"lead_s": 0.02, "trail_s": 0.02, "rms_db": 0.01, "dc": 0.001, "cutoff_hz": 200, "floor_db": 1.0},
}


@pytest.mark.parametrize("name", GROUPS)
@pytest.mark.parametrize("seed", range(3))
def test_a_treatment_moves_nothing_of_other_groups(name: str, seed: int) -> None:
    wave = (clip(seed, gain=0.5) + noise(1.9, 1e-4, seed + 9))[:CROP]
    before = measure(wave, CROP, RATE)
    treated = GROUPS[name].same(Source(wave, CROP, RATE), NEUTRAL, random(seed))
    after = measure(treated, CROP, RATE)
    for trait, most in MOVED[name].items():
        assert abs(getattr(after, trait) - getattr(before, trait)) <= most, trait


@pytest.mark.parametrize(
    ("name", "trait", "within"),
    [("timing", "lead_s", 0.05), ("level", "rms_db", 1e-3), ("dc", "dc", 1e-4), ("band", "cutoff_hz", 320)],
)
def test_clips_of_the_other_class_get_the_same_value(name: str, trait: str, within: float) -> None:
    waves = [clip(1, lead=0.0), clip(2, lead=0.5, gain=0.2) + np.float32(0.005), clip(3, lead=0.3, gain=0.7)]
    found = [
        getattr(measure(GROUPS[name].same(Source(wave, CROP, RATE), NEUTRAL, random()), CROP, RATE), trait)
        for wave in waves
    ]
    assert np.ptp(found) <= within


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("timing", {"lead_s": 0.4}),
        ("level", {"rms_db": -40.0}),
        ("dc", {"dc": 0.3}),
        ("band", {"cutoff_hz": 3000.0}),
        ("container", {"bits": 9}),
    ],
)
def test_a_dealt_value_is_that_of_the_other_clip(name: str, change: dict[str, Any]) -> None:
    wave = clip(4)
    other = replace(measure(clip(5), CROP, RATE), **change)
    found = measure(GROUPS[name].swap(Source(wave, CROP, RATE), other, random()), CROP, RATE)
    for trait, value in change.items():
        assert getattr(found, trait) == pytest.approx(value, rel=0.07)


@pytest.mark.parametrize("name", GROUPS)
@pytest.mark.parametrize(
    "wave",
    [np.zeros(3000, np.float32), np.eye(1, 3000, 7, dtype=np.float32)[0], noise(0.1, 2.0), noise(3.0, 1e-6)],
    ids=["silence", "click", "loud and short", "next to nothing"],
)
def test_any_clip_can_be_treated(name: str, wave: np.ndarray) -> None:
    source = Source(wave, CROP, RATE)
    others: list[Traits] = [measure(clip(1), CROP, RATE), measure(np.zeros(CROP, np.float32), CROP, RATE)]
    group = GROUPS[name]
    for found in (group.same(source, NEUTRAL, random()), *(group.swap(source, of, random()) for of in others)):
        assert found.shape == (CROP,)
        assert found.dtype == np.float32
        assert np.isfinite(found).all()


def test_common_values_weigh_the_classes_alike() -> None:
    one = measure(clip(1), CROP, RATE)
    narrow, wide = replace(one, cutoff_hz=4000.0, rms_db=-20.0), replace(one, cutoff_hz=8000.0, rms_db=-20.0)
    for narrows, wides in ((2, 50), (50, 2)):
        traits, labels = [narrow] * narrows + [wide] * wides, [1] * narrows + [0] * wides
        assert Neutral.of(traits, labels, 1.0).cutoff_hz == 4000


def test_the_common_level_leaves_room_for_peaks() -> None:
    spiky = replace(measure(clip(1), CROP, RATE), rms_db=-15.0, crest_db=24.0)
    assert Neutral.of([spiky, spiky], [0, 1], 1.0).rms_db == -24
    assert Neutral.of([replace(spiky, crest_db=12.0)] * 2, [0, 1], 1.0).rms_db == -15
