"""The order of an epoch over chunks: every clip once, few chunks at a time, and ranks that have chunks of their own."""

from __future__ import annotations

from itertools import chain, pairwise

import numpy as np
import pytest

from dfad.training.sampling import Pick, TrainBatches
from dfad.training.shares import Cell
from dfad.training.windows import Windows

CHUNKS, EACH, WINDOW = 40, 25, 4
ROWS = np.arange(CHUNKS * EACH) + 7  # the first clips of the manifest are in no pack
CHUNK = np.concatenate([np.full(7, -1), np.random.default_rng(5).permutation(np.repeat(np.arange(CHUNKS), EACH))])
WINDOWS = Windows(np.where(CHUNK < 0, -1, 0), CHUNK, (WINDOW,))


def epoch(number: int = 0, rank: int = 0, world: int = 1, **options: object) -> list[Pick]:
    batches = TrainBatches(
        ROWS,
        **{"batch_size": 16, "seed": 0, "windows": WINDOWS, **options},
        epoch=lambda: number,
        rank=rank,
        world=world,
    )
    return list(chain.from_iterable(batches))


def rows(picks: list[Pick]) -> list[int]:
    return [pick.row for pick in picks]


def most_at_once(chunks: np.ndarray) -> int:
    """How many chunks are in use at a time, if each is kept from its first clip to its last."""
    first = {chunk: at for at, chunk in reversed(list(enumerate(chunks.tolist())))}
    last = {chunk: at for at, chunk in enumerate(chunks.tolist())}
    return max(sum(first[chunk] <= at <= last[chunk] for chunk in first) for at in range(len(chunks)))


def test_every_clip_comes_once_and_another_epoch_has_another_order() -> None:
    assert sorted(rows(epoch())) == ROWS.tolist()
    assert epoch(3) == epoch(3)
    assert rows(epoch(3)) != rows(epoch(4))
    assert rows(epoch(3)) != rows(epoch(3, seed=1))


@pytest.mark.parametrize("number", range(3))
def test_few_chunks_are_in_use_at_a_time(number: int) -> None:
    chunks = CHUNK[rows(epoch(number))]
    assert most_at_once(chunks) <= WINDOW + 2  # at a moment one more is about to end
    assert most_at_once(CHUNK[rows(epoch(number, windows=None))]) == CHUNKS
    batches = [len(np.unique(chunks[at : at + 16])) for at in range(100, 900, 16)]
    assert np.mean(batches) > 0.7 * WINDOW  # and a batch has clips of nearly all of these


def test_clips_of_a_chunk_are_not_in_the_order_of_the_chunk() -> None:
    order = rows(epoch())
    for chunk in range(CHUNKS):
        inside = [row for row in order if CHUNK[row] == chunk]
        assert inside != sorted(inside)


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_an_epoch_and_hardly_a_chunk(world: int) -> None:
    whole = rows(epoch(2))
    parts = [rows(epoch(2, rank, world)) for rank in range(world)]
    assert {len(part) for part in parts} == {len(ROWS) // world}
    assert list(chain.from_iterable(parts)) == whole[: len(ROWS) // world * world]
    own = [set(CHUNK[part].tolist()) for part in parts]
    for one, other in pairwise(own):
        assert len(one & other) <= WINDOW + 2
    assert sum(map(len, own)) <= CHUNKS + (world - 1) * (WINDOW + 2)


def test_draws_by_weight_stay_the_same_ones() -> None:
    cells = (Cell(ROWS[:300], 700), Cell(ROWS[300:], 300), Cell(ROWS[:50], 40, copied=True))
    here = epoch(1, cells=cells, copies=40)
    plain = epoch(1, cells=cells, copies=40, windows=None)
    assert sorted(pick[:2] for pick in here) == sorted(pick[:2] for pick in plain)
    crops = {pick[:2]: pick.position for pick in plain}
    assert all(crops[pick[:2]] == pick.position for pick in here)  # and with the same crops


def test_a_part_without_a_window_comes_at_any_time() -> None:
    everything = np.arange(len(CHUNK))
    orders = [WINDOWS.order(everything, np.random.default_rng(seed)) for seed in range(40)]
    places = np.concatenate([order.argsort()[:7] for order in orders])
    assert abs(places.mean() / len(CHUNK) - 0.5) < 0.1
    assert places.max() > 0.9 * len(CHUNK)
    assert places.min() < 0.1 * len(CHUNK)
