"""Which clips come when: permutations in training, each clip exactly once in evaluation, on any number of ranks."""

from __future__ import annotations

import hashlib
from itertools import chain

import numpy as np
import pytest

from dfad.training.sampling import EvalBatches, Pick, TrainBatches
from dfad.training.shares import Cell

ROWS = np.arange(100, 137)
LABELS = np.array([1] * 8 + [0] * 29)


def train(
    epoch: int = 0, rows: np.ndarray = ROWS, labels: np.ndarray = LABELS, *, balance: bool = False, **options: int
) -> TrainBatches:
    half = -(-len(rows) // 2)
    cells = tuple(Cell(rows[labels == label], half) for label in (0, 1)) if balance else ()
    return TrainBatches(rows, **{"batch_size": 5, "seed": 0, "epoch": lambda: epoch, "cells": cells, **options})


def picks(batches: TrainBatches | EvalBatches) -> list[Pick]:
    return list(chain.from_iterable(batches))


def rows(batches: TrainBatches | EvalBatches) -> list[int]:
    return [pick.row for pick in picks(batches)]


# --- training ------------------------------------------------------------------------------------


def test_an_epoch_is_a_permutation():
    assert sorted(rows(train())) == ROWS.tolist()
    assert rows(train()) != ROWS.tolist()
    assert {pick.draw for pick in picks(train())} == {0}


def test_the_same_epoch_comes_again_and_another_differs():
    assert picks(train(3)) == picks(train(3))
    assert rows(train(3)) != rows(train(4))
    assert rows(train(3)) != rows(train(3, seed=1))


@pytest.mark.parametrize(
    ("balance", "first", "digest"),
    [
        (False, [(135, 0), (101, 0), (102, 0), (125, 0)], "66b731cbae8c41c6"),
        (True, [(105, 1), (118, 0), (107, 0), (104, 2)], "396230bdc1da9539"),
    ],
)
def test_the_order_of_an_epoch_stays_what_it_was(balance, first, digest):
    found = picks(train(2, balance=balance, seed=7))
    assert [(pick.row, pick.draw) for pick in found[:4]] == first
    assert {pick.epoch for pick in found} == {2}
    assert hashlib.sha256(repr([tuple(pick)[:3] for pick in found]).encode()).hexdigest()[:16] == digest


def test_the_epoch_is_asked_at_every_iteration():
    epochs = iter([0, 1])
    batches = TrainBatches(ROWS, batch_size=5, seed=0, epoch=lambda: next(epochs))
    assert picks(batches) == picks(train(0))
    assert picks(batches) == picks(train(1))


def test_crops_lie_anywhere_and_change_with_the_epoch():
    many = np.arange(3000)
    first = {pick.row: pick.position for pick in picks(train(0, many, many % 2))}
    second = {pick.row: pick.position for pick in picks(train(1, many, many % 2))}
    assert all(0 <= position < 1 for position in first.values())
    assert abs(np.mean(list(first.values())) - 0.5) < 0.03
    assert abs(np.corrcoef([first[row] for row in many], [second[row] for row in many])[0, 1]) < 0.08


def test_a_crop_does_not_depend_on_batch_size_or_ranks():
    whole = set(picks(train()))
    assert set(picks(train(batch_size=7))) == whole
    assert set(picks(train(rank=1, world=3))) < whole


@pytest.mark.parametrize("batch_size", [1, 5, 36, 37, 1000])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_the_length_is_what_comes(batch_size, world):
    for rank in range(world):
        batches = train(batch_size=batch_size, rank=rank, world=world)
        sizes = [len(batch) for batch in batches]
        assert len(sizes) == len(batches)
        assert sum(sizes) == 37 // world
        assert set(sizes[:-1]) <= {batch_size}


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("world", [2, 3, 4])
def test_ranks_share_an_epoch(world, balance):
    shares = [picks(train(rank=rank, world=world, balance=balance)) for rank in range(world)]
    together = list(chain.from_iterable(shares))
    assert {len(share) for share in shares} == {37 // world}
    assert len(set(together)) == len(together)
    assert set(together) <= set(picks(train(balance=balance)))


def test_what_one_epoch_leaves_out_another_brings():
    seen = set(chain.from_iterable(rows(train(epoch, rank=rank, world=4)) for epoch in range(20) for rank in range(4)))
    assert seen == set(ROWS.tolist())


@pytest.mark.parametrize("bona_fide", [1, 2, 8, 18, 19, 30, 36])
@pytest.mark.parametrize("epoch", [0, 1])
def test_balance_brings_both_classes_alike(bona_fide, epoch):
    labels = np.array([1] * bona_fide + [0] * (37 - bona_fide))
    found = picks(train(epoch, labels=labels, balance=True))
    counts = np.bincount([labels[pick.row - 100] for pick in found])
    assert len(found) == 37
    assert abs(counts[0] - counts[1]) <= 1
    assert len({(pick.row, pick.draw) for pick in found}) == 37


def test_a_repeated_clip_has_a_new_draw_and_a_new_crop():
    repeats: dict[int, list[Pick]] = {}
    for pick in picks(train(balance=True)):
        repeats.setdefault(pick.row, []).append(pick)
    rare = [repeats[row] for row in range(100, 108)]
    assert all(len(found) >= 2 for found in rare)
    assert all(len({pick.position for pick in found}) == len(found) for found in rare)
    assert max(pick.draw for found in rare for pick in found) == 2


def test_balance_brings_the_rare_clips_alike_and_all_the_others_in_time():
    found = list(chain.from_iterable(picks(train(epoch, balance=True)) for epoch in range(10)))
    counts = np.bincount([pick.row - 100 for pick in found])
    assert counts[:8].min() >= 20 - 2
    assert counts[8:].min() >= 1


# --- evaluation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("clips", [0, 1, 2, 7, 8, 9, 64, 100])
@pytest.mark.parametrize("batch_size", [1, 3, 8, 200])
@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_every_clip_comes_exactly_once(clips, batch_size, world):
    some = np.arange(clips) * 3
    shares = [EvalBatches(some, batch_size=batch_size, rank=rank, world=world) for rank in range(world)]
    counted = [pick.row for share in shares for pick in picks(share) if not pick.draw]
    assert sorted(counted) == some.tolist()
    assert all(len(list(share)) == len(share) for share in shares)
    if clips:  # Lightning would leave out a rank without batches, and the others would wait for it
        assert all(len(share) for share in shares)
    assert all(len({pick.draw for pick in batch}) == 1 for share in shares for batch in share)


def test_a_crop_is_at_the_start_unless_asked_for():
    assert {pick.position for pick in picks(train(crop=False))} == {0.0}


@pytest.mark.parametrize("world", [2, 3, 5])
def test_batches_are_what_they_are_on_any_number_of_ranks(world):
    alone = list(EvalBatches(ROWS, batch_size=4))
    dealt = [list(EvalBatches(ROWS, batch_size=4, rank=rank, world=world)) for rank in range(world)]
    assert [dealt[index % world][index // world] for index in range(len(alone))] == alone


def test_evaluation_hears_the_start_of_a_clip():
    found = picks(EvalBatches(ROWS, batch_size=4))
    assert {(pick.draw, pick.position, pick.epoch) for pick in found} == {(0, 0.0, None)}
    assert rows(EvalBatches(ROWS.tolist(), batch_size=4)) == ROWS.tolist()
