"""How near a training epoch from disk comes to a bare PyTorch loop over tensors in memory.

Both use the same network, frontend, batch size, optimiser and clipping, the same cores and the same process, epoch by
epoch in turn; the first epoch of each warms up and does not count.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import lightning.pytorch as pl
import numpy as np
import soundfile
import torch
import yaml
from lightning.pytorch.callbacks import Callback
from torch.nn import functional as F

from dfad.commands.door import CONF
from dfad.draws import Draws
from dfad.training.config import TrainConfig
from dfad.training.dataset import ClipDataset
from dfad.training.fit import train
from dfad.training.sampling import Pick
from dfad.training.scoring import SILENT

CLIPS, SECONDS, RATE, ROUNDS = 2048, 2.0, 16000, 5


def main() -> list[str]:
    """Measure, and give lines of Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        config = configured(home, write_corpus(home, CLIPS))
        pairs = list(interleaved(config, BareLoop(config), CLIPS))
        stages = stage_times(config)
    bare, ours = (median(rates) for rates in zip(*pairs, strict=True))
    lines = [
        f"{CLIPS} WAV files of {SECONDS:.0f} s at {RATE // 1000} kHz, warm cache, `{config.model.name}` on "
        f"`{config.frontend.name}`, batch {config.data.batch_size}, no augmentation, "
        f"{torch.get_num_threads()} threads, median of {ROUNDS} interleaved epochs.",
        "",
        "| training | clips/s |",
        "|---|---|",
        f"| (a) bare PyTorch loop over preloaded tensors | {bare:.0f} |",
        f"| (b) `train.py`, an epoch from disk | {ours:.0f} |",
        f"| b / a, median of the rounds' ratios | {median(b / a for a, b in pairs):.3f} |",
        "",
        "b / a round by round: " + ", ".join(f"{b / a:.3f}" for a, b in pairs),
        "",
        "| stage of a step | ms per clip |",
        "|---|---|",
    ]
    return lines + [f"| {name} | {1000 * seconds:.2f} |" for name, seconds in stages.items()]


def write_corpus(home: Path, clips: int) -> Path:
    """Noise will do: how long a step takes does not depend on what is heard."""
    random = np.random.default_rng(0)
    lines = ["path,label,split"]
    for number in range(clips + 8):
        name, label = f"{number}.wav", ("spoof", "bona-fide")[number % 2]
        soundfile.write(home / name, 0.1 * random.normal(size=round(SECONDS * RATE)), RATE)
        lines.append(f"{name},{label},{'train' if number < clips else ('val', 'test')[number // 4 % 2]}")
    (home / "manifest.csv").write_text("\n".join(lines) + "\n")
    return home / "manifest.csv"


def configured(home: Path, manifest: Path) -> TrainConfig:
    """The shipped defaults, without augmentation."""
    return TrainConfig.read(
        {
            "data": {"name": "manifest", "path": str(manifest)},
            "frontend": {"name": "logmel"},
            "model": {"name": "cnn"},
            "augment": {"name": "none"},
            "trainer": {"max_epochs": ROUNDS + 1, "accelerator": "cpu"},
            "runs": str(home / "runs"),
        }
    )


class Bare(Protocol):
    """A loop to be compared with."""

    def epoch(self) -> float: ...


def interleaved(config: TrainConfig, bare: Bare, clips: int) -> Iterator[tuple[float, float]]:
    """Clips per second of both loops, round by round."""
    rates: list[tuple[float, float]] = []

    class Timed(Callback):
        """Times the training part of an epoch, then lets the bare loop run one."""

        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            self.began = time.perf_counter()

        def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.training or trainer.validating:
                self.took = time.perf_counter() - self.began

        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            rates.append((clips / bare.epoch(), clips / self.took))

    train(config, SILENT, [Timed()])
    return iter(rates[1:])


class BareLoop:
    """What one would write by hand."""

    def __init__(self, config: TrainConfig) -> None:
        manifest = config.data.manifest()
        dataset = ClipDataset(manifest, config.frontend, config.data.limits)
        batch = dataset.collate([dataset[Pick(int(row), 0, 0.0)] for row in manifest.rows("train")])
        self.wave, self.label, self.size = batch.wave, batch.label.float(), config.data.batch_size
        self.clip = config.trainer.clip_norm or 0.0
        self.frontend = config.frontend.build()
        self.network: torch.nn.Module = config.model.build(config.frontend)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=config.model.lr)

    def epoch(self) -> float:
        """Train for an epoch; give the seconds it took."""
        began = time.perf_counter()
        for rows in torch.randperm(len(self.wave)).split(self.size):
            self.step(self.wave[rows], self.label[rows])
        return time.perf_counter() - began

    def end(self) -> None:
        """There is nothing to end."""

    def step(self, wave: torch.Tensor, label: torch.Tensor) -> None:
        """Take one step."""
        loss = F.binary_cross_entropy_with_logits(self.network(self.frontend(wave)), label)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
        self.optimizer.step()


def stage_times(config: TrainConfig) -> dict[str, float]:
    """Seconds per clip of each stage by itself."""
    manifest = config.data.manifest()
    dataset = ClipDataset(manifest, config.frontend, config.data.limits)
    picks = [Pick(int(row), 0, 0.5) for row in manifest.rows("train")[: config.data.batch_size]]
    batch = dataset.collate([dataset[pick] for pick in picks])
    light = TrainConfig.read({**config.plain(), "augment": LIGHT}).augment
    frontend, network = config.frontend.build(), config.model.build(config.frontend)
    features = frontend(batch.wave)
    draws = Draws(0, 0, batch.row, batch.draw)

    def train_step() -> None:
        F.binary_cross_entropy_with_logits(network(features), batch.label.float()).backward()

    stages: dict[str, Callable[[], Any]] = {
        "decode and batch": lambda: dataset.collate([dataset[pick] for pick in picks]),
        "augment=light, waveform": lambda: light.wave(batch.wave, draws, RATE),
        "frontend": lambda: frontend(batch.wave),
        "augment=light, features": lambda: light.features(features, draws),
        "network, forward and backward": train_step,
    }
    return {name: _seconds(work) / len(picks) for name, work in stages.items()}


LIGHT = yaml.safe_load((CONF / "augment" / "light.yaml").read_text())


def _seconds(work: Callable[[], Any]) -> float:
    times = []
    for _ in range(2 + 7):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return median(times[2:])


if __name__ == "__main__":
    print("\n".join(main()))
