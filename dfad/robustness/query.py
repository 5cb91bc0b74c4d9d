"""An attack that only asks for scores: random search within L∞, for a stated number of queries.

After Square Attack (Andriushchenko et al., ECCV 2020): in each turn a random stretch of the change, ±ε, is drawn anew,
and kept if the score moved the right way; stretches get shorter as the queries run out. Squares of pictures become
square waves of random pitch, as a detector of speech hears no constant offset.
"""

from __future__ import annotations

from math import log, pi

import torch
from torch import Tensor

from dfad.draws import Draws
from dfad.robustness.budget import linf
from dfad.robustness.targets import Attacked, Targets
from dfad.robustness.victim import Victim

LOWEST_HZ = 100.0
FIRST, LAST = 1.0, 0.02  # share of the clip that a stretch takes, at first and at last


def query_attack(victim: Victim, targets: Targets, epsilon: float, queries: int) -> Attacked:
    """Search until a clip has crossed the threshold, or its queries are spent.

    Args:
        victim: the detector, of which only `query` is used.
        targets: the clips.
        epsilon: largest change of a sample, of full scale 1.
        queries: scores that may be asked for each clip, the first of them for the clip as it is.

    Returns:
        The clips, and as `queries` how many scores each one took. Shape: (batch,) int64.
    """
    clean, push, draws = targets.clean, targets.push, targets.draws
    budget = linf(clean, epsilon)
    best, change = clean.clone(), torch.zeros_like(clean)
    score = victim.query(clean)
    highest, asked = push * score, torch.ones(len(clean), dtype=torch.int64, device=clean.device)
    active = (~targets.crossed(score)).nonzero()[:, 0]
    for turn in range(1, queries):
        if not len(active):
            break
        tried = _replaced(change[active], draws[active], turn, queries, epsilon, victim.sample_rate)
        wave = budget[active].settle(clean[active], tried)
        score = victim.query(wave)
        asked[active] += 1
        better = push[active] * score > highest[active]
        rows = active[better]
        best[rows], change[rows], highest[rows] = wave[better], tried[better], (push[active] * score)[better]
        crossed = (score >= targets.threshold) != (targets.label[active] == 1)
        active = active[~(crossed & better)]
    return Attacked(best, {"queries": asked})


def _replaced(change: Tensor, draws: Draws, turn: int, queries: int, epsilon: float, sample_rate: int) -> Tensor:
    """The change with a stretch of it drawn anew. Shape: (batch, samples) -> same."""
    samples = change.shape[-1]
    share = FIRST * (LAST / FIRST) ** ((turn - 1) / max(1, queries - 1))
    drawn = draws.uniform(f"turn {turn}", 3)
    width = max(1, round(share * samples))
    start = (drawn[:, :1] * (samples - width + 1)).long()
    pitch = LOWEST_HZ * torch.exp(drawn[:, 1:2] * log(sample_rate / 2 / LOWEST_HZ))
    time = torch.arange(samples, device=change.device)
    wave = torch.where(torch.sin(2 * pi * (pitch / sample_rate * time + drawn[:, 2:])) < 0, -epsilon, epsilon)
    return torch.where((time >= start) & (time < start + width), wave, change)
