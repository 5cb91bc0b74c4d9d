"""Attacks along the gradient of the score: FGSM and PGD, through the frontend to the waveform.

FGSM: Goodfellow, Shlens and Szegedy, ICLR 2015. PGD: Madry et al., ICLR 2018. Expectation over transformation: Athalye
et al., ICML 2018. All push the logit itself, which does not saturate as a loss of it would: spoof up, bona fide down.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dfad.draws import Draws
from dfad.robustness.budget import Budget, on_grid
from dfad.robustness.targets import push_of
from dfad.robustness.victim import Through, Victim

STEPS = 10  # of PGD
Effects = Callable[[Tensor, Draws], Tensor]  # random effects on (batch, samples), differentiable


def fgsm(victim: Victim, wave: Tensor, label: Tensor, budget: Budget) -> Tensor:
    """Take one step to the border of the budget.

    Args:
        victim: the detector.
        wave: clips.
        label: of each, bona fide 1, spoof 0.
        budget: around the clips on the 16-bit grid.

    Shape:
        (batch, samples), (batch,) -> (batch, samples) on the 16-bit grid
    """
    clean = on_grid(wave)
    _, gradient = victim.slope(clean)
    return budget.settle(clean, budget.steepest(push_of(label)[:, None] * gradient))


def pgd(
    victim: Victim,
    wave: Tensor,
    label: Tensor,
    budget: Budget,
    draws: Draws,
    *,
    steps: int = STEPS,
    restarts: int = 1,
    effects: Effects | None = None,
    expect: int = 1,
) -> Tensor:
    """Climb in steps of 2.5 radii / `steps` from random starts, and keep each clip's best.

    What is climbed and compared are clips as a 16-bit file holds them, within the budget. Scores through effects are
    luck as well, which the best of many would be chosen for: only the ends of climbs are compared then, by one draw.

    Args:
        victim: the detector.
        wave: clips.
        label: of each, bona fide 1, spoof 0.
        budget: around the clips on the 16-bit grid.
        draws: of the starts, and of the effects.
        steps: gradients that each start takes.
        restarts: random starts.
        effects: random ones that the clips shall survive; the mean over them is climbed.
        expect: draws of the effects in each step.

    Shape:
        (batch, samples), (batch,) -> (batch, samples) on the 16-bit grid
    """
    clean, push, alike = on_grid(wave), push_of(label), draws.within("alike")
    best, highest = clean, push * _mean(victim, clean, effects, expect, alike)
    for restart in range(restarts):
        mine = draws.within(f"restart {restart}")
        change = budget.anywhere(mine, wave.shape[-1])
        for step in range(steps + 1):
            now = budget.settle(clean, change)
            if step < steps:
                score, gradient = _expected(victim, now, effects, expect, mine.within(f"step {step}"))
                ahead = budget.steepest(push[:, None] * gradient)
                change = budget.project(change + 2.5 / steps * ahead)
            else:
                score = _mean(victim, now, effects, expect, alike)
            if effects is None or step == steps:
                better = push * score > highest
                best = torch.where(better[:, None], now, best)
                highest = torch.where(better, push * score, highest)
    return best


def _expected(
    victim: Victim, wave: Tensor, effects: Effects | None, expect: int, draws: Draws
) -> tuple[Tensor, Tensor]:
    """Mean score and gradient over draws of the effects."""
    if effects is None:
        return victim.slope(wave)
    found = [victim.slope(wave, _with(effects, draws, turn)) for turn in range(expect)]
    scores, gradients = zip(*found, strict=True)
    return torch.stack(scores).mean(0), torch.stack(gradients).mean(0)


def _mean(victim: Victim, wave: Tensor, effects: Effects | None, expect: int, draws: Draws) -> Tensor:
    if effects is None:
        return victim.query(wave)
    return torch.stack([victim.query(_with(effects, draws, turn)(wave)) for turn in range(expect)]).mean(0)


def _with(effects: Effects, draws: Draws, turn: int) -> Through:
    return lambda wave: effects(wave, draws.within(f"effects {turn}"))
