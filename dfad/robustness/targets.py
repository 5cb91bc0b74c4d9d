"""Clips under attack, and what an attack makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dfad.draws import Draws
from dfad.robustness.budget import on_grid


@dataclass(frozen=True)
class Targets:
    """Clips as an adversary meets them.

    Attributes:
        wave: as the detector hears them. Shape: (batch, samples) float32.
        label: bona fide 1, spoof 0. Shape: (batch,) int64.
        keys: numbers of the clips' ids, by which everything is drawn. Shape: (batch,) int64.
        groups: the attack (spoofing system) that made each; empty for bona fide.
        seed: of all that is drawn.
        threshold: at which the detector decides.
    """

    wave: Tensor
    label: Tensor
    keys: Tensor
    groups: Sequence[str]
    seed: int = 0
    threshold: float = 0.0

    def __len__(self) -> int:
        return len(self.wave)

    @property
    def clean(self) -> Tensor:
        """The clips as a 16-bit file holds them, from which every budget counts."""
        return on_grid(self.wave)

    @property
    def push(self) -> Tensor:
        """Where each score is pushed: bona fide down, spoof up. Shape: (batch,) float32, ±1."""
        return push_of(self.label)

    @property
    def draws(self) -> Draws:
        """The random numbers of the clips, on their device."""
        keys = self.keys.to(self.wave.device)
        return Draws(self.seed, 0, keys, torch.zeros_like(keys))

    @property
    def fold(self) -> Tensor:
        """Half of the clips, by their keys: what is learnt on one is tried on the other. Shape: (batch,) 0 or 1."""
        return (self.keys >> 32) & 1

    def crossed(self, score: Tensor) -> Tensor:
        """Whether scores lie on the wrong side of the threshold. Shape: (batch,) -> (batch,) bool."""
        return (score >= self.threshold) != (self.label == 1)

    def some(self, rows: Tensor) -> Targets:
        """Some of them. Shape: (some,) int64."""
        groups = [self.groups[row] for row in rows.tolist()]
        at = rows.to(self.wave.device)
        keys = self.keys[rows.to(self.keys.device)]
        return Targets(self.wave[at], self.label[at], keys, groups, self.seed, self.threshold)

    def batches(self, size: int) -> Iterator[Targets]:
        """All of them, so many at a time."""
        for rows in torch.split(torch.arange(len(self)), size):
            yield self.some(rows)


@dataclass(frozen=True)
class Attacked:
    """What an attack made of clips.

    Attributes:
        wave: on the 16-bit grid. Shape: (batch, samples) float32.
        noted: what else is told of each clip, such as `queries`. Shape: (batch,) each.
    """

    wave: Tensor
    noted: Mapping[str, Tensor] = field(default_factory=dict)


def push_of(label: Tensor) -> Tensor:
    """Where a clip's score is pushed: bona fide (1) down, spoof (0) up. Shape: (batch,) -> (batch,) float32, ±1."""
    return 1.0 - 2.0 * label.float()
