"""What the frozen part of a network makes of every clip, computed once and kept for all later epochs and runs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from rich.markup import escape
from torch import nn

from dfad.clips import Manifest
from dfad.errors import DfadError
from dfad.training.config import TrainConfig
from dfad.training.kept import Kept, whole
from dfad.training.runs import environment
from dfad.training.scoring import Screen
from dfad.training.trainer import accelerator_of


class KeepFrozen(Callback):
    """Computes the outputs of the frozen part before the first epoch, unless another run has, and has them used.

    On several devices every rank computes its share; the file lies where all of them see it, beside the runs.
    """

    def __init__(self, path: Path, rows: np.ndarray, run: str, screen: Screen) -> None:
        self.path, self.rows, self.screen = path, rows, screen
        self.part = path.with_name(f"{path.name}.{run}.part")  # its own: runs at the same time do not meet

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compute them."""
        absent = trainer.strategy.broadcast(not whole(self.path))
        if absent:
            self._compute(trainer, pl_module)
        else:
            self.screen.say(f"frozen blocks computed before: {escape(str(self.path))}")
        trainer.datamodule.keep(Kept(self.path, self.rows))  # type: ignore[attr-defined]

    def _compute(self, trainer: pl.Trainer, module: Any) -> None:
        progress = self.screen.watch("computing the frozen blocks")
        content: np.ndarray | None = None
        done = 0
        for rows, outputs in self._outputs(trainer, module):
            if content is None:
                content = self._file(trainer, outputs.shape[1:])
            content[np.searchsorted(self.rows, rows)] = outputs
            done += len(rows) * trainer.world_size
            progress(min(done, len(self.rows)), len(self.rows))
        if content is None:  # a rank without a batch
            self._file(trainer, ())
        else:
            content.flush()  # type: ignore[attr-defined]
        trainer.strategy.barrier()
        if trainer.is_global_zero:
            self.part.replace(self.path)
            size = self.path.stat().st_size / 1e6
            self.screen.say(
                f"frozen blocks computed for {len(self.rows)} clips and kept, {size:.1f} MB: {escape(str(self.path))}"
            )
        trainer.strategy.barrier()

    def _outputs(self, trainer: pl.Trainer, module: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """What the frozen part makes of this rank's batches: rows and outputs."""
        frozen: nn.Module = module.split[0]
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        for batch in data.eval_loader(self.rows):
            if batch.draw[0]:
                continue
            wave = batch.to(module.device).wave
            with torch.inference_mode():
                outputs = frozen(data.frontend.to(module.device)(wave)).cpu().numpy()
            yield batch.row.numpy(), outputs

    def _file(self, trainer: pl.Trainer, shape: tuple[int, ...]) -> np.ndarray:
        """The file, made by the first rank."""
        if trainer.is_global_zero:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            size, free = 4 * len(self.rows) * int(np.prod(shape)), shutil.disk_usage(self.path.parent).free
            if size > free:
                raise DfadError(
                    f"the outputs of the frozen blocks take {size / 1e9:.1f} GB in {self.path.parent}, where "
                    f"{free / 1e9:.1f} GB are free; make room, or compute them anew in every epoch: "
                    "trainer.keep_frozen=false"
                )
            np.lib.format.open_memmap(self.part, "w+", np.float32, (len(self.rows), *shape)).flush()
            if hasattr(os, "posix_fallocate"):  # a disk that is full says so now; while it is written, it would kill us
                with self.part.open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, self.part.stat().st_size)
        trainer.strategy.barrier()
        return np.lib.format.open_memmap(self.part, "r+")


def keep_frozen(
    config: TrainConfig,
    manifest: Manifest,
    clips: str,
    split: tuple[nn.Module, nn.Module] | None,
    run: str,
    screen: Screen,
) -> list[Callback]:
    """Keep the outputs of the frozen part if there is one, and if nothing random comes before it.

    Args:
        config: of the training.
        manifest: the clips.
        clips: fingerprint of their audio.
        split: the frozen part of the network, and the rest.
        run: name of the run.
        screen: is told of it.
    """
    if split is None or not config.trainer.keep_frozen or config.trainer.precision != "32-true":
        return []  # in mixed precision training and validation see other outputs
    if config.trainer.num_nodes > 1:
        screen.say("frozen blocks are computed in every epoch: several hosts cannot write one file together")
        return []
    if config.augment.random:
        screen.say("frozen blocks hear other clips in every epoch; augment=none has them computed once")
        return []
    weights = hashlib.sha256()
    for name, tensor in split[0].state_dict().items():
        weights.update(name.encode() + tensor.numpy().tobytes())
    depends = {
        "clips": [clips, manifest.digest()],
        "frontend": config.frontend.identity(),
        "network": [str(split[0]), weights.hexdigest()],
        "batch_size": config.data.batch_size,
        "computed": _computed(config),
    }
    key = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]
    rows = np.union1d(manifest.rows("train"), manifest.rows("val"))
    return [KeepFrozen(config.runs / ".frozen" / f"{key}.npy", rows, run, screen)]


def _computed(config: TrainConfig) -> list[Any]:
    """What else the numbers depend on: packages, our own code, the processor."""
    code = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        code.update(path.read_bytes())
    accelerator = accelerator_of(config.trainer)
    processor = (
        torch.get_num_threads()
        if accelerator == "cpu"
        else torch.cuda.get_device_name()
        if accelerator == "gpu"
        else None
    )
    return [environment(0, accelerator)["packages"], code.hexdigest(), accelerator, processor]
