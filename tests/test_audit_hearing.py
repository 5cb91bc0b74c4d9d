"""What the audit measures of a clip is physics: each thing that is done to a clip moves its own numbers only."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from scipy import signal

from dfad.audio import load
from dfad.audit.features import FEATURES
from dfad.audit.hearing import RATE, Hearing, Stored
from dfad.audit.measure import NUMBERS, facts_of, stored_as
from dfad.corpora.voices import draw_voice, utter
from dfad.errors import AudioError
from dfad.wav import AudioInfo


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """Two seconds of a voice in a little noise, faded in and out."""
    noise = 3e-5 * np.random.default_rng(0).normal(size=2 * RATE)
    return ((utter(draw_voice(1), 2, 2.0) + noise) * signal.windows.tukey(2 * RATE, 0.05)).astype(np.float32)


def hear(wave: np.ndarray, block: int = 10**9) -> dict[str, float]:
    hearing, stored = Hearing(), Stored()
    for start in range(0, len(wave), block):
        hearing(wave[start : start + block].astype(np.float32))
        stored(wave[start : start + block, None])
    return hearing.facts() | stored.facts()


def moved(before: dict[str, float], after: dict[str, float], least: float = 0.02) -> set[str]:
    """The names of facts that differ by more than a little."""
    return {name for name in before if abs(after[name] - before[name]) > least * max(1.0, abs(before[name]))}


@pytest.mark.parametrize("block", [1, 37, 160, 5000])
def test_blocks_of_any_size_give_the_same(speech: np.ndarray, block: int) -> None:
    wave = speech[: RATE // 2]
    assert hear(wave, block) == pytest.approx(hear(wave), abs=1e-4)


def test_a_gain_moves_the_level_alone(speech: np.ndarray) -> None:
    before, after = hear(speech), hear(0.1 * speech)
    assert moved(before, after) == {"rms", "peak"}
    assert after["rms"] - before["rms"] == pytest.approx(-20, abs=0.01)


def test_a_gain_on_sixteen_bits_moves_the_level_alone(speech: np.ndarray) -> None:
    before, after = (hear(np.round(32768 * gain * speech) / 32768) for gain in (1.0, 0.1))
    assert moved(before, after) <= {"rms", "peak", "zeros"}


@pytest.mark.parametrize(("start", "end"), [(0.4, 0.0), (0.0, 0.3)])
def test_silence_moves_the_timing_alone(speech: np.ndarray, start: float, end: float) -> None:
    before, after = hear(speech), hear(np.pad(speech, (round(start * RATE), round(end * RATE))))
    assert after["leading_silence"] - before["leading_silence"] == pytest.approx(start, abs=0.011)
    assert after["trailing_silence"] - before["trailing_silence"] == pytest.approx(end, abs=0.011)
    assert moved(before, after) <= {"duration", "leading_silence", "trailing_silence"}


def test_a_pause_is_told_by_its_length() -> None:
    tone = 0.1 * np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE)
    found = hear(np.concatenate((tone, np.zeros(RATE), tone)))
    assert found["pauses"] == pytest.approx(1 / 3, abs=0.01)
    assert (found["leading_silence"], found["trailing_silence"]) == (0, 0)
    assert found["zeros"] == pytest.approx(1 / 3, abs=0.01)


def test_an_offset_moves_the_offset_alone(speech: np.ndarray) -> None:
    before, after = hear(speech), hear(speech + 0.01)
    assert moved(before, after) == {"offset"}
    assert after["offset"] == pytest.approx(-40 - before["rms"], abs=0.2)


@pytest.mark.parametrize("hertz", [3000, 5000, 6500])
def test_a_cliff_is_found_where_it_is(hertz: int) -> None:
    noise = 0.1 * np.random.default_rng(0).normal(size=3 * RATE)
    found = hear(signal.sosfiltfilt(signal.butter(20, hertz, fs=RATE, output="sos"), noise))
    assert found["cut_off"] == pytest.approx(hertz, abs=300)
    assert found["bandwidth"] == pytest.approx(hertz, rel=0.2)
    assert found["roll_off"] == pytest.approx(0.95 * hertz, rel=0.05)
    assert hear(noise)["cut_off"] == RATE / 2


def test_energies_are_those_of_white_noise() -> None:
    found = hear(0.1 * np.random.default_rng(1).normal(size=3 * RATE))
    assert found["above_4k"] == pytest.approx(10 * np.log10(1 / 2), abs=0.1)
    assert found["above_6k"] == pytest.approx(10 * np.log10(1 / 4), abs=0.1)
    assert found["rms"] == pytest.approx(-20, abs=0.1)


def test_noise_below_the_speech_is_the_noise_floor(speech: np.ndarray) -> None:
    pause = np.concatenate((speech, np.zeros(RATE // 2, np.float32), speech))
    noise = np.random.default_rng(2).normal(size=len(pause))
    for level in (-66, -60, -54, -48):
        found = hear(pause + 10 ** (level / 20) * noise)
        assert found["noise_floor"] == pytest.approx(level - found["rms"], abs=0.4)


def test_full_scale_is_clipped(speech: np.ndarray) -> None:
    loud = np.clip(20 * speech, -1, 1)
    assert hear(loud)["clipped"] == pytest.approx(np.mean(np.abs(loud) >= 0.999))
    assert hear(speech)["clipped"] == 0


@pytest.mark.parametrize("wave", [np.zeros(RATE), np.full(RATE, 1e-7), np.zeros(1700)])
def test_a_clip_without_sound(wave: np.ndarray) -> None:
    found = hear(wave)
    assert found["leading_silence"] == found["trailing_silence"] == found["duration"] == len(wave) / RATE
    assert found["rms"] == -100
    assert "above_4k" not in found


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100])
def test_a_file_is_heard_as_detectors_load_it(tmp_path: Path, speech: np.ndarray, rate: int) -> None:
    path = tmp_path / "clip.wav"
    stereo = signal.resample_poly(np.stack((speech, 0.5 * speech), axis=1), rate, RATE)
    soundfile.write(path, stereo, rate, subtype="FLOAT")
    values, _, form = facts_of(path)
    found, loaded = dict(zip(NUMBERS, values, strict=True)), hear(load(path, sample_rate=RATE))
    assert form == "WAV FLOAT"
    assert (found["rate"], found["channels"], found["bits"]) == (rate, 2, 32)
    for name in loaded.keys() - {"zeros", "clipped"}:
        assert found[name] == pytest.approx(loaded[name], rel=1e-3, abs=1e-3), name


def test_the_same_samples_in_another_container_are_the_same_content(tmp_path: Path, speech: np.ndarray) -> None:
    places = [
        (tmp_path / name, more) for name, more in (("a.wav", {}), ("b.flac", {}), ("c.wav", {"subtype": "PCM_24"}))
    ]
    for path, more in places:
        soundfile.write(path, np.round(32768 * speech) / 32768, RATE, **more)
    soundfile.write(tmp_path / "d.wav", np.round(32768 * speech) / 32768, RATE // 2)
    marks = [facts_of(path)[1] for path, _ in places]
    assert len(set(marks)) == 1
    assert facts_of(tmp_path / "d.wav")[1] not in marks


STORED: list[tuple[AudioInfo, int, dict[str, Any]]] = [
    (AudioInfo(32000, 16000, 1, "WAV PCM_16"), 64_044, {"bits": 16, "lossy": 0, "bytes_per_s": 32_000}),
    (AudioInfo(32000, 16000, 1, "FLAC PCM_16"), 30_000, {"bits": 16, "lossy": 0, "bytes_per_s": 32_000}),
    (AudioInfo(96000, 48000, 2, "WAV PCM_24"), 576_044, {"bits": 24, "channels": 2, "bytes_per_s": 288_000}),
    (AudioInfo(32000, 16000, 1, "MP3 MPEG_LAYER_III"), 16_384, {"lossy": 1, "bytes_per_s": 8192}),
    (AudioInfo(32000, 16000, 1, "MP3 MPEG_LAYER_III"), 16_900, {"lossy": 1, "bytes_per_s": 8192}),
    (AudioInfo(32000, 16000, 1, "flac flac"), 30_000, {"lossy": 0}),
    (AudioInfo(32000, 16000, 1, "WAV ULAW"), 32_044, {"lossy": 1}),
]


@pytest.mark.parametrize(("info", "size", "expected"), STORED, ids=lambda it: getattr(it, "format", ""))
def test_how_a_file_is_stored(info: AudioInfo, size: int, expected: dict[str, Any]) -> None:
    found = stored_as(info, size, info.frames)
    assert {name: found[name] for name in expected} == expected


def test_every_number_is_a_feature(tmp_path: Path, speech: np.ndarray) -> None:
    soundfile.write(tmp_path / "a.wav", speech, RATE)
    values = dict(zip(NUMBERS, facts_of(tmp_path / "a.wav")[0], strict=True))
    assert not [name for name, value in values.items() if np.isnan(value)]
    assert set(NUMBERS) | {"format", "name"} == set(FEATURES)


def test_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    noise = 0.1 * np.random.default_rng(0).normal(size=30 * RATE)
    most = []
    for name, times in (("a.wav", 1), ("b.wav", 12)):
        with soundfile.SoundFile(tmp_path / name, "w", RATE, 1) as file:
            for _ in range(times):
                file.write(noise)
        tracemalloc.start()
        facts_of(tmp_path / name)
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert most[1] < most[0] + 1_000_000  # 330 s more would be 21 MB


def test_damage_is_told(tmp_path: Path, speech: np.ndarray) -> None:
    soundfile.write(tmp_path / "a.wav", speech, RATE)
    data = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioError, match="truncated"):
        facts_of(tmp_path / "a.wav", expected_s=2.0)
