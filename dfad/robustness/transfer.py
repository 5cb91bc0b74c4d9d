"""Transfer: a clip made against one detector, which the adversary has, is played to another, which it has not."""

from __future__ import annotations

import torch
from torch import Tensor
from torchaudio.functional import resample

from dfad.robustness.budget import Budget
from dfad.robustness.gradient import STEPS, pgd
from dfad.robustness.targets import Targets
from dfad.robustness.victim import Victim


class Surrogate(Victim):
    """A detector that hears clips made for another: brought to its rate and its length, differentiably.

    Args:
        own: the detector that the adversary has.
        sample_rate: of the clips, Hz.
    """

    def __init__(self, own: Victim, sample_rate: int) -> None:
        super().__init__(own.frontend, own.network)
        self.heard_at = sample_rate

    def score(self, wave: Tensor) -> Tensor:
        """Score waveforms. Shape: (batch, samples) at the clips' rate -> (batch,)."""
        rate, samples = self.frontend.knobs.sample_rate, self.frontend.knobs.crop_samples
        if rate != self.heard_at:
            wave = resample(wave, self.heard_at, rate)
        turns = -(-samples // wave.shape[-1])  # repeated if shorter, as the decoder does it
        return super().score(torch.cat([wave] * turns, -1)[:, :samples])


def transfer(surrogate: Victim, sample_rate: int, targets: Targets, budget: Budget, *, steps: int = STEPS) -> Tensor:
    """Attack clips by PGD on another detector's gradients.

    Args:
        surrogate: that other detector.
        sample_rate: of the clips, Hz.
        targets: the clips.
        budget: around them.
        steps: of PGD.

    Shape:
        -> (batch, samples) on the 16-bit grid
    """
    other = Surrogate(surrogate, sample_rate)
    return pgd(other, targets.wave, targets.label, budget, targets.draws, steps=steps)
