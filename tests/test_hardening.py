"""Adversarial training: who is attacked and by how much, the same on every device and after every resume."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from dfad.audio import Limits
from dfad.augment import Adversarial, AugmentKnobs, SpecAugment
from dfad.clips import Manifest
from dfad.corpora.table import ManifestKnobs
from dfad.errors import ConfigError
from dfad.frontends import LogMelKnobs
from dfad.networks.cnn import CNNKnobs
from dfad.robustness.budget import BUDGETS, on_grid
from dfad.robustness.gradient import pgd
from dfad.robustness.targets import push_of
from dfad.robustness.victim import Victim
from dfad.scorer import DetectorKnobs
from dfad.training.config import TrainerKnobs
from dfad.training.datamodule import Batch, ClipDataModule
from dfad.training.detectors import Detector
from dfad.training.hardening import Hardening
from tests.conftest import SMALL
from tests.test_resume import only_run, start, stop_after

KNOBS = DetectorKnobs(frontend=LogMelKnobs(n_mels=24, crop_s=0.5), model=CNNKnobs(channels=(4, 8)))
HARD = "augment=adversarial"


def module_of(manifest_csv: Path, augment: AugmentKnobs) -> ClipDataModule:
    data = ManifestKnobs(path=manifest_csv, batch_size=8, limits=Limits()) if False else ManifestKnobs(path=manifest_csv)
    module = ClipDataModule(Manifest.read(manifest_csv), data=data, frontend=KNOBS.frontend, augment=augment)
    progress = SimpleNamespace(current=SimpleNamespace(processed=0))
    module.trainer = SimpleNamespace(training=True, fit_loop=SimpleNamespace(epoch_progress=progress))  # type: ignore[assignment]
    return module


def batch_of(module: ClipDataModule, rows: Any) -> Batch:
    items = [module.dataset[pick] for pick in rows]
    return module.on_after_batch_transfer(module.dataset.collate(items), 0)
