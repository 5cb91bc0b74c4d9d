"""What it gains that frozen blocks are computed once: the first epoch of a frozen VGG16 beside those that follow."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback

from bench.epoch import write_corpus
from dfad.training.config import TrainConfig
from dfad.training.fit import train
from dfad.training.scoring import SILENT

CLIPS, EPOCHS = 256, 6


def main() -> list[str]:
    """Measure, and give lines of Markdown."""
    kept, anew = epochs(keep=True), epochs(keep=False)
    return [
        f"VGG16, only the head trained, {CLIPS} clips of 2 s, 80 bands, `augment=none`, {torch.get_num_threads()} "
        f"threads, {EPOCHS} epochs with validation and checkpoints.",
        "",
        "| frozen blocks | first epoch, s | a later one, s | first / later |",
        "|---|---|---|---|",
        *(
            f"| {name} | {took[0]:.1f} | {median(took[1:]):.2f} | {took[0] / median(took[1:]):.0f} |"
            for name, took in (("computed once", kept), ("`trainer.keep_frozen=false`", anew))
        ),
    ]


def epochs(keep: bool) -> list[float]:
    """Seconds of each epoch; whatever is prepared for the first one counts as part of it."""
    took: list[float] = []

    class Timed(Callback):
        began = 0.0

        def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
            self.began = time.perf_counter()

        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.current_epoch:  # the last one's checkpoints are written by now
                took.append(time.perf_counter() - self.began)
                self.began = time.perf_counter()

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        values: dict[str, Any] = {
            "data": {"name": "manifest", "path": str(write_corpus(home, CLIPS))},
            "frontend": {"name": "logmel"},
            "model": {"name": "vgg16", "pretrained": "none", "unfreeze_from": "none"},
            "augment": {"name": "none"},
            "trainer": {"max_epochs": EPOCHS if keep else 3, "accelerator": "cpu", "keep_frozen": keep},
            "runs": str(home / "runs"),
        }
        train(TrainConfig.read(values), SILENT, [Timed()])
    return took


if __name__ == "__main__":
    print("\n".join(main()))
