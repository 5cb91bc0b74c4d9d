"""Augmentation where clips are decoded: the same clip in any process and on any rank; folders, voices, codecs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml
from torch import Tensor

from dfad.augment import AugmentKnobs
from dfad.checkpoint import DetectorKnobs
from dfad.clips import Manifest
from dfad.corpora.table import ManifestKnobs
from dfad.effects import codecs
from dfad.errors import ConfigError, DataError
from dfad.frontends import FRONTENDS
from dfad.labels import Label
from dfad.networks.cnn import CNNKnobs
from dfad.training import clip_chain
from dfad.training.config import DeviceKnobs, TrainerKnobs
from dfad.training.datamodule import ClipDataModule
from dfad.training.detectors import CNNDetector
from dfad.training.sampling import Pick
from dfad.training.trainer import make_trainer
from tests.conftest import ROOT, SMALL

FRONTEND = FRONTENDS["logmel"].read({"name": "logmel", "crop_s": 0.5, "n_mels": 24})
EVERYTHING = {
    "crop": "random",
    "shift": {"p": 0.5},
    "noise": {"p": 0.9, "kinds": ["white", "pink", "babble"], "low_db": 0.0, "high_db": 10.0},
    "rawboost": {"p": 0.3},
    "codec": {"p": 0.7},
    "gain": {"p": 0.5},
}
Clips = dict[tuple[int, int], Tensor]


def heard(
    manifest: Manifest, augment: dict[str, Any], *, workers: int = 0, rank: int = 0, world: int = 1, epoch: int = 0
) -> Clips:
    """The waveforms that training gets of an epoch on one rank, by clip and draw."""
    data = ManifestKnobs(path=Path("unread"), batch_size=8, workers=workers, balance="sampler")
    module = ClipDataModule(manifest, data=data, frontend=FRONTEND, augment=AugmentKnobs.read(augment), seed=3)
    module.trainer = SimpleNamespace(  # type: ignore[assignment]
        world_size=world,
        global_rank=rank,
        num_devices=world,
        training=True,
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
        fit_loop=SimpleNamespace(epoch_progress=SimpleNamespace(current=SimpleNamespace(processed=epoch))),
    )
    clips: Clips = {}
    for batch in module.train_dataloader():
        batch = module.on_after_batch_transfer(batch, 0)
        clips |= {
            (int(row), int(draw)): wave for row, draw, wave in zip(batch.row, batch.draw, batch.wave, strict=True)
        }
    return clips


def assert_same(found: Clips, expected: Clips, **tolerance: float) -> None:
    assert found.keys() <= expected.keys()
    for key, wave in found.items():
        if tolerance:
            torch.testing.assert_close(wave, expected[key], **tolerance)
        else:
            assert torch.equal(wave, expected[key]), key


@pytest.fixture(scope="module")
def manifest(manifest_csv: Path) -> Manifest:
    return Manifest.read(manifest_csv)


@pytest.fixture(scope="module")
def alone(manifest: Manifest) -> Clips:
    return heard(manifest, EVERYTHING)


# --- the same clip everywhere ----------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_a_clip_comes_out_alike_in_any_process(workers: int, manifest: Manifest, alone: Clips) -> None:
    found = heard(manifest, EVERYTHING, workers=workers)
    assert found.keys() == alone.keys()
    assert_same(found, alone)


def test_a_clip_comes_out_alike_whatever_the_threads(manifest: Manifest, alone: Clips) -> None:
    torch.set_num_threads(2)
    try:
        found = heard(manifest, EVERYTHING)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert_same(found, alone)


def test_a_clip_comes_out_alike_on_any_rank(manifest: Manifest, alone: Clips) -> None:
    shares = [heard(manifest, EVERYTHING, rank=rank, world=2, workers=rank) for rank in (0, 1)]
    assert not shares[0].keys() & shares[1].keys()
    assert shares[0].keys() | shares[1].keys() == alone.keys()
    for share in shares:
        assert_same(share, alone)


def test_an_epoch_and_a_repeated_clip_are_heard_anew(manifest: Manifest, alone: Clips) -> None:
    other = heard(manifest, EVERYTHING, epoch=1)
    both = alone.keys() & other.keys()
    assert sum(torch.equal(alone[key], other[key]) for key in both) <= 2
    rows = [row for row, draw in alone if draw]
    assert all(not torch.equal(alone[row, 0], alone[row, 1]) for row in rows if (row, 1) in alone)


def test_where_the_chain_runs_changes_no_draw(manifest: Manifest) -> None:
    """Babble that is drawn for no clip brings the chain into the loader; all else stays as it was on the device."""
    light = yaml.safe_load((ROOT / "conf" / "augment" / "light.yaml").read_text()) | {
        "room": {"p": 0.5},
        "tilt": {"p": 0.5},
        "band": {"p": 0.3},
        "rerecord": {"p": 0.2},
    }
    device = heard(manifest, light)
    loader = heard(manifest, light | {"codec": {"p": 0.0}}, workers=1)
    assert_same(loader, device, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("augment", [EVERYTHING, {"noise": {"p": 1.0}, "rawboost": {}}], ids=["loader", "device"])
def test_a_clip_is_augmented_alike_whatever_its_label(augment: dict[str, Any], manifest: Manifest) -> None:
    """The label of one clip after the other is turned round; what training hears of it stays bit for bit."""
    before = heard_one_by_one(manifest, augment)
    for row in manifest.rows("train")[:8]:
        frame = manifest.frame.copy()
        frame.loc[row, "label"] = 1 - frame.loc[row, "label"]
        turned = heard_one_by_one(manifest.having(frame), augment, rows=[int(row)])
        assert torch.equal(turned[int(row)], before[int(row)])


def heard_one_by_one(manifest: Manifest, augment: dict[str, Any], rows: list[int] | None = None) -> dict[int, Tensor]:
    data = ManifestKnobs(path=Path("unread"))
    module = ClipDataModule(manifest, data=data, frontend=FRONTEND, augment=AugmentKnobs.read(augment), seed=3)
    module.trainer = SimpleNamespace(  # type: ignore[assignment]
        training=True,
        fit_loop=SimpleNamespace(epoch_progress=SimpleNamespace(current=SimpleNamespace(processed=0))),
    )
    found = {}
    for row in manifest.rows("train")[:8].tolist() if rows is None else rows:
        batch = module.dataset.collate([module.dataset[Pick(row, 0, 0.0, 0)]])
        found[row] = module.on_after_batch_transfer(batch, 0).wave[0]
    return found


# --- voices and folders ------------------------------------------------------------------------------


def test_babble_is_other_bona_fide_clips(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[Path] = []
    load = clip_chain.load
    monkeypatch.setattr(clip_chain, "load", lambda path, **rest: decoded.append(path) or load(path, **rest))
    augment = {"noise": {"p": 1.0, "kinds": ["babble"], "talkers": 7}}
    rows = manifest.rows("train")
    voices = {manifest.path(int(row)) for row in rows if manifest.labels[row] == Label.BONA_FIDE}
    everyone: set[Path] = set()
    for row in rows.tolist():
        decoded.clear()
        heard_one_by_one(manifest, augment, rows=[row])
        assert len(decoded) == 7
        assert set(decoded) <= voices - {manifest.path(row)}
        everyone |= set(decoded)
    assert everyone == voices


def test_babble_without_another_voice_is_an_error(manifest: Manifest) -> None:
    rows = manifest.rows("train")
    one = [row for row in rows if manifest.labels[row] == Label.BONA_FIDE][:1]
    with pytest.raises(DataError, match="babble needs two bona fide training clips"):
        heard_one_by_one(manifest.only(np.array(one)), {"noise": {"p": 1.0, "kinds": ["babble"]}}, rows=[0])


@pytest.fixture
def tones(tmp_path: Path) -> Path:
    """A folder of noises: tones of 1 kHz and 3 kHz, in a folder of their own each, and a text."""
    time = np.arange(16000) / 16000
    for hertz in (1000, 3000):
        (tmp_path / "noises" / str(hertz)).mkdir(parents=True)
        soundfile.write(tmp_path / "noises" / str(hertz) / "tone.flac", 0.5 * np.sin(2 * np.pi * hertz * time), 16000)
    (tmp_path / "noises" / "README.txt").write_text("tones")
    return tmp_path / "noises"


def noise_of(folder: Path) -> dict[str, Any]:
    return {"noise": {"p": 1.0, "low_db": -60.0, "high_db": -60.0, "kinds": ["folder"], "folder": str(folder)}}


def test_noises_of_a_folder_are_heard_in_workers(manifest: Manifest, tones: Path) -> None:
    found = heard(manifest, noise_of(tones), workers=2)
    loudest = [int(torch.fft.rfft(wave).abs().argmax()) * 2 for wave in found.values()]  # Hz, of half a second
    assert set(loudest) == {1000, 3000}
    assert_same(found, heard(manifest, noise_of(tones)))


def test_measured_responses_of_a_folder_are_heard(manifest: Manifest, tmp_path: Path) -> None:
    response = np.zeros(4000)
    response[100], response[1700] = 0.5, 0.25  # an echo after 0.1 s, half as loud
    (tmp_path / "rooms").mkdir()
    soundfile.write(tmp_path / "rooms" / "echo.wav", response, 16000, subtype="FLOAT")
    (plain, roomy) = (
        heard_one_by_one(manifest, augment) for augment in ({}, {"room": {"p": 1.0, "folder": str(tmp_path / "rooms")}})
    )
    for row, wave in plain.items():
        echo = wave.clone()
        echo[1600:] += 0.5 * wave[:-1600]
        expected = echo * (wave.square().mean() / echo.square().mean()).sqrt()
        torch.testing.assert_close(roomy[row], expected / expected.abs().max().clamp_min(1.0), atol=1e-5, rtol=0)


def test_a_folder_is_named_by_its_content(tones: Path, tmp_path: Path) -> None:
    one = AugmentKnobs.read(noise_of(tones)).identity()
    copy = shutil.copytree(tones, tmp_path / "copy")
    assert AugmentKnobs.read(noise_of(copy)).identity() == one
    other = shutil.copytree(tones, tmp_path / "other")
    soundfile.write(other / "1000" / "tone.flac", np.zeros(16000), 16000)
    assert AugmentKnobs.read(noise_of(other)).identity() != one


def test_what_is_missing_is_told_before_any_work(
    tones: Path, manifest_csv: Path, tmp_path: Path, refusal: Callable[..., tuple[int, str]]
) -> None:
    words = ["data=manifest", f"data.path={manifest_csv}", *SMALL, "augment=none", "augment.noise.kinds=[folder]"]
    code, said = refusal("train", *words, "augment.noise.folder=/no/where", cwd=tmp_path)
    assert code == 3
    assert "augment.noise.folder=/no/where: there is no such folder" in said
    (tmp_path / "empty").mkdir()
    code, said = refusal("train", *words, "augment.noise.folder=empty", cwd=tmp_path)
    assert code == 3
    assert "augment.noise.folder=empty: no audio files in it" in said
    (tones / "3000" / "tone.flac").write_bytes(b"fLaC")
    code, said = refusal("train", *words, f"augment.noise.folder={tones}", cwd=tmp_path)
    assert code == 3
    assert str(tones / "3000" / "tone.flac") in said
    assert not (tmp_path / "runs").exists()


def test_a_codec_without_its_library_is_told_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    knobs = AugmentKnobs.read({"codec": {"codecs": ["mp3", "aac"]}})
    monkeypatch.setattr(codecs, "find_spec", lambda name: None if name == "av" else object())
    with pytest.raises(ConfigError, match=r"pip install 'dfad\[formats\]', or use augment\.codec\.codecs=\[mp3\]"):
        knobs.require()
    AugmentKnobs.read({"codec": {}}).require()


# --- presets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted((ROOT / "conf" / "augment").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_shows_every_option_and_trains_a_step(path: Path, manifest: Manifest, tmp_path: Path) -> None:
    values = yaml.safe_load(path.read_text())
    assert set(values) == set(AugmentKnobs.model_fields)
    for name, given in values.items():
        if isinstance(given, dict):
            assert set(given) == set(type(getattr(AugmentKnobs.read(values), name)).model_fields), name
    data = ManifestKnobs(path=Path("unread"), batch_size=8)
    augment = AugmentKnobs.read(values)
    module = ClipDataModule(manifest, data=data, frontend=FRONTEND, augment=augment)
    knobs = DetectorKnobs(frontend=FRONTEND, model=CNNKnobs(channels=(4,)), attacks=())
    detector = CNNDetector(knobs, TrainerKnobs())
    detector.manifest = manifest  # type: ignore[assignment]
    before = [weight.clone() for weight in detector.parameters()]
    trainer = make_trainer(DeviceKnobs(accelerator="cpu"), folder=tmp_path, max_steps=1, limit_val_batches=1)
    trainer.fit(detector, datamodule=module)
    assert trainer.global_step == 1
    assert all(weight.isfinite().all() for weight in detector.parameters())
    assert any(not torch.equal(weight, old) for weight, old in zip(detector.parameters(), before, strict=True))
