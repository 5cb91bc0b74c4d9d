"""Frozen blocks are computed once, and nothing else changes by it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dfad.clips import Manifest
from dfad.errors import DfadError
from dfad.networks.vgg16 import VGG16Knobs
from dfad.training import frozen
from dfad.training.config import TrainConfig
from dfad.training.fit import train
from dfad.training.frozen import keep_frozen
from dfad.training.kept import Kept
from dfad.training.runs import Run
from dfad.training.scoring import SILENT


def config(manifest_csv: Path, runs: Path, **more: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "data": {"name": "manifest", "path": str(manifest_csv), "batch_size": 8},
        "frontend": {"name": "logmel", "crop_s": 0.5, "n_mels": 40},
        "model": {"name": "vgg16", "variant": "vgg11", "pretrained": "none", "unfreeze_from": "none", "hidden": 8},
        "augment": {"name": "none"},
        "trainer": {"accelerator": "cpu", "max_epochs": 3},
        "runs": str(runs),
    }
    for group, options in more.items():
        values[group] = {**values[group], **options} if isinstance(options, dict) else options
    return TrainConfig.read(values)


@pytest.fixture
def frozen_clips(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many clips went through the first block, call by call."""
    seen: list[int] = []
    build = VGG16Knobs.build

    def watched(self: VGG16Knobs, *given: Any) -> Any:
        network = build(self, *given)
        network.blocks[0].register_forward_hook(lambda module, x, out: seen.append(len(out)))
        return network

    monkeypatch.setattr(VGG16Knobs, "build", watched)
    return seen


def results(run: Run) -> dict[str, bytes]:
    return {name: (run.folder / name).read_bytes() for name in ("curves.csv", "scores/val.csv", "scores/test.csv")}


def test_they_are_computed_once_and_the_scores_stay_the_same(
    manifest_csv: Path, tmp_path: Path, frozen_clips: list[int]
) -> None:
    kept = train(config(manifest_csv, tmp_path / "kept"), SILENT)
    assert sum(frozen_clips) == (24 + 12) + (12 + 12)  # once for training and validation, then the final scores
    frozen_clips.clear()
    anew = train(config(manifest_csv, tmp_path / "anew", trainer={"keep_frozen": False}), SILENT)
    assert sum(frozen_clips) == 3 * (24 + 12) + (12 + 12)
    assert kept.run.folder.name == anew.run.folder.name
    assert results(kept.run) == results(anew.run)


def test_another_run_finds_them(manifest_csv: Path, tmp_path: Path, frozen_clips: list[int]) -> None:
    train(config(manifest_csv, tmp_path), SILENT)
    (path,) = (tmp_path / ".frozen").iterdir()
    before = path.stat().st_mtime_ns
    frozen_clips.clear()
    train(config(manifest_csv, tmp_path, model={"lr": 1e-2}), SILENT)
    assert sum(frozen_clips) == 12 + 12
    assert [found.stat().st_mtime_ns for found in (tmp_path / ".frozen").iterdir()] == [before]


@pytest.mark.parametrize(
    "other",
    [
        {"frontend": {"n_mels": 41}},
        {"frontend": {"crop_s": 0.6}},
        {"model": {"variant": "vgg11_bn"}},
        {"model": {"unfreeze_from": 5}},
        {"seed": 1},  # other weights: there are no pretrained ones here
    ],
)
def test_what_they_depend_on_is_in_their_name(other: dict[str, Any], manifest_csv: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(manifest_csv)
    names = []
    for knobs in (config(manifest_csv, tmp_path), config(manifest_csv, tmp_path, **other)):
        torch.manual_seed(knobs.seed)
        (keep,) = keep_frozen(
            knobs, manifest, "clips", knobs.model.split(knobs.model.build(knobs.frontend)), "a", SILENT
        )
        names.append(keep.path.name)  # type: ignore[attr-defined]
    assert names[0] != names[1]


@pytest.mark.parametrize(
    "other",
    [
        {"augment": {"crop": "random"}},
        {"augment": {"gain": {}}},
        {"augment": {"specaugment": {}}},
        {"model": {"unfreeze_from": 1}},
        {"trainer": {"keep_frozen": False}},
    ],
)
def test_they_are_not_kept_where_they_change(other: dict[str, Any], manifest_csv: Path, tmp_path: Path) -> None:
    knobs = config(manifest_csv, tmp_path, **other)
    split = knobs.model.split(knobs.model.build(knobs.frontend))
    assert keep_frozen(knobs, Manifest.read(manifest_csv), "clips", split, "a", SILENT) == []


def test_a_full_disk_is_told_beforehand(manifest_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = frozen.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(frozen.shutil, "disk_usage", lambda path: usage._replace(free=1))
    with pytest.raises(DfadError, match=r"trainer\.keep_frozen=false"):
        train(config(manifest_csv, tmp_path), SILENT)


def test_a_loader_process_maps_the_file_itself(tmp_path: Path) -> None:
    content = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.save(tmp_path / "kept.npy", content)
    kept = Kept(tmp_path / "kept.npy", np.array([2, 5, 9]))
    assert torch.equal(kept.of(np.array([9, 2])), torch.from_numpy(content[[2, 0]]))
    again = pickle.dumps(kept)
    assert torch.equal(pickle.loads(again).of(np.array([5])), torch.from_numpy(content[[1]]))


def test_two_devices_share_the_work(manifest_csv: Path, tmp_path: Path) -> None:
    found = []
    for devices in (1, 2):
        train(config(manifest_csv, tmp_path / str(devices), trainer={"devices": devices, "max_epochs": 1}), SILENT)
        (path,) = (tmp_path / str(devices) / ".frozen").iterdir()
        found.append(np.load(path))
    np.testing.assert_array_equal(*found)
