"""Detectors: the LightningModules that train a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from math import cos, pi
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from dfad.checkpoint import Checkpoint, DetectorKnobs
from dfad.download import Progress
from dfad.errors import DfadError
from dfad.losses import CrossEntropyKnobs, LossKnobs
from dfad.networks.ssl import SSL, SSLKnobs
from dfad.networks.staged import Staged, StagedKnobs
from dfad.training.config import TrainerKnobs
from dfad.training.dataset import Batch
from dfad.training.metrics_mixin import MetricsMixin

BY_DEFAULT = CrossEntropyKnobs()


class Detector(MetricsMixin):
    """Trains a network to tell bona fide from spoof, by a loss that says what its outputs are.

    Args:
        knobs: what the checkpoint will say of itself.
        trainer: schedule of the learning rate; None for a detector that is only evaluated.
        seed: of weights and dropout.
        loss: that it is trained by.
        class_weights: of spoof and bona fide in the loss.
        network: a trained one; None makes a new one, from the seed and any pretrained weights.
        progress: told of the bytes of weights that are downloaded.

    Attributes:
        harden: attacks clips of a batch before a step, by the batch, the network and the epoch; None: nothing.
        mix: mixes clips of a batch with each other, after that; None: nothing.
    """

    harden: Callable[[Batch, nn.Module, int], Batch] | None = None
    mix: Callable[[Batch], Batch] | None = None

    def __init__(
        self,
        knobs: DetectorKnobs,
        trainer: TrainerKnobs | None = None,
        *,
        seed: int = 0,
        loss: LossKnobs = BY_DEFAULT,
        class_weights: tuple[float, float] = (1.0, 1.0),
        network: nn.Module | None = None,
        progress: Progress | None = None,
    ) -> None:
        super().__init__()
        self.knobs, self.schedule, self.seed, self.loss = knobs, trainer, seed, loss
        self.class_weights: Tensor
        self.register_buffer("class_weights", torch.tensor(class_weights), persistent=False)
        if network is None:
            torch.manual_seed(seed)
            network = knobs.network()
            knobs.model.start(network, progress)
        self.network = network
        self.split = knobs.model.split(network)  # a tuple, so that its parts are not registered a second time

    @property
    def unfreezes(self) -> bool:
        """Whether what is trained changes between epochs."""
        return False

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Detector:
        """The detector of a checkpoint, to be evaluated."""
        return cls(checkpoint.knobs, network=checkpoint.network())

    def forward(self, features: Tensor) -> Tensor:
        """Give the outputs. Shape: features -> (batch,) float32."""
        return self.network(features).float()

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Take one step."""
        if self.harden:
            batch = self.harden(batch, self.network, self.current_epoch)
        if self.mix:
            batch = self.mix(batch)
        return self._step("train", batch)

    def validation_step(self, batch: Batch, index: int) -> None:
        """Score a batch of the validation clips."""
        self._step("val", batch)

    def test_step(self, batch: Batch, index: int) -> None:
        """Score a batch of the test clips."""
        self._step("test", batch)

    def _step(self, phase: str, batch: Batch) -> Tensor:
        mixed = phase == "train"  # scores that choose or report anything are computed in float32
        with nullcontext() if mixed else torch.autocast(self.device.type, enabled=False):
            if batch.frozen is None:
                outputs = self(batch.features)
            else:
                assert self.split is not None
                outputs = self.split[1](batch.frozen).float()
        loss = self._loss(outputs, batch)
        repeated = phase != "train" and bool(batch.draw[0])  # to a rank without a batch of its own
        self.observe(phase, loss, outputs, batch.label, batch.row, counts=not repeated)
        return loss

    def _loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The loss; of clips that are mixed that of both labels, each by its share."""
        if batch.mixed is None:
            return self.loss(outputs, batch.label, self.class_weights[batch.label])
        label, share = batch.mixed
        own = self.loss(outputs, batch.label, self.class_weights[batch.label] * share)
        return own + self.loss(outputs, label, self.class_weights[label] * (1 - share))

    def log_odds(self, scores: Any) -> Any:
        """What outputs are to the loss: cosines are moved and stretched."""
        raw = self.knobs.raw
        return scores if raw.unit == "log-odds" else raw.scale * (scores - raw.middle)

    def on_train_batch_start(self, batch: Batch, index: int) -> None:
        """Seed dropout by its address: a resumed run draws what an undisturbed one draws."""
        address = (self.seed, self.current_epoch, index, self.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(address).generate_state(1, np.uint64)[0]))

    def on_train_epoch_end(self) -> None:
        """Stop a training that has left the finite numbers, instead of saving what is useless."""
        loss = self.trainer.callback_metrics["train/loss"]
        if not torch.isfinite(loss):
            raise DfadError(
                f"training diverged: the loss of epoch {self.current_epoch} is {loss.item()}; "
                f"lower model.lr (now {self.knobs.model.lr}) or raise trainer.warmup_epochs"
            )

    def parameter_groups(self) -> Iterator[dict[str, Any]]:
        """Parameters with their learning rates; all that are ever trained, as the optimiser is made once."""
        yield from self._groups(self.network.parameters(), self.knobs.model.lr)

    def _groups(self, parameters: Iterable[nn.Parameter], lr: float) -> Iterator[dict[str, Any]]:
        """Two groups at one learning rate; no weight decay on biases and norms, which have one dimension."""
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        decay = self.knobs.model.weight_decay
        yield {"params": [p for p in trained if p.ndim > 1], "lr": lr, "weight_decay": decay}
        yield {"params": [p for p in trained if p.ndim <= 1], "lr": lr, "weight_decay": 0.0}

    def configure_optimizers(self) -> Any:
        """AdamW, with linear warm-up and then a half cosine down to zero, per step."""
        assert self.schedule is not None, "a detector without trainer options is only evaluated"
        optimizer: Optimizer = AdamW([group for group in self.parameter_groups() if group["params"]])
        steps = int(self.trainer.estimated_stepping_batches)
        warmup = self.schedule.warmup_epochs * steps / self.schedule.max_epochs
        cosine = self.schedule.schedule == "cosine"

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            return 0.5 * (1 + cos(pi * min(1.0, (step - warmup) / max(1.0, steps - warmup)))) if cosine else 1.0

        return [optimizer], [{"scheduler": LambdaLR(optimizer, factor), "interval": "step"}]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let the checkpoint say what it is."""
        checkpoint["dfad"] = self.knobs.plain()


class CNNDetector(Detector):
    """Trains the convolutional network from scratch; one group of parameters, so nothing differs from the base."""


class StagedDetector(Detector):
    """Trains head and backbone at learning rates of their own, and the backbone block by block if asked to."""

    def parameter_groups(self) -> Iterator[dict[str, Any]]:
        """The head's, then those of the blocks that are ever trained."""
        knobs, network = self._staged()
        yield from self._groups(network.head.parameters(), knobs.lr)
        yield from self._groups(network.blocks.parameters(), knobs.backbone_lr)

    @property
    def unfreezes(self) -> bool:
        """Whether the backbone is trained block by block."""
        return self._staged()[0].unfreeze_every is not None

    def on_train_epoch_start(self) -> None:
        """Freeze what this epoch does not train: parameters without gradients, which AdamW leaves alone.

        Only now, as whatever wraps the network for several devices before must see all that are ever trained.
        """
        knobs, network = self._staged()
        network.freeze(knobs.trained_in(self.current_epoch))

    on_train_start = on_train_epoch_start  # a run that goes on inside an epoch does not begin one

    def _staged(self) -> tuple[StagedKnobs, Staged]:
        knobs, network = self.knobs.model, self.network
        assert isinstance(knobs, StagedKnobs)
        assert isinstance(network, Staged)
        return knobs, network


class VGG16Detector(StagedDetector):
    """Trains VGG16."""


class ResNet18Detector(StagedDetector):
    """Trains ResNet-18."""


class SSLDetector(Detector):
    """Trains a self-supervised backbone: the back-end at a rate of its own, every layer slower than the one above."""

    def parameter_groups(self) -> Iterator[dict[str, Any]]:
        """The back-end's, then those of the backbone from its topmost layer down, as far as it is trained."""
        knobs, network = self.knobs.model, self.network
        assert isinstance(knobs, SSLKnobs)
        assert isinstance(network, SSL)
        yield from self._groups([*network.sum.parameters(), *network.back_end.parameters()], knobs.lr)
        for depth, parameters in enumerate(network.encoder.depths()):
            yield from self._groups(parameters, knobs.backbone_lr * knobs.layer_decay**depth)


# any other network trains under `Detector` itself
DETECTORS: Mapping[str, type[Detector]] = {
    "cnn": CNNDetector,
    "vgg16": VGG16Detector,
    "resnet18": ResNet18Detector,
    "ssl": SSLDetector,
}


def class_weights(counts: np.ndarray) -> tuple[float, float]:
    """Weights under which both classes weigh alike, 1 on average over the clips.

    Shape:
        counts: (2,) spoof and bona fide clips of an epoch -> weights of spoof and bona fide

    >>> class_weights(np.array([3, 1]))
    (0.6666666666666666, 2.0)
    """
    spoof, bona_fide = (counts.sum() / (2 * counts)).tolist()
    return spoof, bona_fide
