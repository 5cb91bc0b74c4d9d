"""Lightning's Trainer, made from our options."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar
from lightning.pytorch.plugins.io import TorchCheckpointIO

from dfad.errors import ConfigError
from dfad.training.config import DeviceKnobs, TrainerKnobs
from dfad.training.memory import keep_freed_memory
from dfad.training.norms import SyncedNorms
from dfad.training.quiet import CONSOLE_OPTIONS, hush
from dfad.training.ranks import ALONE, Rank
from dfad.training.runs import Run
from dfad.training.stops import Stops, leave, listen

MONITOR = "val/cllr"  # an EER saturates at 0 and says nothing of calibration


def accelerator_of(knobs: DeviceKnobs) -> str:
    """The accelerator that will be used: `auto` takes a GPU if there is one.

    Raises:
        ConfigError: if the one asked for is not there, or not so often.
    """
    there = {
        "gpu": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
        "cpu": os.cpu_count() or 1,
    }
    name = knobs.accelerator
    if name == "auto":
        name = "gpu" if there["gpu"] else "mps" if there["mps"] else "cpu"
    if not there[name]:
        raise ConfigError(f"trainer.accelerator={name}: there is none here; use trainer.accelerator=cpu")
    if knobs.devices > there[name]:
        unit = "core" if name == "cpu" else name
        other = "" if name == "cpu" else ", or trainer.accelerator=cpu"
        raise ConfigError(
            f"trainer.devices={knobs.devices}: this machine has {there[name]} {unit}{'s' if there[name] > 1 else ''}; "
            f"use trainer.devices={there[name]}{other}"
        )
    return name


def make_trainer(
    knobs: DeviceKnobs,
    *,
    folder: Path,
    rank: Rank = ALONE,
    callbacks: Sequence[Callback] = (),
    plugins: Sequence[Any] = (),
    unfreezes: bool = False,
    enable_progress_bar: bool = False,
    **more: Any,
) -> pl.Trainer:
    """Make a Trainer for evaluation; training passes `more`."""
    hush()
    accelerator = accelerator_of(knobs)
    if accelerator == "cpu":
        keep_freed_memory()
    # deterministic mode would also fill all fresh memory, to find those who read it unwritten: every step, for nothing
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if accelerator == "gpu" and knobs.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only so
    return pl.Trainer(
        accelerator=accelerator,
        devices=knobs.devices,
        num_nodes=knobs.num_nodes,
        strategy=f"ddp_find_unused_parameters_{str(unfreezes).lower()}" if rank.world > 1 else "auto",
        plugins=[*(rank.environment or [LightningEnvironment()]), *plugins],  # else it looks for Slurm's by itself
        deterministic=knobs.deterministic,
        benchmark=False,
        logger=False,
        callbacks=[_Terminable(), *callbacks],
        enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        enable_progress_bar=enable_progress_bar,
        enable_model_summary=False,
        use_distributed_sampler=False,  # our samplers deal to the ranks themselves
        num_sanity_val_steps=0,
        default_root_dir=folder,
        **more,
    )


def make_fitting_trainer(
    knobs: TrainerKnobs,
    run: Run,
    callbacks: Sequence[Callback],
    *,
    rank: Rank = ALONE,
    unfreezes: bool = False,
    first: int = 0,
    say: Callable[[str], None],
    progress: bool,
) -> pl.Trainer:
    """Make a Trainer for training, with checkpoints in the run folder.

    Args:
        knobs: of the training.
        run: whose folder it is.
        callbacks: that follow it.
        rank: of this process.
        unfreezes: whether what is trained changes between epochs.
        first: the first epoch, counted from 0, that may be the best, or be waited for in vain.
        say: prints a line.
        progress: whether a bar follows the batches.

    Raises:
        ConfigError: for arguments that Lightning does not take.
    """
    if knobs.precision != "32-true" and accelerator_of(knobs) == "cpu":
        raise ConfigError(f"trainer.precision={knobs.precision} needs a GPU: a CPU is slower with it, not faster")
    fixed = {
        "precision": knobs.precision,
        "max_epochs": knobs.max_epochs,
        "gradient_clip_val": knobs.clip_norm,
        "accumulate_grad_batches": knobs.accumulate,
    }
    # the best first, so that the last one knows of it
    checkpoints: list[Callback] = [
        _checkpoint(run, "best", first, monitor=MONITOR, mode="min"),
        _checkpoint(run, "last"),
    ]
    stopping: list[Callback] = []
    if knobs.patience is not None:
        stopping.append(_Patience(knobs.patience, first, say))
    bar: list[Callback] = [RichProgressBar(leave=False, console_kwargs=CONSOLE_OPTIONS)] if progress else []
    try:
        return make_trainer(
            knobs,
            folder=run.folder,
            rank=rank,
            unfreezes=unfreezes,
            callbacks=[*callbacks, *bar, *stopping, Stops(run.last, knobs.checkpoint_steps, say), *checkpoints],
            enable_progress_bar=progress,
            plugins=[_AtomicCheckpoints(), *([SyncedNorms(accelerator_of(knobs))] if rank.world > 1 else [])],
            **fixed,
            **knobs.extra,
        )
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise ConfigError(f"trainer: {error}") from None


class _Terminable(Callback):
    """SIGTERM and SIGUSR1 end an evaluation as Ctrl-C does: at once.

    Lightning's own handler waits for the batch to end, or, on several devices, for ranks that do not listen.
    """

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        listen(leave)


class _Patience(EarlyStopping):
    """Early stopping that also holds for a run that was cut off after its last epoch."""

    def __init__(self, patience: int, first: int, say: Callable[[str], None]) -> None:
        super().__init__(MONITOR, patience=patience, mode="min", check_on_train_epoch_end=True)
        self.first, self.say = first, say

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch >= self.first:
            super().on_train_epoch_end(trainer, pl_module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero and self.wait_count >= self.patience:
            self.say(f"stopped: no better {self.monitor} for {self.patience} epochs")


class _AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints that are there whole or not at all, written beside where they go.

    Lightning's own pass through the system's folder for temporary files, whence a move is a copy that can be cut.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        content = BytesIO()
        torch.save(checkpoint, content)
        with part.open("wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)


class _FromThenOn(ModelCheckpoint):
    """A checkpoint that no epoch before the first that may be chosen becomes."""

    def __init__(self, first: int, **more: Any) -> None:
        super().__init__(**more)
        self.first = first

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch >= self.first:
            super().on_train_epoch_end(trainer, pl_module)


def _checkpoint(run: Run, name: str, first: int = 0, **more: Any) -> ModelCheckpoint:
    kind = partial(_FromThenOn, first) if first else ModelCheckpoint
    return kind(
        dirpath=run.best.parent,
        filename=name,
        save_top_k=1,
        enable_version_counter=False,
        save_on_train_epoch_end=True,  # after validation, when the epoch's metrics are all there
        auto_insert_metric_name=False,
        **more,
    )
