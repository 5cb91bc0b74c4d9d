"""Lightning's Trainer, made from our options."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from dfad.errors import ConfigError, did_you_mean
from dfad.training.config import DeviceKnobs, TrainerKnobs
from dfad.training.memory import keep_freed_memory
from dfad.training.quiet import hush
from dfad.training.runs import Run

MONITOR = "val/cllr"  # an EER saturates at 0 and says nothing of calibration


def accelerator_of(knobs: DeviceKnobs) -> str:
    """The accelerator that will be used: `auto` takes a GPU if there is one.

    Raises:
        ConfigError: if the one asked for is not there.
    """
    there = {"cpu": True, "gpu": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if knobs.accelerator == "auto":
        return next(name for name in ("gpu", "mps", "cpu") if there[name])
    if not there[knobs.accelerator]:
        raise ConfigError(f"trainer.accelerator={knobs.accelerator}: there is none here; use trainer.accelerator=cpu")
    return knobs.accelerator


def make_trainer(
    knobs: DeviceKnobs, *, folder: Path, callbacks: Sequence[Callback] = (), progress: bool = False, **more: Any
) -> pl.Trainer:
    """Make a Trainer for evaluation; training passes `more`."""
    hush()
    accelerator = accelerator_of(knobs)
    if accelerator == "cpu":
        keep_freed_memory()
    if accelerator == "gpu" and knobs.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only so
    return pl.Trainer(
        accelerator=accelerator,
        devices=knobs.devices,
        num_nodes=knobs.num_nodes,
        strategy=knobs.strategy,
        precision=knobs.precision,
        deterministic=knobs.deterministic,
        benchmark=False,
        logger=False,
        callbacks=list(callbacks),
        enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        enable_progress_bar=progress,
        enable_model_summary=False,
        use_distributed_sampler=False,  # our samplers deal to the ranks themselves
        num_sanity_val_steps=0,
        default_root_dir=folder,
        **more,
    )


def make_fitting_trainer(knobs: TrainerKnobs, run: Run, callbacks: Sequence[Callback], *, progress: bool) -> pl.Trainer:
    """Make a Trainer for training, with checkpoints in the run folder.

    Raises:
        ConfigError: for an unknown or a doubly given argument in `trainer.extra`.
    """
    fixed = {
        "max_epochs": knobs.max_epochs,
        "gradient_clip_val": knobs.clip_norm,
        "accumulate_grad_batches": knobs.accumulate,
    }
    known = inspect.signature(pl.Trainer).parameters
    for name in knobs.extra:
        if name not in known:
            raise ConfigError(f"unknown option 'trainer.extra.{name}'; {did_you_mean(name, known)}")
    # the best first, so that the last one knows of it
    checkpoints: list[Callback] = [
        _checkpoint(run, "best", monitor=MONITOR, mode="min"),
        _checkpoint(run, "last"),
    ]
    stopping: list[Callback] = []
    if knobs.patience is not None:
        stopping.append(EarlyStopping(MONITOR, patience=knobs.patience, mode="min", check_on_train_epoch_end=True))
    try:
        return make_trainer(
            knobs,
            folder=run.folder,
            callbacks=[*callbacks, *stopping, *checkpoints],
            progress=progress,
            **fixed,
            **knobs.extra,
        )
    except TypeError as error:
        raise ConfigError(f"trainer.extra: {error}") from None


def _checkpoint(run: Run, name: str, **more: Any) -> ModelCheckpoint:
    return ModelCheckpoint(
        dirpath=run.best.parent,
        filename=name,
        save_top_k=1,
        enable_version_counter=False,
        save_on_train_epoch_end=True,  # after validation, when the epoch's metrics are all there
        auto_insert_metric_name=False,
        **more,
    )
