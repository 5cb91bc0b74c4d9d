"""Adversarial training: clips of a batch are attacked by way of the network that learns from them just after."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from dfad.augment import Adversarial
from dfad.robustness.budget import BUDGETS, on_grid
from dfad.robustness.gradient import pgd
from dfad.robustness.victim import Victim
from dfad.training.datamodule import ClipDataModule
from dfad.training.dataset import Batch


class Hardening:
    """Attacks the share of a batch that is to be attacked.

    What happens to a clip hangs on its address and on the network alone, which is in eval mode meanwhile: ranks need
    not wait for each other, and a resumed run draws what an undisturbed one draws.

    Args:
        knobs: of the attack.
        data: what the batches come from; its frontend and its effects on features are used again.
        epochs: of the whole training.
    """

    def __init__(self, knobs: Adversarial, data: ClipDataModule, epochs: int) -> None:
        self.knobs, self.data, self.epochs = knobs, data, epochs

    def __call__(self, batch: Batch, network: nn.Module, epoch: int) -> Batch:
        """Attack them: their waveforms and features are others then.

        Args:
            batch: augmented, with features.
            network: that is trained.
            epoch: counted from 0.
        """
        strength = self.knobs.strength(epoch, self.epochs)
        if not strength:
            return batch
        draws, device = self.data.draws(batch), batch.wave.device
        rows = (draws.uniform("adversarial?") < self.knobs.p).nonzero()[:, 0]
        if not len(rows):
            return batch
        some, at = draws[rows], rows.to(device)
        wave, label = batch.wave[at], batch.label[at]
        budget = BUDGETS[self.knobs.norm](on_grid(wave), strength)
        victim = Victim(self.data.frontend, network)
        wave = pgd(victim, wave, label, budget, some.within("adversarial").to(device), steps=self.knobs.steps)
        assert batch.features is not None
        with torch.no_grad():
            features = self.data.augment.features(self.data.frontend(wave), some)
            return replace(
                batch,
                wave=batch.wave.index_copy(0, at, wave),
                features=batch.features.index_copy(0, at, features),
            )
