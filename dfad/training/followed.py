"""A training that somebody follows epoch by epoch, and may end."""

from __future__ import annotations

from collections.abc import Callable

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from dfad.errors import DfadError
from dfad.training.tracking import Curves


class EndedError(DfadError):
    """Leaves the run unfinished, and says in its folder why."""


class Followed(Callback):
    """Tells of epochs once the checkpoint of the last of them is written; those before a resume are among them.

    Args:
        ends: is given the rows of `curves.csv` that are new, and says whether training ends there.
        reason: why it would.
    """

    def __init__(self, ends: Callable[[list[dict[str, float]]], bool], reason: str) -> None:
        self.ends, self.reason = ends, reason
        self.told = 0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell of the epochs before this one; nobody is asked about the last epoch of a training.

        Raises:
            EndedError: if training ends here.
        """
        (curves,) = (one for one in trainer.callbacks if isinstance(one, Curves))  # type: ignore[attr-defined]
        new = curves.rows[self.told :]
        self.told += len(new)
        if self.ends(new):
            raise EndedError(
                f"ended after epoch {trainer.current_epoch} of {trainer.max_epochs} {self.reason}; "
                "train.py with the same configuration goes on"
            )
