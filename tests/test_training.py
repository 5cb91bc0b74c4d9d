"""Detectors, data module and metrics mixin, in this process and on a small corpus."""

from __future__ import annotations

import json
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from dfad.augment import AugmentKnobs, Noise, SpecAugment
from dfad.checkpoint import Checkpoint, DetectorKnobs
from dfad.clips import Manifest
from dfad.corpora.table import ManifestKnobs
from dfad.errors import DfadError
from dfad.frontends import LogMelKnobs, RawKnobs
from dfad.metrics import summary
from dfad.networks.cnn import CNNKnobs
from dfad.scorer import Scorer, load_scorer
from dfad.scores import ScoreTable
from dfad.training.config import DeviceKnobs, TrainerKnobs
from dfad.training.datamodule import ClipDataModule
from dfad.training.detectors import DETECTORS, CNNDetector, Detector, class_weights
from dfad.training.metrics_mixin import MetricsMixin
from dfad.training.scoring import Scoring
from dfad.training.trainer import make_trainer

CPU = DeviceKnobs(accelerator="cpu")
KNOBS = DetectorKnobs(frontend=LogMelKnobs(n_mels=24, crop_s=0.5), model=CNNKnobs(channels=(4, 8)))


class Dummy(MetricsMixin):
    """A module that knows nothing but the mixin: it scores a clip by its feature."""

    def test_step(self, batch: list[Tensor], index: int) -> None:
        feature, label, row = batch
        self.observe("test", (feature - label).square().mean(), feature, label, row)


def test_the_mixin_needs_nothing_but_a_manifest(manifest_csv: Path) -> None:
    manifest = Manifest.read(manifest_csv)
    rows = torch.from_numpy(manifest.rows("test"))
    label = torch.from_numpy(manifest.labels[rows.numpy()].astype(np.int64))
    feature = torch.randn(len(rows), generator=torch.Generator().manual_seed(0)) + label
    dummy = Dummy()
    dummy.manifest = manifest
    trainer = make_trainer(CPU, folder=manifest_csv.parent)
    (logged,) = trainer.test(dummy, DataLoader(TensorDataset(feature, label, rows), 5), verbose=False)
    expected = summary(feature.numpy(), label.numpy()).values
    for name in ("eer", "auroc", "min_dcf", "cllr"):
        assert logged[f"test/{name}"] == pytest.approx(expected[name], abs=1e-6)
    assert logged["test/accuracy"] == pytest.approx(((feature >= 0).long() == label).float().mean().item())
    assert dummy.tables["test"].frame["id"].tolist() == manifest.frame["id"].iloc[rows.numpy()].tolist()


def test_scorer_equals_data_module_and_detector(trained: Path, manifest_csv: Path) -> None:
    scorer = load_scorer(trained)
    table = ScoreTable.read(trained / "scores" / "test.csv")
    for id, expected in zip(table.frame["id"], table.scores, strict=True):
        assert scorer(manifest_csv.parent / id, first=True).raw_score == pytest.approx(expected, abs=1e-5)
    assert scorer.deployed.threshold == json.loads((trained / "metrics.json").read_text())["threshold"]


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_scores_do_not_depend_on_the_batch(batch_size: int, trained: Path, manifest_csv: Path) -> None:
    manifest = Manifest.read(manifest_csv)
    data = ManifestKnobs(path=manifest_csv, batch_size=batch_size)
    best = Checkpoint.read(trained / "checkpoints" / "best.ckpt")
    table = Scoring(best, manifest, manifest.rows("test"), data, CPU, trained)()
    expected = ScoreTable.read(trained / "scores" / "test.csv")
    assert table.frame["id"].tolist() == expected.frame["id"].tolist()
    np.testing.assert_allclose(table.scores, expected.scores, atol=1e-5)


def test_every_checkpoint_loads_safely_and_says_what_it_is(trained: Path) -> None:
    checkpoints = sorted((trained / "checkpoints").glob("*.ckpt"))
    assert [path.stem for path in checkpoints] == ["best", "last"]
    for path in checkpoints:
        content = torch.load(path, weights_only=True)
        assert DetectorKnobs.read(content["dfad"]).attacks == ("buzz",)
        Scorer(Checkpoint.read(path))


def fit(manifest_csv: Path, detector: Detector, augment: AugmentKnobs | None = None, **more: object) -> pl.Trainer:
    manifest = Manifest.read(manifest_csv)
    detector.manifest = manifest
    data = ManifestKnobs(path=manifest_csv, batch_size=8)
    module = ClipDataModule(manifest, data=data, frontend=detector.knobs.frontend, augment=augment)
    trainer = make_trainer(CPU, folder=manifest_csv.parent, max_epochs=1, **more)
    trainer.fit(detector, datamodule=module)
    return trainer


def test_training_sees_augmented_waveforms_and_features_and_evaluation_does_not(manifest_csv: Path) -> None:
    seen: dict[str, list[Tensor]] = {"train": [], "val": []}

    class Spy(CNNDetector):
        def _step(self, phase: str, batch: object) -> Tensor:
            seen[phase].append(batch)  # type: ignore[arg-type]
            return super()._step(phase, batch)  # type: ignore[arg-type]

    fit(manifest_csv, Spy(KNOBS, TrainerKnobs()), AugmentKnobs(noise=Noise(p=1.0), specaugment=SpecAugment()))
    frontend = KNOBS.frontend.build()
    for batch in seen["val"]:
        torch.testing.assert_close(batch.features, frontend(batch.wave))  # type: ignore[attr-defined]
    for batch in seen["train"]:
        assert not torch.allclose(batch.features, frontend(batch.wave))  # type: ignore[attr-defined]


def test_the_learning_rate_rises_then_falls_to_zero(manifest_csv: Path) -> None:
    rates = []

    class Rates(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *rest: object) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    detector = Detector(KNOBS, TrainerKnobs(max_epochs=1, warmup_epochs=0.5))
    fit(manifest_csv, detector, callbacks=[Rates()])
    assert max(rates) <= KNOBS.model.lr
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_norms_and_biases_have_no_weight_decay() -> None:
    decayed, plain = Detector(KNOBS, TrainerKnobs()).parameter_groups()
    assert decayed["weight_decay"] > 0
    assert all(parameter.ndim > 1 for parameter in decayed["params"])
    assert plain["weight_decay"] == 0.0
    assert all(parameter.ndim <= 1 for parameter in plain["params"])


def test_the_same_seed_gives_the_same_weights() -> None:
    def weights(seed: int) -> Tensor:
        return torch.cat([p.flatten() for p in Detector(KNOBS, seed=seed).network.parameters()])

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


def test_a_diverged_training_is_stopped_with_advice(manifest_csv: Path) -> None:
    detector = Detector(KNOBS, TrainerKnobs())
    with torch.no_grad():
        next(detector.network.parameters()).fill_(float("nan"))
    with pytest.raises(DfadError, match=r"lower model\.lr"):
        fit(manifest_csv, detector)


def test_classes_weigh_alike() -> None:
    spoof, bona_fide = class_weights(np.array([9, 1]))
    assert 9 * spoof == pytest.approx(1 * bona_fide)
    assert (9 * spoof + bona_fide) / 10 == pytest.approx(1)


def test_the_cnn_has_a_detector_of_its_own() -> None:
    assert DETECTORS["cnn"] is CNNDetector


def test_gradients_reach_the_waveform(trained: Path) -> None:
    scorer = load_scorer(trained)
    wave = torch.randn(2, scorer.knobs.frontend.crop_samples, requires_grad=True)
    scorer.network(scorer.frontend(wave)).sum().backward()
    assert wave.grad is not None
    assert wave.grad.abs().sum() > 0


def test_a_raw_frontend_needs_no_spectrogram_masks() -> None:
    assert RawKnobs().build()(torch.zeros(2, 100)).shape == (2, 100)
