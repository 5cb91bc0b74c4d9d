"""Adversarial training: who is attacked and by how much, the same after every resume, and what it is good for."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from dfad.audio import fit, load
from dfad.augment import Adversarial, AugmentKnobs, SpecAugment
from dfad.clips import Manifest
from dfad.corpora.table import ManifestKnobs
from dfad.errors import ConfigError
from dfad.frontends import LogMelKnobs
from dfad.networks.cnn import CNNKnobs
from dfad.robustness.budget import BUDGETS, on_grid
from dfad.robustness.gradient import pgd
from dfad.robustness.targets import Targets
from dfad.robustness.victim import Victim
from dfad.scorer import load_scorer
from dfad.training.config import TrainConfig
from dfad.training.datamodule import ClipDataModule
from dfad.training.dataset import Batch
from dfad.training.fit import train
from dfad.training.hardening import Hardening
from dfad.training.sampling import Pick
from dfad.training.scoring import SILENT
from tests.conftest import SMALL, write_corpus
from tests.test_resume import only_run, start, stop_after

FRONTEND = LogMelKnobs(n_mels=24, crop_s=0.5)
NETWORK = CNNKnobs(channels=(4, 8), pool="avg", activation="gelu")


def module(manifest_csv: Path, adversarial: Adversarial, epoch: int = 0) -> ClipDataModule:
    augment = AugmentKnobs(adversarial=adversarial, specaugment=SpecAugment())
    data = ManifestKnobs(path=manifest_csv)
    made = ClipDataModule(Manifest.read(manifest_csv), data=data, frontend=FRONTEND, augment=augment)
    progress = SimpleNamespace(current=SimpleNamespace(processed=epoch))
    made.trainer = SimpleNamespace(training=True, fit_loop=SimpleNamespace(epoch_progress=progress))  # type: ignore[assignment]
    return made


def batch(made: ClipDataModule, rows: range | list[int]) -> Batch:
    items = [made.dataset[Pick(row, 0, 0.0)] for row in rows]
    return made.on_after_batch_transfer(made.dataset.collate(items), 0)


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return NETWORK.build(FRONTEND).train()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_share_of_the_clips_is_attacked_within_the_budget_of_the_epoch(norm: str, manifest_csv: Path) -> None:
    knobs = Adversarial(norm=norm, epsilon=0.004, start=0.0, ramp=1.0, steps=2)
    made, victim = module(manifest_csv, knobs), network()
    before = batch(made, range(24))
    after = Hardening(knobs, made, epochs=4)(before, victim, epoch=0)
    hit = (after.wave != before.wave).any(-1)
    assert 5 < hit.sum() < 19
    assert torch.equal(hit, (after.features != before.features).any(-1).any(-1).any(-1))
    assert torch.equal(after.label, before.label)
    clean = on_grid(before.wave[hit])
    assert BUDGETS[norm](clean, 0.001).holds(clean, after.wave[hit]).all()
    assert victim.training
    assert all(parameter.grad is None for parameter in victim.parameters())
    draws = made.draws(before)
    expected = made.augment.features(made.frontend(after.wave), draws)
    torch.testing.assert_close(after.features, expected, atol=1e-4, rtol=1e-4)  # masked as before


def test_the_attack_raises_the_loss(manifest_csv: Path) -> None:
    knobs = Adversarial(p=1.0, epsilon=0.01, start=0.0, ramp=0.0)
    made, victim = module(manifest_csv, knobs), network()
    before = batch(made, range(16))
    after = Hardening(knobs, made, epochs=4)(before, victim, epoch=0)
    score = Victim(made.frontend, victim).query
    push = 1 - 2 * before.label
    assert (push * (score(after.wave) - score(before.wave)) > 0).all()


def test_a_clip_is_attacked_alike_in_any_batch_and_otherwise_in_another_epoch(manifest_csv: Path) -> None:
    knobs = Adversarial(p=1.0, epsilon=0.001, start=0.0, ramp=0.0)
    made, other = module(manifest_csv, knobs), module(manifest_csv, knobs, epoch=1)
    whole = Hardening(knobs, made, 4)(batch(made, range(8)), network(), 0).wave
    some = Hardening(knobs, made, 4)(batch(made, [5, 2]), network(), 0).wave
    later = Hardening(knobs, other, 4)(batch(other, range(8)), network(), 1).wave
    assert (whole[[5, 2]] == some).double().mean() > 0.99
    assert (whole == later).double().mean() < 0.9


def test_a_batch_without_a_clip_to_attack_is_left_alone(manifest_csv: Path) -> None:
    knobs = Adversarial(p=1e-6)
    made = module(manifest_csv, knobs)
    before = batch(made, range(4))
    assert Hardening(knobs, made, 4)(before, network(), 0) is before


def test_the_first_epochs_are_clean_and_the_budget_grows_to_its_end() -> None:
    knobs = Adversarial(epsilon=0.002, start=0.2, ramp=0.7)
    found = [knobs.strength(epoch, 10) for epoch in range(10)]
    np.testing.assert_allclose(found, 0.002 * np.array([0, 0, 0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1]))
    for ramp in np.linspace(0, 1, 21).tolist():
        for epochs in (1, 3, 10):
            knobs = Adversarial(start=ramp / 2, ramp=ramp)
            full = [epoch for epoch in range(epochs) if knobs.strength(epoch, epochs) == knobs.epsilon]
            assert full == list(range(knobs.grown(epochs), epochs))
    assert [Adversarial(start=0.5, ramp=0.5).strength(epoch, 4) for epoch in range(4)] == [0.0, 0.0, 0.0005, 0.0005]
    with pytest.raises(ConfigError, match=r"start=0\.8 is after ramp=0\.7"):
        Adversarial.read({"start": 0.8, "ramp": 0.7})


def test_before_the_first_attack_a_batch_is_left_alone(manifest_csv: Path) -> None:
    knobs = Adversarial(p=1.0, start=0.5, ramp=0.5)
    made = module(manifest_csv, knobs)
    before = batch(made, range(4))
    assert Hardening(knobs, made, 4)(before, network(), 0) is before


def test_runs_without_it_keep_their_names() -> None:
    assert "adversarial" not in AugmentKnobs().identity()
    assert AugmentKnobs(adversarial=Adversarial()).identity()["adversarial"]["epsilon"] == 0.0005
    assert AugmentKnobs(adversarial=Adversarial()).random


def configured(manifest_csv: Path, runs: Path, adversarial: dict[str, Any] | None, **trainer: int) -> TrainConfig:
    return TrainConfig.read(
        {
            "data": {"name": "manifest", "path": str(manifest_csv), "batch_size": 8},
            "frontend": FRONTEND.plain(),
            "model": CNNKnobs(channels=(4, 8), lr=0.01).plain(),
            "augment": {"adversarial": adversarial},
            "trainer": {"accelerator": "cpu", **trainer},
            "eval": {"resamples": 50},
            "runs": str(runs),
        }
    )


def test_no_epoch_before_the_full_budget_is_the_best(manifest_csv: Path, tmp_path: Path) -> None:
    done = train(
        configured(manifest_csv, tmp_path, {"start": 0.0, "ramp": 1.0, "steps": 1}, max_epochs=3, patience=1), SILENT
    )
    assert torch.load(done.run.best, weights_only=True)["epoch"] == 2  # and patience waited for it


def rightly(run: Path, manifest_csv: Path, epsilon: float) -> list[float]:
    """Share of the val clips that are told rightly: clean, and under PGD."""
    scorer, manifest = load_scorer(run), Manifest.read(manifest_csv)
    rows = manifest.rows("val")
    waves = [fit(load(manifest.path(row), sample_rate=16000), FRONTEND.crop_samples) for row in rows]
    wave, label = torch.from_numpy(np.stack(waves)), torch.from_numpy(manifest.labels[rows].astype(np.int64))
    threshold = scorer.deployed.threshold
    assert threshold is not None
    found = Targets(wave, label, torch.arange(len(rows)), [""] * len(rows), threshold=threshold)
    victim = Victim.of(scorer)
    attacked = pgd(victim, wave, label, BUDGETS["linf"](found.clean, epsilon), found.draws)
    return [float((~found.crossed(victim.query(each))).double().mean()) for each in (found.clean, attacked)]


def test_it_resists_what_breaks_a_plain_training(tmp_path: Path) -> None:
    manifest_csv = write_corpus(tmp_path, train=24)
    shares = []
    for adversarial in (None, {"p": 1.0, "epsilon": 0.01, "steps": 4}):
        run = train(configured(manifest_csv, tmp_path, adversarial, max_epochs=12), SILENT).run
        shares.append(rightly(run.folder, manifest_csv, epsilon=0.003))
    (plain_clean, plain), (hard_clean, hard) = shares
    assert min(plain_clean, hard_clean) > 0.9
    assert hard > plain + 0.2


@pytest.mark.slow
def test_a_killed_run_ends_like_an_undisturbed_one(
    manifest_csv: Path, dfad: Callable[..., Any], tmp_path: Path
) -> None:
    words = ["data=manifest", f"data.path={manifest_csv}", *SMALL, "augment=adversarial", "augment.adversarial.steps=2"]
    for home in ("whole", "killed"):
        (tmp_path / home).mkdir()
    whole = dfad("train", *words, cwd=tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    stop_after(start(words, tmp_path / "killed"), "epoch 3/4", signal.SIGKILL)
    again = dfad("train", *words, cwd=tmp_path / "killed")
    assert "goes on after its last whole epoch" in again.stdout, again.stderr
    for name in ("curves.csv", "scores/val.csv", "scores/test.csv"):
        assert (only_run(tmp_path / "whole") / name).read_bytes() == (only_run(tmp_path / "killed") / name).read_bytes()
