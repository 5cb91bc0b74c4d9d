"""The demo corpus is reproducible, is whole or absent, keeps its splits apart and has no shortcut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from sklearn.metrics import roc_auc_score

from dfad.corpora import demo
from dfad.corpora.demo import SEEN_ATTACKS, UNSEEN_ATTACK, synthesise
from dfad.corpora.voices import SAMPLE_RATE, draw_voice, utter
from dfad.effects.analysis import pitch
from dfad.errors import DataError


@pytest.fixture(scope="session")
def demo_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole demo corpus of seed 0: some 20 s of work, once."""
    root = tmp_path_factory.mktemp("corpora") / "demo"
    synthesise(root, seed=0)
    return root


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A corpus of eight clips."""
    splits = {"train": demo._Split(1, 3, SEEN_ATTACKS), "test": demo._Split(1, 1, (UNSEEN_ATTACK,))}
    monkeypatch.setattr(demo, "SPLITS", splits)


def read_manifest(root: Path) -> pd.DataFrame:
    return pd.read_csv(root / "manifest.csv", keep_default_na=False)


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def nuisances(path: Path) -> dict[str, float]:
    """What a cheat could go by: level, peak, duration, leading silence, energy above 6 kHz."""
    wave, rate = soundfile.read(path)
    frame = rate // 100
    power = np.square(wave[: len(wave) // frame * frame]).reshape(-1, frame).mean(-1)
    spectrum = np.abs(np.fft.rfft(wave)) ** 2
    high = np.fft.rfftfreq(len(wave), 1 / rate) > 6000
    return {
        "rms": float(np.sqrt(np.mean(wave**2))),
        "peak": float(np.abs(wave).max()),
        "duration": len(wave) / rate,
        "leading silence": float(np.argmax(power > 1e-4 * power.max())),
        "above 6 kHz": float(spectrum[high].sum() / spectrum.sum()),
    }


def assert_no_shortcut(root: Path) -> None:
    manifest = read_manifest(root)
    features = pd.DataFrame([nuisances(root / path) for path in manifest["path"]])
    for split, rows in manifest.groupby("split"):
        bona_fide = rows["label"] == "bona-fide"
        for name in features:
            auroc = roc_auc_score(bona_fide, features.loc[rows.index, name])
            assert 0.35 <= auroc <= 0.65, f"{split}: {name} tells the classes apart, AUROC {auroc:.3f}"


def test_no_shortcut(demo_root: Path) -> None:
    assert_no_shortcut(demo_root)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_no_shortcut_with_other_seeds(tmp_path: Path, seed: int) -> None:
    synthesise(tmp_path / "demo", seed=seed)
    assert_no_shortcut(tmp_path / "demo")


def test_manifest_lists_the_files(demo_root: Path) -> None:
    manifest = read_manifest(demo_root)
    assert tuple(manifest.columns) == demo.COLUMNS
    assert manifest["path"].is_unique
    assert set(manifest["path"]) == {path for path in contents(demo_root) if path.endswith(".wav")}
    assert (manifest["path"].str.split("/").str[:2].str.join("/") == manifest["split"] + "/" + manifest["label"]).all()
    assert (manifest["attack"].eq("") == manifest["label"].eq("bona-fide")).all()


def test_files_are_alike(demo_root: Path) -> None:
    for path in read_manifest(demo_root)["path"]:
        info = soundfile.info(demo_root / path)
        assert (info.samplerate, info.channels, info.subtype, info.frames) == (16000, 1, "PCM_16", 32000)


def test_splits_are_balanced_and_share_no_voice(demo_root: Path) -> None:
    manifest = read_manifest(demo_root)
    assert set(manifest["split"]) == {"train", "val", "test"}
    assert (manifest.groupby(["split", "label"]).size().unstack().nunique(axis=1) == 1).all()
    assert (manifest.groupby("speaker")["split"].nunique() == 1).all()
    assert (manifest.groupby("speaker")["label"].nunique() == 2).all()


def test_unseen_attack_is_only_in_test(demo_root: Path) -> None:
    manifest = read_manifest(demo_root)
    attacks = manifest[manifest["attack"] != ""].groupby("split")["attack"].unique().map(set)
    assert attacks["train"] == attacks["val"] == set(SEEN_ATTACKS)
    assert attacks["test"] == {*SEEN_ATTACKS, UNSEEN_ATTACK}


def test_no_clip_is_clipped_or_empty(demo_root: Path) -> None:
    for path in read_manifest(demo_root)["path"]:
        wave, _ = soundfile.read(demo_root / path)
        assert np.mean(np.abs(wave) > 0.999) < 1e-3
        assert np.sqrt(np.mean(wave**2)) > 1e-3


@pytest.mark.usefixtures("tiny")
def test_same_seed_same_files(tmp_path: Path) -> None:
    for name, seed in [("a", 3), ("b", 3), ("c", 4)]:
        synthesise(tmp_path / name, seed=seed)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a").keys() == contents(tmp_path / "c").keys()
    assert contents(tmp_path / "a") != contents(tmp_path / "c")


@pytest.mark.usefixtures("tiny")
def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    synthesise(tmp_path / "demo", seed=0, progress=lambda done, total: told.append((done, total)))
    assert told == [(n, 8) for n in range(1, 9)]


@pytest.mark.usefixtures("tiny")
def test_interrupted_synthesis_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesise(tmp_path / "demo", seed=0, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("tiny")
def test_leftovers_of_a_killed_run_are_not_taken_over(tmp_path: Path) -> None:
    leftover = tmp_path / ".demo.partial" / "train" / "spoof" / "old.wav"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half")
    seen_early: list[bool] = []
    synthesise(tmp_path / "demo", seed=0, progress=lambda *_: seen_early.append((tmp_path / "demo").exists()))
    assert not any(seen_early)
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    assert not list((tmp_path / "demo").rglob("old.wav"))


def test_files_in_the_way_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(DataError, match="remove them first"):
        synthesise(tmp_path, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_voice_keeps_its_pitch_and_says_different_things() -> None:
    for seed in range(6):
        voice = draw_voice(seed)
        one, two = utter(voice, (seed, 1), 1.5), utter(voice, (seed, 2), 1.5)
        assert one.shape == (24000,)
        assert not np.array_equal(one, two)
        assert np.array_equal(one, utter(voice, (seed, 1), 1.5))
        f0, voicing = pitch(torch.from_numpy(one)[None], SAMPLE_RATE, 128)
        assert float(f0[voicing > 0.5].median()) == pytest.approx(voice.f0, rel=0.25)
        assert voicing.mean() > 0.3
