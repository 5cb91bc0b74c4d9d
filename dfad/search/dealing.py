"""What of Optuna draws the values of trials, and ends some of them early."""

from __future__ import annotations

import hashlib

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from dfad.search.options import SweepKnobs
from dfad.search.space import Choice, Interval


def distribution(part: Interval | Choice) -> BaseDistribution:
    """Optuna's word for what may vary."""
    if isinstance(part, Choice):
        return CategoricalDistribution(part.typed)
    if part.whole:
        return IntDistribution(int(part.low), int(part.high), log=part.log, step=int(part.step or 1))
    return FloatDistribution(part.low, part.high, log=part.log, step=part.step)


def sampler(name: str, seed: int, slot: int) -> BaseSampler:
    """A sampler whose draws depend on the slot and on what is known by then, not on who asks."""
    digest = hashlib.sha256(f"{seed} {slot}".encode()).digest()
    number = int.from_bytes(digest[:4], "big")
    return RandomSampler(number) if name == "random" else TPESampler(seed=number)


def pruner(knobs: SweepKnobs, steps: int) -> BasePruner:
    """What ends trials.

    Args:
        knobs: of the search.
        steps: the most that a trial reports.
    """
    if knobs.pruner == "median":
        return MedianPruner(knobs.spare_trials, knobs.spare_epochs - 1)
    if knobs.pruner == "hyperband":
        return HyperbandPruner(min(knobs.spare_epochs, steps), steps)
    return NopPruner()
