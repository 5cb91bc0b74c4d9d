"""Which clips go into which batch: a pure function of (seed, epoch), dealt out to ranks by whole batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Sampler

from dfad.draws import Draws


class Pick(NamedTuple):
    """One clip as one batch wants it."""

    row: int  # in the manifest
    draw: int  # how often the clip came up before in this epoch
    position: float  # of the crop: 0 at the clip's start, 1 at the last that fits


class TrainBatches(Sampler[list[Pick]]):
    """Shuffled batches of one epoch.

    Args:
        rows: rows of the training clips in the manifest. Shape: (clips,)
        labels: their labels. Shape: (clips,)
        batch_size: clips per batch on one rank.
        seed: of the run.
        epoch: tells the epoch whenever an iteration begins.
        balance: draw both classes alike; the rarer comes up several times, each time drawn afresh.
        crop: at random, else at the clip's start.
        rank: of this process.
        world: number of processes; each gets equally many clips, at most `world` − 1 of an epoch are left out.
    """

    def __init__(
        self,
        rows: np.ndarray,
        labels: np.ndarray,
        *,
        batch_size: int,
        seed: int,
        epoch: Callable[[], int],
        balance: bool = False,
        crop: bool = True,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.rows, self.labels, self.batch_size = rows, labels, batch_size
        self.seed, self.epoch, self.balance, self.crop = seed, epoch, balance, crop
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        return -(-(len(self.rows) // self.world) // self.batch_size)

    def __iter__(self) -> Iterator[list[Pick]]:
        epoch = self.epoch()
        order, draw = self._order(np.random.default_rng((self.seed, epoch)))
        draws = Draws(self.seed, epoch, torch.from_numpy(order), torch.from_numpy(draw))
        position = draws.uniform("crop").numpy() if self.crop else np.zeros(len(order))
        mine = slice(self.rank, len(order) // self.world * self.world, self.world)
        picks = [
            Pick(*pick) for pick in zip(order[mine].tolist(), draw[mine].tolist(), position[mine].tolist(), strict=True)
        ]
        for start in range(0, len(picks), self.batch_size):
            yield picks[start : start + self.batch_size]

    def _order(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The rows of an epoch in order, and how often each came up before."""
        if not self.balance:
            return random.permutation(self.rows), np.zeros(len(self.rows), np.int64)
        half = -(-len(self.rows) // 2)
        rows, draw = [], []
        for label in (0, 1):
            members = self.rows[self.labels == label]
            rounds = -(-half // len(members))
            rows.append(np.concatenate([random.permutation(members) for _ in range(rounds)])[:half])
            draw.append(np.repeat(np.arange(rounds), len(members))[:half])
        shuffle = random.permutation(2 * half)[: len(self.rows)]
        return np.concatenate(rows)[shuffle], np.concatenate(draw)[shuffle]


class EvalBatches(Sampler[list[Pick]]):
    """Every clip once, in manifest order, cropped at its start; whole batches are dealt to ranks.

    The batches are the same whatever the number of ranks, so the scores are too; no clip comes twice to fill a batch.
    A rank for which none is left repeats the first one, marked by `draw` 1, because Lightning leaves a rank without
    batches out of what the ranks do together at the end, and the others would wait for it for ever.
    """

    def __init__(self, rows: Sequence[int] | np.ndarray, *, batch_size: int, rank: int = 0, world: int = 1) -> None:
        batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
        self.draw = int(bool(batches) and rank >= len(batches))
        self.batches = batches[:1] if self.draw else batches[rank::world]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[Pick]]:
        for batch in self.batches:
            yield [Pick(int(row), self.draw, 0.0) for row in batch]
