"""Following a training: the table of its epochs, in the run folder and on the screen."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from dfad.training.runs import Run

_SHOWN = ("train/loss", "train/accuracy", "val/loss", "val/accuracy", "val/eer", "val/cllr")


class Curves(Callback):
    """Writes `curves.csv`, a row per epoch.

    The rows live in the checkpoint, so a resumed run goes on with just those that belong to it: an epoch that was
    cut off leaves none, and none comes twice.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.rows: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        """Give the rows to the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them back."""
        self.rows = list(state_dict["rows"])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch's row; this runs before the checkpoint of the epoch is written."""
        values = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.rows.append({"epoch": trainer.current_epoch, "step": trainer.global_step, "lr": rate, **values})
        if trainer.is_global_zero:
            text = io.StringIO()
            names = dict.fromkeys(name for row in self.rows for name in row)
            writer = csv.DictWriter(text, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
            self.run.write_text("curves.csv", text.getvalue())


class EpochLines(Callback):
    """Prints a line per epoch, above the progress bar where there is one, once its checkpoint is written."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.line = ""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make the epoch's line; checkpoints come after this."""
        if not trainer.is_global_zero:
            return
        metrics = trainer.callback_metrics
        shown = "  ".join(f"{name} {float(metrics[name]):.3f}" for name in _SHOWN if name in metrics)
        epochs = trainer.max_epochs or 0
        self.line = f"epoch {trainer.current_epoch + 1:>{len(str(epochs))}}/{epochs}  {shown}"

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the line of the epoch before."""
        if self.line:
            self.say(self.line)
            self.line = ""

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the last one's."""
        self.on_train_epoch_start(trainer, pl_module)
