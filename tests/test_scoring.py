"""Clips of any length: which windows are heard, what becomes of their scores, and what is told besides."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import soxr
import torch
from scipy.signal import butter, sosfiltfilt

import dfad
from dfad.checkpoint import Checkpoint
from dfad.deployed import Deployed
from dfad.errors import AudioError, ConfigError
from dfad.frontends import CQTKnobs, LogMelKnobs
from dfad.scorer import Scorer
from dfad.scoring.aggregate import aggregation
from dfad.scoring.ahead import ahead
from dfad.scoring.familiar import BANDS, SHARE, Familiar, features
from dfad.scoring.options import ScoringKnobs
from dfad.scoring.reader import Reader
from dfad.scoring.sound import Listener, Sound
from dfad.scoring.warnings import Hears, warnings_of
from dfad.scoring.windows import Cutter
from dfad.training.config import TrainConfig
from dfad.training.fit import train
from dfad.training.scoring import SILENT
from tests.conftest import write_corpus
from tests.hostile import flac_of_length, speech
from tests.test_scorer import KNOBS, RATE, content, noise

CROP = KNOBS.frontend.crop_samples


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scoring") / "best.ckpt"
    torch.save(content(), path)
    return path


@pytest.fixture
def scorer(checkpoint: Path) -> Scorer:
    return dfad.load(checkpoint)


# --- windows -------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 7, 8, 9, 12, 16, 17, 100])
@pytest.mark.parametrize("hop", [1, 3, 4, 8])
def test_windows_cover_a_stream_whatever_its_blocks(samples: int, hop: int) -> None:
    wave, size = np.arange(samples, dtype=np.float32), 8
    found = []
    for block in (1, 5, 8, 64):
        cutter = Cutter(size, hop)
        parts = [piece for start in range(0, samples, block) for piece in cutter(wave[start : start + block])]
        assert len(cutter.rest) <= size + block
        found.append([*parts, *cutter.last()])
    for pieces in found:
        assert [start for start, _ in pieces] == [start for start, _ in found[0]]
        for start, piece in pieces:
            np.testing.assert_array_equal(
                piece, np.resize(wave, size) if samples < size else wave[start : start + size]
            )
    starts = [start for start, _ in found[0]]
    assert starts[:-1] == [hop * number for number in range(len(starts) - 1)]
    assert starts[-1] == max(0, samples - size)  # the last one ends where the clip does
    assert not any(start + size > samples for start in starts[:-1])


def test_a_hop_that_leaves_gaps_is_refused(scorer: Scorer) -> None:
    with pytest.raises(ConfigError, match=r"a hop of 0\.6 s leaves gaps between windows of 0\.5 s"):
        scorer(noise(), RATE, hop_s=0.6)
    with pytest.raises(ConfigError, match="hop_s"):
        scorer(noise(), RATE, hop_s=0)
    with pytest.raises(ConfigError, match="did you mean 'mean'"):
        scorer(noise(), RATE, aggregate="meen")


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_a_stream_is_resampled_as_a_whole_file_is(tmp_path: Path, rate: int) -> None:
    wave = np.stack([speech(21, rate), -0.5 * speech(21, rate)], 1)
    soundfile.write(tmp_path / "x.wav", wave, rate, subtype="FLOAT")
    frontend = LogMelKnobs(crop_s=0.5)
    pieces = list(Reader(tmp_path / "x.wav", frontend, ScoringKnobs(hop_s=0.5)))
    mono = wave.astype(np.float32).mean(axis=1, dtype=np.float32)
    expected = mono if rate == RATE else soxr.resample(mono, rate, RATE, quality="HQ")
    assert len(pieces) == 42
    for start, piece in pieces:
        np.testing.assert_allclose(piece, expected[start : start + CROP], atol=1e-6)


def test_every_window_is_scored_as_if_it_were_alone(scorer: Scorer) -> None:
    wave = noise(30_000)
    result = scorer(wave, RATE)
    starts = [0, 4000, 8000, 12000, 16000, 20000, 22000]
    assert [round(window.start_s * RATE) for window in result.windows] == starts
    assert [round(window.end_s * RATE) for window in result.windows] == [start + CROP for start in starts]
    alone = [scorer(wave[start : start + CROP], RATE).score for start in starts]
    np.testing.assert_allclose([window.score for window in result.windows], alone, atol=1e-5)
    assert result.raw_score == pytest.approx(np.mean(alone), abs=1e-5)
    assert result.duration_s == pytest.approx(30_000 / RATE)
    assert scorer(wave, RATE, aggregate="max").score == pytest.approx(min(alone), abs=1e-5)
    assert scorer(wave, RATE, aggregate="top-2").score == pytest.approx(np.mean(sorted(alone)[:2]), abs=1e-5)
    assert scorer(wave, RATE, first=True).score == pytest.approx(alone[0], abs=1e-5)
    assert (scorer(wave, RATE, aggregate="max").aggregation, scorer(wave, RATE, first=True).aggregation) == (
        "max",
        "first",
    )


def test_a_clip_of_one_window_is_heard_as_evaluation_hears_it(scorer: Scorer, tmp_path: Path) -> None:
    for seconds, rate in ((0.5, RATE), (0.3, 44100), (0.5, 22050), (0.11, 8000)):
        soundfile.write(tmp_path / "x.flac", speech(seconds, rate), rate)
        whole, first = scorer(tmp_path / "x.flac"), scorer(tmp_path / "x.flac", first=True)
        assert whole.raw_score == first.raw_score
        assert len(whole.windows) == 1
        assert whole.windows[0].end_s == pytest.approx(seconds, abs=1e-3)


def test_the_most_spoofed_window_finds_a_short_fake(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    def loud_is_fake(wave: torch.Tensor) -> torch.Tensor:
        return 3.0 - 10 * (wave.abs().amax(-1) > 0.9)

    monkeypatch.setattr(scorer, "score", loud_is_fake)
    wave = np.zeros(10 * RATE, np.float32)
    wave[5 * RATE] = 0.95
    assert scorer(wave, RATE).verdict == "bona-fide"
    result = scorer(wave, RATE, aggregate="max")
    assert result.verdict == "spoof"
    assert [window.start_s for window in result.windows if window.p_spoof > 0.5] == [4.75, 5.0]


@pytest.mark.parametrize(
    ("name", "expected"), [("mean", 2.5), ("max", 1.0), ("top-1", 1.0), ("top-3", 2.0), ("top-9", 2.5)]
)
def test_aggregations(name: str, expected: float) -> None:
    assert aggregation(name)(np.array([3.0, 1.0, 4.0, 2.0])) == expected


@pytest.mark.parametrize("name", ["", "median", "top", "top-0", "top--1", "top-²", "top-99999999"])
def test_aggregations_that_there_are_not(name: str) -> None:
    with pytest.raises(ConfigError, match="aggregate"):
        ScoringKnobs.read({"aggregate": name})


def test_lengths_beyond_the_limit_are_refused_before_they_are_decoded(
    scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.flac").write_bytes(flac_of_length(13 * 3600 * RATE))
    monkeypatch.setattr(soundfile.SoundFile, "read", None)
    with pytest.raises(AudioError, match="46800 s long, at most 43200 s"):
        scorer(tmp_path / "x.flac")
    with pytest.raises(AudioError, match="46800 s long, at most 3600 s"):
        scorer(tmp_path / "x.flac", first=True, max_hours=1)


def test_a_file_longer_than_its_header_says_is_refused_on_the_way(
    scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfad.scoring.reader.decode", lambda path, limits: _endless())
    with pytest.raises(AudioError, match=r"longer than 0\.01 hours"):
        scorer(tmp_path / "x.aac", max_hours=0.01)


def _endless() -> Iterator[tuple[object, np.ndarray]]:
    class Info:
        sample_rate = RATE

    while True:
        yield Info(), np.zeros((RATE, 1), np.float32)


# --- many files ----------------------------------------------------------------------------------


def test_many_files_share_batches_and_keep_their_order(
    scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"{number}.wav" for number in range(30)]
    for number, path in enumerate(paths):
        if number % 7 == 3:
            path.write_text("no sound")
        else:
            soundfile.write(path, noise(3000 + 1700 * (number % 9), seed=number), RATE)
    alone = {path: scorer(path) for number, path in enumerate(paths) if number % 7 != 3}
    sizes: list[int] = []
    real = scorer.score
    monkeypatch.setattr(scorer, "score", lambda wave: sizes.append(len(wave)) or real(wave))
    for threads in (1, 3):
        sizes.clear()
        found = list(scorer.each(paths, threads=threads))
        assert [path for path, _ in found] == paths
        assert set(sizes[:-1]) == {16}
        for path, result in found:
            if path in alone:
                assert isinstance(result, dfad.Result)
                assert result.score == pytest.approx(alone[path].score, abs=1e-5)
                assert [window.start_s for window in result.windows] == [w.start_s for w in alone[path].windows]
            else:
                assert isinstance(result, AudioError)
                assert str(result).startswith(f"{path}: ")


def test_no_number_is_no_score(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorer, "score", lambda wave: torch.full((len(wave),), float("nan")))
    with pytest.raises(AudioError, match="gives no number"):
        scorer(noise(), RATE)


def test_streams_are_read_ahead_but_not_far() -> None:
    read = [0] * 20

    def stream(number: int) -> Iterator[int]:
        for item in range(50):
            read[number] += 1
            yield item

    for number, items in enumerate(ahead((stream(number) for number in range(20)), threads=2, kept=3)):
        assert next(items) == 0
        assert all(count <= 5 for count in read[number + 1 :])
        assert not any(read[number + 6 :])
        assert list(items) == list(range(1, 50))


def test_errors_come_where_the_stream_is_read_and_threads_end_with_the_reader() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("here")

    def endless() -> Iterator[int]:
        while True:
            yield 0

    streams = ahead(iter([broken(), endless(), endless()]), threads=2, kept=2)
    first = next(streams)
    assert next(first) == 1
    with pytest.raises(ValueError, match="here"):
        next(first)
    assert next(next(streams)) == 0
    streams.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


# --- what was heard ------------------------------------------------------------------------------


def heard(wave: np.ndarray, rate: int = RATE, block: int = 1000) -> Sound:
    listener = Listener(rate)
    for start in range(0, len(wave), block):
        part = wave[start : start + block].astype(np.float32)
        listener.stored(part[:, None])
        listener(part)
    return listener.sound(len(wave) / rate)


def low_passed(wave: np.ndarray, hertz: float, rate: int = RATE) -> np.ndarray:
    spectrum = np.fft.rfft(wave)
    spectrum[round(hertz * len(wave) / rate) :] = 0
    return np.fft.irfft(spectrum)


def test_level_and_bandwidth_are_those_of_the_sound() -> None:
    time = np.arange(2 * RATE) / RATE
    tone = heard(0.1 * np.sin(2 * np.pi * 1000 * time) + 0.3)  # an offset is no sound
    assert tone.level_db == pytest.approx(-23, abs=0.6)
    assert tone.bandwidth_hz < 1300
    white = np.random.default_rng(0).normal(size=4 * RATE)
    assert heard(0.01 * white).bandwidth_hz == RATE / 2
    for hertz in (1000, 3400, 6000):
        assert heard(low_passed(white, hertz)).bandwidth_hz == pytest.approx(hertz, abs=150)
    half = heard(np.concatenate([0.1 * white, 1e-5 * white]))
    assert half.silence == pytest.approx(0.5, abs=0.02)
    assert half.level_db == pytest.approx(-20, abs=0.6)


def test_blocks_make_no_difference() -> None:
    wave = speech(3)
    one, many = heard(wave, block=10**6), heard(wave, block=77)
    np.testing.assert_array_equal(one.levels, many.levels)
    np.testing.assert_allclose(one.spectrum, many.spectrum, rtol=1e-4)


def test_power_of_the_spectrum_is_that_of_the_sound() -> None:
    white = 0.1 * np.random.default_rng(0).normal(size=8 * RATE)
    found = heard(white)
    both_sides = 2 * found.spectrum[1:-1].sum() + found.spectrum[0] + found.spectrum[-1]
    assert both_sides == pytest.approx(0.01, rel=0.05)


PLANTED = {
    "short": speech(0.3),
    "clipped": np.clip(40 * speech(2), -1, 1),
    "silent": np.concatenate([speech(1), np.zeros(9 * RATE)]),
    "quiet": 0.004 * speech(2) / np.abs(speech(2)).max(),
    "band-limited": low_passed(speech(2), 3400),
}


def test_a_sound_clip_has_no_warning() -> None:
    assert warnings_of(heard(speech(2)), Hears(0.5, 8000)) == ()


@pytest.mark.parametrize("name", PLANTED)
def test_each_warning_for_what_it_is_about(name: str) -> None:
    assert [said.partition(":")[0] for said in warnings_of(heard(PLANTED[name]), Hears(0.5, 8000))] == [name]


def test_nothing_but_silence_is_called_so_once() -> None:
    for wave in (np.zeros(RATE), np.full(RATE, 0.5)):
        (said,) = warnings_of(heard(wave), Hears(0.5, 8000, familiar()))
        assert said.startswith("silent: nothing is louder")


def test_what_a_detector_does_not_hear_is_not_missed() -> None:
    narrow = heard(low_passed(speech(2), 3400))
    assert not warnings_of(narrow, Hears(0.5, LogMelKnobs(f_max=4000.0).top_hz))
    assert CQTKnobs(n_octaves=5).top_hz == 2000


# --- unlike training -----------------------------------------------------------------------------


def voices(count: int, seed: int) -> np.ndarray:
    """Features of so many noises, each with a colour and a loudness of its own. Shape: (count, bands)."""
    random = np.random.default_rng(seed)
    return np.stack([features(heard(voice(random))) for _ in range(count)])


def voice(random: np.random.Generator) -> np.ndarray:
    tilt, loud = random.uniform(-1.2, -0.4), random.uniform(0.01, 0.5)
    spectrum = np.fft.rfft(random.normal(size=RATE))
    spectrum[1:] *= np.arange(1, len(spectrum)) ** tilt
    wave = np.fft.irfft(spectrum)
    return loud * wave / np.abs(wave).max()


_fitted: list[Familiar] = []


def familiar() -> Familiar:
    if not _fitted:
        found = Familiar.fit(voices(150, 0), voices(150, 1))
        assert found
        _fitted.append(found)
    return _fitted[0]


def test_other_clips_of_the_kind_are_flagged_about_as_often_as_stated() -> None:
    hears, random = Hears(0.5, 8000, familiar()), np.random.default_rng(2)
    flagged = sum("unlike training" in "".join(warnings_of(heard(voice(random)), hears)) for _ in range(200))
    assert flagged <= 3 * SHARE * 200


def test_foreign_sound_is_flagged_whatever_its_level() -> None:
    random = np.random.default_rng(3)
    wave, time = voice(random), np.arange(RATE) / RATE
    band = butter(6, (300, 3400), "band", fs=RATE, output="sos")
    foreign = {
        "telephone": sosfiltfilt(band, wave),
        "tone": np.sin(2 * np.pi * 440 * time),
        "white": random.normal(size=RATE),
    }
    for name, one in foreign.items():
        distances = [familiar().distance(heard(level * one / np.abs(one).max())) for level in (0.02, 0.9)]
        assert min(distances) > 1, name
        assert distances[0] == pytest.approx(distances[1], rel=0.05)
    assert familiar().distance(heard(wave)) < 1


def test_it_is_plain_and_small_and_read_strictly() -> None:
    plain = familiar().plain()
    assert len(json.dumps(plain)) < 3000
    assert Familiar.read(plain) == familiar()
    assert Deployed.read(Deployed(familiar=familiar()).plain()).familiar == familiar()
    with pytest.raises(ConfigError, match="expected 12 means"):
        Familiar.read({**plain, "mean": plain["mean"][1:]})


def test_too_few_clips_or_all_alike_give_none() -> None:
    some = voices(60, 0)
    assert Familiar.fit(some[:49], some) is None
    assert Familiar.fit(some, some[:19]) is None
    assert Familiar.fit(np.ones((60, BANDS)), some) is None


def test_a_training_stores_it_and_only_test_clips_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough clips, one epoch; judged anew with other options, the run keeps what it has stored."""
    manifest = write_corpus(tmp_path, train=26, val=10, test=3)
    listened: list[str] = []
    real = Reader.__init__

    def noted(self: Reader, source: Any, *rest: Any) -> None:
        listened.append(Path(source).name if isinstance(source, Path) else "array")
        real(self, source, *rest)

    monkeypatch.setattr(Reader, "__init__", noted)
    values: dict[str, Any] = {
        "data": {"name": "manifest", "path": str(manifest), "batch_size": 8},
        "frontend": KNOBS.frontend.plain(),
        "model": KNOBS.model.plain(),
        "augment": {},
        "trainer": {"accelerator": "cpu", "max_epochs": 1},
        "eval": {"resamples": 10},
        "runs": str(tmp_path / "runs"),
    }
    run = train(TrainConfig.read(values), SILENT).run
    assert len(listened) == len(set(listened)) == 72
    assert not [name for name in listened if name.startswith("test")]
    stored = Deployed.of_run(run.folder)
    assert stored
    assert stored.familiar
    listened.clear()
    again = train(TrainConfig.read({**values, "eval": {"resamples": 10, "prior": 0.2}}), SILENT)
    assert again.judged
    judged = Deployed.of_run(run.folder)
    assert judged == stored.model_copy(update={"prior": 0.2})
    assert not listened
    scorer = dfad.load(run.folder)
    flagged = [
        any(said.startswith("unlike") for said in scorer(tmp_path / name).warnings)
        for name in pd.read_csv(manifest).query("split == 'val'")["path"]
    ]
    assert sum(flagged) <= 1
    tone = np.sin(2 * np.pi * 3000 * np.arange(RATE) / RATE).astype(np.float32)
    assert "unlike training" in "".join(scorer(tone, RATE).warnings)


def test_of_a_run_that_does_not_tell_nothing_is_said(checkpoint: Path) -> None:
    old = Deployed.read({"threshold": 0.5, "calibrator": None, "rule": "eer", "prior": 0.5, "notes": []})
    assert old.familiar is None
    tone = np.sin(np.arange(RATE)).astype(np.float32)
    plain, knowing = (Scorer(Checkpoint.read(checkpoint), Deployed(familiar=known)) for known in (None, familiar()))
    assert "unlike" not in "".join(plain(tone, RATE).warnings)
    assert "unlike training: " in "".join(knowing(tone, RATE).warnings)


@pytest.mark.parametrize(
    ("deployed", "said"),
    [
        (None, "none: raw checkpoint, as trained"),
        (Deployed(notes=("no threshold could be chosen",)), "none: validation chose none, as trained"),
        (Deployed(threshold=0.5), "EER on validation"),
        (Deployed(threshold=0.5, rule="min_dcf"), "minDCF on validation"),
        (Deployed(threshold=0.5, rule="fa@0.01"), "fa@0.01 on validation"),
        (Deployed(threshold=0.5, rule=0.5), "given as a number"),
        (Deployed(threshold=0.5, rule="0.5"), "given as a number"),
    ],
)
def test_where_the_threshold_comes_from(checkpoint: Path, deployed: Deployed | None, said: str) -> None:
    assert Scorer(Checkpoint.read(checkpoint), deployed)(noise(), RATE).threshold_from == said
