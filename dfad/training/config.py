"""The configuration of a training and of an evaluation, as typed options; Hydra ends before this file."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any, Literal

from lightning.pytorch import Trainer
from pydantic import Field, field_validator, model_validator

from dfad.augment import AugmentKnobs
from dfad.corpora import CORPORA, CorpusKnobs
from dfad.errors import did_you_mean
from dfad.evaluation import EvaluationKnobs, require_calibrator
from dfad.frontends import FRONTENDS, FrontendKnobs
from dfad.knobs import Free, Knobs, Later, Named
from dfad.losses import LOSSES, CrossEntropyKnobs, LossKnobs
from dfad.networks import NetworkKnobs
from dfad.networks.fusion import EVERY_NETWORK
from dfad.robustness.options import RobustnessKnobs
from dfad.training.loggers import LOGGERS, LoggerKnobs, NoLoggerKnobs

OURS = {  # arguments of Lightning's Trainer that have options of ours, or on which the promises of a run rest
    *("accelerator", "devices", "num_nodes", "strategy", "precision", "deterministic", "benchmark", "plugins"),
    *("logger", "callbacks", "enable_checkpointing", "enable_progress_bar", "enable_model_summary", "barebones"),
    *("use_distributed_sampler", "num_sanity_val_steps", "default_root_dir", "max_epochs", "gradient_clip_val"),
    *("accumulate_grad_batches", "check_val_every_n_epoch", "val_check_interval", "fast_dev_run", "inference_mode"),
    *("reload_dataloaders_every_n_epochs", "limit_val_batches", "limit_test_batches", "sync_batchnorm"),
}


class DeviceKnobs(Knobs):
    """Where the work is done."""

    accelerator: Literal["auto", "cpu", "gpu", "mps"] = Field("auto", description="auto takes a GPU if there is one")
    devices: int = Field(1, ge=1, description="a process for each of them (DDP) on every machine")
    num_nodes: Annotated[int, Later] = Field(
        1, ge=1, description="machines, on each of which torchrun or srun starts it"
    )
    deterministic: bool = Field(True, description="refuse operations that would give other numbers each time")


class TrainerKnobs(DeviceKnobs):
    """How training goes."""

    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = Field(
        "32-true", description="mixed precisions speed a GPU up; waveform, features and scores stay in float32"
    )
    max_epochs: int = Field(20, ge=1, description="epochs, unless patience ends them before")
    patience: int | None = Field(
        None, ge=1, description="epochs without a better val/cllr before stopping; null: never"
    )
    warmup_epochs: float = Field(1.0, ge=0, description="epochs over which the learning rate rises to model.lr")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="the learning rate after the warm-up")
    clip_norm: float | None = Field(5.0, gt=0, description="largest gradient norm; null: no clipping")
    accumulate: int = Field(1, ge=1, description="batches per optimiser step")
    checkpoint_steps: Annotated[int | None, Free] = Field(
        None, ge=1, description="optimiser steps between checkpoints in an epoch; null: at its end, and on signals"
    )
    keep_frozen: Annotated[bool, Free] = Field(
        True, description="compute frozen blocks once for all epochs, where nothing random comes before them"
    )
    extra: dict[str, Any] = Field({}, description="further arguments of Lightning's Trainer")

    @field_validator("extra")
    @classmethod
    def _extra_is_left_to_the_user(cls, extra: dict[str, Any]) -> dict[str, Any]:
        known = set(inspect.signature(Trainer).parameters) - OURS
        for name in extra:
            if name in OURS:
                raise ValueError(f"{name} is set by dfad itself")
            if name not in known:
                raise ValueError(f"unknown option {name!r}; {did_you_mean(name, known)}")
        return extra


class TrainConfig(Knobs):
    """All that defines a training."""

    data: Annotated[CorpusKnobs, Named(CORPORA)]
    frontend: Annotated[FrontendKnobs, Named(FRONTENDS)]
    model: Annotated[NetworkKnobs, Named(EVERY_NETWORK)]
    augment: AugmentKnobs
    loss: Annotated[LossKnobs, Named(LOSSES), Later] = CrossEntropyKnobs()
    trainer: TrainerKnobs
    eval: Annotated[EvaluationKnobs, Free] = Field(EvaluationKnobs())
    logger: Annotated[LoggerKnobs, Named(LOGGERS), Free] = NoLoggerKnobs()
    seed: int = Field(0, ge=0, lt=2**32, description="of weights, order, crops, augmentation and dropout")
    runs: Annotated[Path, Free] = Field(Path("runs"), description="folder of all runs")
    force: Annotated[bool, Free] = Field(False, description="train again though the run is finished")

    @model_validator(mode="after")
    def _network_takes_the_features(self) -> TrainConfig:
        self.model.require(self.frontend)
        return self

    @model_validator(mode="after")
    def _users_see_log_odds(self) -> TrainConfig:
        require_calibrator(self.eval, self.loss.raw)
        return self

    @model_validator(mode="after")
    def _all_is_trained_in_time(self) -> TrainConfig:
        least, most = self.model.least_epochs, self.trainer.max_epochs
        if least > most:
            raise ValueError(
                f"trainer.max_epochs={most} ends before all is trained that should be, which takes {least}; "
                f"use trainer.max_epochs={least} or more, or unfreeze less or sooner"
            )
        return self

    @model_validator(mode="after")
    def _every_device_gets_its_share(self) -> TrainConfig:
        batch, devices = self.data.batch_size, self.trainer.devices * self.trainer.num_nodes
        if batch % devices:
            near = [size for size in (batch // devices * devices, -(-batch // devices) * devices) if size]
            nodes = f" times trainer.num_nodes={self.trainer.num_nodes}" if self.trainer.num_nodes > 1 else ""
            raise ValueError(
                f"data.batch_size={batch} is for all devices together and does not divide by "
                f"trainer.devices={self.trainer.devices}{nodes}; use data.batch_size={' or '.join(map(str, near))}"
            )
        return self

    @model_validator(mode="after")
    def _masks_need_a_map(self) -> TrainConfig:
        if self.augment.specaugment and not self.frontend.spectral:
            raise ValueError(
                f"augment.specaugment masks a spectrogram and frontend={self.frontend.name} gives none; "
                "use augment.specaugment=null"
            )
        return self


class EvalConfig(Knobs):
    """All that defines an evaluation."""

    run: Path = Field(description="run folder or checkpoint")
    data: dict[str, Any] | None = Field(
        None, description="another corpus, or options over the run's own; null: the run's own"
    )
    split: Literal["train", "val", "test", "all"] = Field("test", description="which clips are scored")
    eval: dict[str, Any] | None = Field(None, description="options over the run's own, such as eval.threshold")
    robustness: RobustnessKnobs = Field(RobustnessKnobs())
    trainer: DeviceKnobs = Field(DeviceKnobs())
    force: bool = Field(False, description="evaluate again though the result is stored")
