"""What every detector measures while it trains: running loss and accuracy, and the scores of a whole epoch."""

from __future__ import annotations

from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric
from torchmetrics.classification import BinaryAccuracy

from dfad.clips import Manifest
from dfad.metrics import summary
from dfad.scores import ScoreTable
from dfad.training.ranks import gathered

PHASES = ("train", "val", "test")
LOGGED = ("eer", "auroc", "min_dcf", "cllr")


class MetricsMixin(pl.LightningModule):
    """Mixed into a LightningModule, it logs `<phase>/loss` and `<phase>/accuracy`, and at the end of each validation
    and test epoch makes a ScoreTable and logs `<phase>/eer`, `…/auroc`, `…/min_dcf` and `…/cllr`.

    The module calls `observe` in its steps and sets `manifest` before it is fitted; `tables` then holds the last
    ScoreTable of each phase.
    """  # noqa: D205

    def __init__(self) -> None:
        super().__init__()
        self.manifest: Manifest | None = None
        self.tables: dict[str, ScoreTable] = {}
        # names of their own: a ModuleDict has methods called train and eval
        self.running_loss = nn.ModuleDict({f"{phase}_loss": MeanMetric(nan_strategy="disable") for phase in PHASES})
        self.running_accuracy = nn.ModuleDict(
            {f"{phase}_accuracy": BinaryAccuracy(validate_args=False) for phase in PHASES}
        )
        self._seen: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {phase: [] for phase in PHASES}

    def observe(
        self, phase: str, loss: Tensor, outputs: Tensor, labels: Tensor, rows: Tensor, *, counts: bool = True
    ) -> None:
        """Take in one batch; one that does not count, as another rank has it too, only keeps the ranks in step.

        Shape:
            loss: (); outputs, labels: (batch,) on the device; rows: (batch,) manifest rows, on the CPU
        """
        running_loss = cast(MeanMetric, self.running_loss[f"{phase}_loss"])
        accuracy = cast(BinaryAccuracy, self.running_accuracy[f"{phase}_accuracy"])
        if counts:
            running_loss.update(loss.detach(), weight=len(rows))
            accuracy.update((self.log_odds(outputs.detach()) >= 0).long(), labels)
        self.log(f"{phase}/loss", running_loss, on_step=False, on_epoch=True, batch_size=len(rows))
        self.log(f"{phase}/accuracy", accuracy, on_step=False, on_epoch=True, batch_size=len(rows))
        if counts and phase != "train":
            self._seen[phase].append((rows.numpy(), outputs.detach().float().cpu().numpy()))

    def measured(self) -> dict[str, dict[str, Any]]:
        """What the running metrics of training hold, as plain numbers: what comes back from them is the same."""
        return {
            name: {key: cast(Tensor, value).tolist() for key, value in metric.metric_state.items()}
            for name, metric in self._of_training().items()
        }

    def measured_before(self, measured: dict[str, dict[str, Any]]) -> None:
        """Go on with what they held, in an epoch that was cut off; perhaps no batch of it is left."""
        for name, metric in self._of_training().items():
            for key, value in cast(dict[str, Tensor], metric.metric_state).items():
                setattr(metric, key, torch.tensor(measured[name][key], dtype=value.dtype, device=value.device))
            metric._update_count = 1
            self.log(f"train/{name}", metric, on_step=False, on_epoch=True)

    def _of_training(self) -> dict[str, Metric]:
        found = {"loss": self.running_loss["train_loss"], "accuracy": self.running_accuracy["train_accuracy"]}
        return cast(dict[str, Metric], found)

    def log_odds(self, scores: Any) -> Any:
        """What outputs are as log-odds, which accuracy and Cllr are of; here they are such."""
        return scores

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the validation scores."""
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the test scores."""
        self._log_scores("test")

    def _log_scores(self, phase: str) -> None:
        assert self.manifest is not None, "set `manifest` before fitting"
        parts = gathered(self._seen[phase], self.trainer.world_size)
        self._seen[phase] = []
        rows, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.argsort(rows)
        rows, scores = rows[order], scores[order]
        table = self.tables[phase] = ScoreTable.of(self.manifest, rows, scores)
        values = summary(self.log_odds(table.scores), table.labels).values
        for name in LOGGED:
            self.log(f"{phase}/{name}", values[name])
