"""A universal perturbation: one waveform that is added to whatever clip comes (Moosavi-Dezfooli et al., CVPR 2017).

One for spoof and one for bona fide, each made twice: clips of either half meet the one that was made from the other.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dfad.robustness.budget import Budget, linf
from dfad.robustness.targets import Targets
from dfad.robustness.victim import Victim

PASSES, BATCH = 10, 32  # over the clips that it is made from


def universal(victim: Victim, known: Targets, epsilon: float, *, passes: int = PASSES) -> Callable[[Targets], Tensor]:
    """Make perturbations that no sample of which exceeds `epsilon`.

    Args:
        victim: the detector.
        known: clips that the adversary has; those that are attacked may be among them.
        epsilon: of full scale 1.
        passes: over the clips.

    Returns:
        What adds them: targets → (batch, samples) on the 16-bit grid. A clip of which nothing was learnt, as `known`
        has none of its class in the other half, stays as it is.
    """
    changes: dict[tuple[int, int], Tensor] = {}
    for label in (0, 1):
        for fold in (0, 1):
            rows = ((known.label.cpu() == label) & (known.fold.cpu() != fold)).nonzero()[:, 0]
            if len(rows):
                changes[label, fold] = _climb(victim, known.some(rows), epsilon, passes)

    def apply(targets: Targets) -> Tensor:
        at = zip(targets.label.tolist(), targets.fold.tolist(), strict=True)
        none = torch.zeros_like(targets.wave[0])
        change = torch.stack([changes.get(key, none) for key in at])
        return linf(targets.clean, epsilon).settle(targets.clean, change)

    return apply


def _climb(victim: Victim, known: Targets, epsilon: float, passes: int) -> Tensor:
    """Steps along the sign of the clips' mean gradient. Shape: -> (samples,).

    Clips far beyond the threshold count less, by the logistic function of their margin: it does not matter by how much
    a decision is wrong. Those that still resist count fully.
    """
    change = torch.zeros_like(known.wave[:1])
    ball = Budget("linf", torch.full((1,), epsilon, dtype=torch.float64, device=change.device))
    batches = list(known.batches(BATCH))
    size = 2.5 / (passes * len(batches))
    for _ in range(passes):
        for some in batches:
            score, gradient = victim.slope((some.clean + change).clamp(-1, 1))
            weight = torch.sigmoid(-some.push * (score - some.threshold)) * some.push
            ahead = ball.steepest((weight[:, None] * gradient).sum(0, keepdim=True))
            change = ball.project(change + size * ahead)
    return change[0]
