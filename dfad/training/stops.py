"""Checkpoints inside an epoch: at so many steps, and where a signal ends the training; the run goes on there.

SIGTERM and SIGUSR1, which schedulers send a while before they kill, let the step that is on come to its end. All ranks
stop after the same one, whichever of them was asked.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import distributed

from dfad.errors import STOPPED, DfadError, StoppedAt
from dfad.training.metrics_mixin import MetricsMixin
from dfad.training.ranks import gathered

ASKING = (signal.SIGTERM, signal.SIGUSR1)
waited_for = threading.Event()  # set while a first signal lets the step that is on come to its end


def listen(handler: Callable[[int, Any], None]) -> None:
    """Have the signals that ask for an end handled; outside of the main thread nothing can be."""
    if threading.current_thread() is threading.main_thread():
        for number in ASKING:
            signal.signal(number, handler)


def leave(number: int, frame: Any) -> NoReturn:
    """End the process at once: where there is no step to be ended, nothing is lost but what a kill would cost."""
    raise SystemExit(STOPPED)


class Agreement:
    """Whether any rank was asked to stop, as all of them learn after the same step.

    Every call asks the others and gives what they answered to the call before: none waits for one that lags behind, and
    no GPU is waited for. All ranks call it equally often.
    """

    def __init__(self, world: int) -> None:
        self.agreed, self.world = False, world
        self.asking: tuple[torch.Tensor, Any] | None = None
        self.group: Any = None
        if world > 1 and distributed.get_backend() != "gloo":
            self.group = _side_group()

    def __call__(self, asked: bool) -> bool:
        """Ask; whoever was asked to stop says so from then on."""
        if self.world == 1:
            return asked
        before, answer = self.asking, torch.tensor(int(asked))
        self.asking = answer, distributed.all_reduce(answer, distributed.ReduceOp.MAX, self.group, async_op=True)
        if before:
            before[1].wait()
            self.agreed = self.agreed or bool(before[0])
        return self.agreed


def _side_group() -> Any:
    """A group of all ranks over the CPU."""
    try:
        return distributed.new_group(backend="gloo")
    except RuntimeError as error:
        raise DfadError(
            f"the processes cannot reach each other over gloo: {str(error).splitlines()[0]}\n"
            "name the network interface that all hosts share, such as GLOO_SOCKET_IFNAME=eth0"
        ) from error


class Stops(Callback):
    """Writes `last.ckpt` inside an epoch, and takes from it what training had measured until there.

    Args:
        path: of the checkpoint.
        every: optimiser steps between two of them; None: only where a signal ends the training.
        say: prints a line.
    """

    def __init__(self, path: Path, every: int | None, say: Callable[[str], None]) -> None:
        self.path, self.every, self.say = path, every, say
        self.asked, self.inside, self.validating = False, False, False
        self.measured: list[dict[str, Any]] = []  # by each rank
        self.agree: Agreement
        self.validated_by_all = 0  # validation batches that no rank has less of

    def state_dict(self) -> dict[str, Any]:
        """Give what every rank has measured in the epoch so far."""
        return {"measured": self.measured} if self.inside else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it back."""
        self.measured = state_dict.get("measured", [])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on with what was measured, and listen for signals from now on."""
        assert isinstance(pl_module, MetricsMixin)
        if self.measured:
            pl_module.measured_before(self.measured[trainer.global_rank])
        # Lightning makes ranks wait for each other before every step, to hear of a signal that never gets there
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]
        self.agree = Agreement(trainer.world_size)
        self.validated_by_all = min(gathered([int(sum(trainer.num_val_batches))], trainer.world_size))
        waited_for.set()
        listen(self._hear)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop between two epochs, of which the first has its checkpoint."""
        if self.agree(self.asked):
            raise StoppedAt(f"the same command goes on after epoch {trainer.current_epoch} of {trainer.max_epochs}")

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop, or write a checkpoint, after a step of the optimiser."""
        stop = self.agree(self.asked)
        progress = trainer.fit_loop.epoch_loop.batch_progress
        if progress.is_last_batch or progress.current.ready % trainer.accumulate_grad_batches:
            return
        if stop or (self.every and trainer.global_step % self.every == 0):
            self._write(trainer, pl_module, stop=stop)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop after the training of an epoch, of which the validation will be done again."""
        if batch_idx < self.validated_by_all and self.agree(self.asked):
            self.validating = True
            self._write(trainer, pl_module, stop=True)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Have Lightning, where it resumes, validate from the first batch on, as if it had been cut off in that."""
        if self.validating:
            begun = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
            none = dict.fromkeys(begun, 0)
            progress = {"total": begun, "current": none, "is_last_batch": False}
            checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"] = progress

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """From here on a signal ends the process at once, also one that was heard too late for a step."""
        waited_for.clear()
        listen(leave)
        self.agree(self.asked)
        if self.agree(self.asked):
            raise SystemExit(STOPPED)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """No step is waited for after it."""
        waited_for.clear()

    def _hear(self, number: int, frame: Any) -> None:
        if self.asked:
            leave(number, frame)
        self.asked = True

    def _write(self, trainer: pl.Trainer, module: pl.LightningModule, *, stop: bool) -> None:
        assert isinstance(module, MetricsMixin)
        done, epoch = trainer.fit_loop.epoch_loop.batch_progress.current.ready, trainer.current_epoch + 1
        where = f"batch {done} of {int(trainer.num_training_batches)} in epoch {epoch} of {trainer.max_epochs}"
        if stop and trainer.is_global_zero:
            self.say(f"stopping: writing a checkpoint after {where}")
        self.measured = gathered([module.measured()], trainer.world_size)
        self.inside = True
        trainer.save_checkpoint(self.path)
        self.inside = False
        if stop:
            raise StoppedAt(f"the same command goes on after {where}")


def batches_before(checkpoint: Path) -> int:
    """How many batches of the epoch that a checkpoint is of were trained on; 0 of a whole epoch."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    return int(content["ClipDataModule"].get("done", 0))
