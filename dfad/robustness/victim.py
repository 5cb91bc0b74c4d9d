"""The detector as an adversary meets it: waveform → score with a gradient, and nothing of it changed afterwards."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dfad.frontends import Frontend
from dfad.networks.modes import evaluating
from dfad.scorer import Scorer

Through = Callable[[Tensor], Tensor]  # differentiable effects between an adversary's waveform and the detector


class Victim:
    """A detector under attack.

    Scores are computed in eval mode and float32, so that a clip's score and gradient hang on no other clip. Weights,
    their gradients, `requires_grad` and the mode of every part are afterwards what they were, whatever happens.

    Args:
        frontend: waveform → features.
        network: features → (batch,) logits of bona fide.
    """

    def __init__(self, frontend: Frontend, network: nn.Module) -> None:
        self.frontend, self.network = frontend, network

    @classmethod
    def of(cls, scorer: Scorer) -> Victim:
        """The detector that a user would use, before its calibrator."""
        return cls(scorer.frontend, scorer.network)

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.frontend.knobs.sample_rate

    @property
    def samples(self) -> int:
        """Length of the waveforms that the detector hears."""
        return self.frontend.knobs.crop_samples

    def score(self, wave: Tensor) -> Tensor:
        """Score waveforms; differentiable in them, where the caller records gradients.

        Shape:
            (batch, samples) float32 -> (batch,) float32, higher = more bona fide
        """
        with evaluating(self.network), torch.autocast(wave.device.type, enabled=False):
            return self.network(self.frontend(wave)).float()

    def query(self, wave: Tensor) -> Tensor:
        """Score waveforms as somebody outside does, who has no gradient.

        Shape:
            (batch, samples) float32 -> (batch,) float32
        """
        with torch.no_grad():
            return self.score(wave)

    def slope(self, wave: Tensor, through: Through | None = None) -> tuple[Tensor, Tensor]:
        """Score waveforms, and say how each sample moves its clip's score.

        It works within `no_grad` and `inference_mode` too, in which evaluation runs.

        Args:
            wave: clips.
            through: effects that the clips pass before the detector hears them.

        Shape:
            (batch, samples) float32 -> (batch,), (batch, samples) float32; a gradient that is not finite becomes 0
        """
        with torch.inference_mode(False), torch.enable_grad():
            leaf = wave.detach().clone().requires_grad_()
            score = self.score(through(leaf) if through else leaf)
            # only the waveform's: weights gather no gradient, whatever their requires_grad
            (gradient,) = torch.autograd.grad(score.sum(), leaf, allow_unused=True)
        if gradient is None:
            gradient = torch.zeros_like(leaf)
        return score.detach(), gradient.nan_to_num(0.0, 0.0, 0.0)
