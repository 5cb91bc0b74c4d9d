"""Mixup: who is mixed with whom, by how much, and what the loss of a mixture is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dfad.augment import AugmentKnobs, Mixup
from dfad.augment.mixup import order, partners
from dfad.checkpoint import DetectorKnobs
from dfad.clips import Manifest
from dfad.corpora.table import ManifestKnobs
from dfad.draws import Draws
from dfad.frontends import LogMelKnobs
from dfad.losses import LOSSES
from dfad.networks.cnn import CNNKnobs
from dfad.training.datamodule import ClipDataModule
from dfad.training.dataset import Batch
from dfad.training.detectors import Detector
from dfad.training.fit import train
from dfad.training.mixing import Mixing
from dfad.training.sampling import Pick
from dfad.training.scoring import SILENT
from tests.test_ranks import configured

FRONTEND = LogMelKnobs(n_mels=24, crop_s=0.5)


def draws(clips: torch.Tensor, epoch: int = 0) -> Draws:
    return Draws(0, epoch, clips, torch.zeros_like(clips))


@pytest.mark.parametrize("clips", [1, 2, 3, 32])
def test_everyone_has_another_and_nobody_the_same(clips: int) -> None:
    found = partners(order(draws(torch.arange(clips))))
    assert sorted(found.tolist()) == list(range(clips))
    assert clips == 1 or not (found == torch.arange(clips)).any()


def test_pairs_hang_on_the_clips_and_the_epoch_not_on_their_order() -> None:
    clips = torch.arange(100, 132)
    shuffled = clips[torch.randperm(32, generator=torch.Generator().manual_seed(0))]

    def pairs(clips: torch.Tensor, epoch: int = 0) -> set[tuple[int, int]]:
        return set(zip(clips.tolist(), clips[partners(order(draws(clips, epoch)))].tolist(), strict=True))

    assert pairs(clips) == pairs(shuffled)
    assert len(pairs(clips) & pairs(clips, epoch=1)) < 10


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_shares_are_of_the_beta_distribution(alpha: float) -> None:
    share = Mixup(alpha=alpha).share(draws(torch.arange(20_000))).double()
    assert share.min() >= 0
    assert share.max() <= 1
    variance = 1 / (4 * (2 * alpha + 1))
    assert share.mean().item() == pytest.approx(0.5, abs=5 * (variance / 20_000) ** 0.5)
    assert share.var().item() == pytest.approx(variance, rel=0.05)


def batch(manifest_csv: Path, knobs: Mixup, rows: list[int]) -> tuple[ClipDataModule, Batch]:
    made = ClipDataModule(
        Manifest.read(manifest_csv),
        data=ManifestKnobs(path=manifest_csv),
        frontend=FRONTEND,
        augment=AugmentKnobs(mixup=knobs),
    )
    progress = SimpleNamespace(current=SimpleNamespace(processed=0))
    made.trainer = SimpleNamespace(training=True, fit_loop=SimpleNamespace(epoch_progress=progress))  # type: ignore[assignment]
    items = [made.dataset[Pick(row, 0, 0.0)] for row in rows]
    return made, made.on_after_batch_transfer(made.dataset.collate(items), 0)


def test_features_and_labels_are_mixed_alike(manifest_csv: Path) -> None:
    made, before = batch(manifest_csv, knobs := Mixup(alpha=1.0), list(range(12)))
    after = Mixing(knobs, made)(before)
    assert after.mixed is not None
    assert before.features is not None
    assert after.features is not None
    other, share = partners(order(made.draws(before))), after.mixed[1]
    assert torch.equal(after.mixed[0], before.label[other])
    assert torch.equal(after.label, before.label)
    assert torch.equal(after.wave, before.wave)
    for clip in range(12):
        expected = share[clip] * before.features[clip] + (1 - share[clip]) * before.features[other[clip]]
        torch.testing.assert_close(after.features[clip], expected)


@pytest.mark.parametrize("loss", ["cross_entropy", "one_class"])
def test_the_loss_of_a_mixture_is_that_of_both_labels(loss: str, manifest_csv: Path) -> None:
    made, before = batch(manifest_csv, knobs := Mixup(alpha=1.0), list(range(12)))
    mixed = Mixing(knobs, made)(before)
    assert mixed.mixed is not None
    chosen = LOSSES[loss].read({"name": loss})
    described = DetectorKnobs(frontend=FRONTEND, model=CNNKnobs(channels=(4,)), head=chosen.head, raw=chosen.raw)
    detector = Detector(described, loss=chosen, class_weights=(0.5, 2.0))
    outputs = torch.linspace(-1, 1, 12)
    found = detector._loss(outputs, mixed)
    each = []
    for clip, (other, share) in enumerate(zip(*mixed.mixed, strict=True)):
        for label, part in ((before.label[clip], share), (other, 1 - share)):
            each.append(part * chosen(outputs[clip, None], label[None], torch.tensor([(0.5, 2.0)[label]])))
    torch.testing.assert_close(found, torch.stack(each).sum() / 12)


def test_mixed_clips_are_new_in_every_epoch_so_nothing_frozen_is_kept() -> None:
    assert AugmentKnobs(mixup=Mixup()).random


@pytest.mark.slow
def test_two_devices_mix_what_one_mixes(manifest_csv: Path, tmp_path: Path) -> None:
    model: dict[str, Any] = {"name": "cnn", "channels": [4, 8], "dropout": 0.0, "pool": "avg", "activation": "gelu"}
    weights = []
    for devices in (1, 2):
        made = configured(manifest_csv, tmp_path, model, devices, {"name": "mixup", "mixup": {"alpha": 1.0}})
        weights.append(torch.load(train(made, SILENT).run.last, weights_only=True)["state_dict"])
    for name in weights[0]:
        torch.testing.assert_close(weights[0][name], weights[1][name], rtol=1e-3, atol=1e-4)
