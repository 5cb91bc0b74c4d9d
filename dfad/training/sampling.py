"""Which clips go into which batch: a pure function of (seed, epoch), dealt out to ranks by whole batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Sampler

from dfad.draws import Draws
from dfad.training.shares import Cell
from dfad.training.windows import Windows


class Pick(NamedTuple):
    """One clip as one batch wants it."""

    row: int  # in the manifest
    draw: int  # how often the clip came up before in this epoch; of its spoofed copies −1, −2, …
    position: float  # of the crop: 0 at the clip's start, 1 at the last that fits
    epoch: int | None = None  # of the training that it is for; None in evaluation

    @property
    def copied(self) -> bool:
        """Whether a spoofed copy of the clip is wanted, instead of the clip."""
        return self.draw < 0


class TrainBatches(Sampler[list[Pick]]):
    """Shuffled batches of one epoch.

    Args:
        rows: rows of the training clips in the manifest. Shape: (clips,)
        batch_size: clips per batch on one rank.
        seed: of the run.
        epoch: tells the epoch whenever an iteration begins.
        cells: what is drawn how often; a clip that comes up several times is drawn afresh each time. Without any,
            every clip comes once.
        copies: how many of the draws are spoofed copies; an epoch is longer by them.
        windows: of packs that are read chunk by chunk. Each rank then has a stretch of the epoch, and so chunks of its
            own, instead of every so-manieth clip.
        crop: at random, else at the clip's start.
        rank: of this process.
        world: number of processes; each gets equally many clips, at most `world` − 1 of an epoch are left out.
        done: tells how many batches of an epoch were trained on before and are passed over; the length stays that of
            the whole epoch.
    """

    def __init__(
        self,
        rows: np.ndarray,
        *,
        batch_size: int,
        seed: int,
        epoch: Callable[[], int],
        cells: Sequence[Cell] = (),
        copies: int = 0,
        windows: Windows | None = None,
        crop: bool = True,
        rank: int = 0,
        world: int = 1,
        done: Callable[[int], int] = lambda epoch: 0,
    ) -> None:
        self.rows, self.cells, self.batch_size = rows, cells, batch_size
        self.draws, self.windows = len(rows) + copies, windows
        self.seed, self.epoch, self.crop = seed, epoch, crop
        self.rank, self.world, self.done = rank, world, done

    def __len__(self) -> int:
        return -(-(self.draws // self.world) // self.batch_size)

    def __iter__(self) -> Iterator[list[Pick]]:
        epoch = self.epoch()
        random = np.random.default_rng((self.seed, epoch))
        order, draw = self._order(random)
        each = len(order) // self.world
        mine = slice(self.rank, each * self.world, self.world)
        if self.windows:
            by = self.windows.order(order, random)
            order, draw, mine = order[by], draw[by], slice(self.rank * each, (self.rank + 1) * each)
        draws = Draws(self.seed, epoch, torch.from_numpy(order), torch.from_numpy(draw))
        position = draws.uniform("crop").numpy() if self.crop else np.zeros(len(order))
        order, draw, position = order[mine], draw[mine], position[mine]
        starts = range(self.done(epoch) * self.batch_size, len(order), self.batch_size)
        for start in self.windows.ahead(order, starts) if self.windows else starts:
            part = slice(start, start + self.batch_size)  # no list of all: of ten million picks it is gigabytes
            picks = zip(order[part].tolist(), draw[part].tolist(), position[part].tolist(), strict=True)
            yield [Pick(*pick, epoch) for pick in picks]

    def _order(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The rows of an epoch in order, and how often each came up before."""
        if not self.cells:
            return random.permutation(self.rows), np.zeros(len(self.rows), np.int64)
        rows, draw = [], []
        for members, count, copied in self.cells:
            rounds = -(-count // len(members))
            rows.append(np.concatenate([random.permutation(members) for _ in range(rounds)])[:count])
            draws = np.repeat(np.arange(rounds), len(members))[:count]
            draw.append(-1 - draws if copied else draws)
        shuffle = random.permutation(sum(map(len, rows)))[: self.draws]
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
