"""What an epoch draws: shares of parts and classes to within one clip, and nothing else than before without a mix."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dfad.clips import Manifest
from dfad.corpora import CORPORA, CorpusKnobs
from dfad.errors import DataError
from dfad.roots import Roots
from dfad.training.detectors import class_weights
from dfad.training.sampling import Pick, TrainBatches
from dfad.training.shares import cells_of, drawn_by_class, drawn_by_part, quotas

QUICK = settings(deadline=None, derandomize=True, database=None, max_examples=25)
SIZES = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=2, max_size=5)
WEIGHTS = st.lists(st.floats(0.2, 9), min_size=5, max_size=5)


def corpus(*sizes: tuple[int, int]) -> Manifest:
    """Parts `p0`, `p1`, … with so many bona fide and spoof clips for training, and a test clip of each class."""
    rows = [
        (f"p{part}/{split}{label}{number}.wav", label, split, f"p{part}")
        for part, both in enumerate(sizes)
        for label, count in zip(("real", "fake"), both, strict=True)
        for split, clips in (("train", count), ("test", 1))
        for number in range(clips)
    ]
    frame = pd.DataFrame(rows, columns=["path", "label", "split", "corpus"]).sample(frac=1, random_state=0)
    return Manifest.check(frame.reset_index(drop=True), Roots({}), source="here")


def mix(weights: list[float], **options: str) -> CorpusKnobs:
    parts = {f"p{part}": {"name": "demo", "weight": weight} for part, weight in enumerate(weights)}
    return CORPORA["mix"].read({"parts": parts, **options})


def epoch(manifest: Manifest, data: CorpusKnobs, number: int = 0, *, rank: int = 0, world: int = 1) -> list[Pick]:
    rows, cells = manifest.rows("train"), cells_of(manifest, data)
    batches = TrainBatches(rows, batch_size=7, seed=3, epoch=lambda: number, cells=cells, rank=rank, world=world)
    return list(chain.from_iterable(batches))


def drawn(manifest: Manifest, found: list[Pick]) -> pd.DataFrame:
    frame = manifest.frame.iloc[[pick.row for pick in found]]
    return frame.assign(draw=[pick.draw for pick in found])


# quotas


@QUICK
@given(amounts=st.dictionaries(st.text(max_size=3), st.floats(1e-3, 1e3), min_size=1), total=st.integers(0, 10**7))
def test_quotas_sum_up_and_each_is_within_one_of_its_share(amounts: dict[str, float], total: int) -> None:
    found = quotas(amounts, total)
    assert sum(found.values()) == total
    for name, amount in amounts.items():
        assert abs(found[name] - total * amount / sum(amounts.values())) < 1 + 1e-6


def test_shares_that_are_whole_are_kept() -> None:
    assert quotas({"a": 0.1, "b": 0.2, "c": 0.7}, 10) == {"a": 1, "b": 2, "c": 7}
    assert quotas({"a": 3.0, "b": 7.0}, 1000) == {"a": 300, "b": 700}


# an epoch


@QUICK
@given(
    sizes=SIZES,
    weights=WEIGHTS,
    weigh=st.sampled_from(["clips", "corpora"]),
    balance=st.sampled_from(["none", "sampler"]),
)
def test_every_part_has_its_share_of_an_epoch(
    sizes: list[tuple[int, int]], weights: list[float], weigh: str, balance: str
) -> None:
    manifest, weights = corpus(*sizes), weights[: len(sizes)]
    amounts = [weight * (sum(both) if weigh == "clips" else 1) for weight, both in zip(weights, sizes, strict=True)]
    total = sum(map(sum, sizes))
    shares = [total * amount / sum(amounts) for amount in amounts]
    assume(min(shares) >= 1)
    found = drawn(manifest, epoch(manifest, mix(weights, weigh=weigh, balance=balance)))
    assert len(found) == total
    counts = found.groupby(["corpus", "label"]).size().unstack(fill_value=0)
    for part, share in enumerate(shares):
        assert abs(counts.loc[f"p{part}"].sum() - share) < 1 + 1e-6
    if balance == "sampler":
        assert (counts[0] - counts[1]).abs().max() <= 1
        assert abs(counts[0].sum() - counts[1].sum()) <= 1
    clips = manifest.frame.iloc[manifest.rows("train")]
    times = clips["id"].map(found["id"].value_counts()).fillna(0)
    alike = times.groupby([clips["corpus"], clips["label"]] if balance == "sampler" else clips["corpus"])
    assert (alike.max() - alike.min()).max() <= 1  # equally often, or once more
    assert not found.duplicated(["id", "draw"]).any()


def test_weights_are_of_clips_or_of_corpora() -> None:
    manifest = corpus((10, 10), (40, 40))
    assert drawn_by_part(manifest, mix([1, 1])) == {"p0": 20, "p1": 80}
    assert drawn_by_part(manifest, mix([4, 1])) == {"p0": 50, "p1": 50}
    assert drawn_by_part(manifest, mix([1, 1], weigh="corpora")) == {"p0": 50, "p1": 50}
    assert drawn_by_part(manifest, mix([1, 3], weigh="corpora")) == {"p0": 25, "p1": 75}


@pytest.mark.parametrize("balance", ["none", "loss"])
@pytest.mark.parametrize("weight", [1.0, 2.5])
def test_equal_weights_are_no_weights(balance: str, weight: float) -> None:
    manifest = corpus((5, 9), (30, 2), (1, 1))
    assert cells_of(manifest, mix([weight] * 3, balance=balance)) == ()
    rows = manifest.rows("train")
    plain = list(chain.from_iterable(TrainBatches(rows, batch_size=7, seed=3, epoch=lambda: 0)))
    assert epoch(manifest, mix([weight] * 3, balance=balance)) == plain
    assert sorted(pick.row for pick in plain) == rows.tolist()


def test_a_corpus_alone_is_drawn_from_as_before() -> None:
    manifest = corpus((5, 9))
    rows, labels = manifest.rows("train"), manifest.labels
    assert cells_of(manifest, CORPORA["demo"].read({})) == ()
    halves = cells_of(manifest, CORPORA["demo"].read({"balance": "sampler"}))
    assert [(cell.rows.tolist(), cell.draws) for cell in halves] == [
        (rows[labels[rows] == label].tolist(), 7) for label in (0, 1)
    ]


@pytest.mark.parametrize("balance", ["none", "sampler"])
def test_an_epoch_is_the_same_on_any_number_of_ranks_and_another_for_another_number(balance: str) -> None:
    manifest, data = corpus((10, 31), (40, 20)), mix([3, 1], balance=balance)
    whole = epoch(manifest, data)
    assert whole == epoch(manifest, data)
    assert whole != epoch(manifest, data, 1)
    shares = [epoch(manifest, data, rank=rank, world=2) for rank in range(2)]
    assert [shares[at % 2][at // 2] for at in range(len(whole) // 2 * 2)] == whole[: len(whole) // 2 * 2]


def test_a_part_of_which_less_than_all_is_drawn_comes_round_in_time() -> None:
    manifest, data = corpus((10, 10), (40, 40)), mix([4, 1])
    seen = set(chain.from_iterable([pick.row for pick in epoch(manifest, data, number)] for number in range(12)))
    assert seen == set(manifest.rows("train"))


def test_parts_that_have_no_training_clips_get_none() -> None:
    manifest = corpus((10, 10), (5, 5))
    held = Manifest(
        manifest.frame.assign(split=manifest.frame["split"].mask(manifest.frame["corpus"] == "p1", "test")), Roots({})
    )
    assert drawn_by_part(held, mix([1, 9])) == {"p0": 20}
    assert cells_of(held, mix([1, 9])) == ()


def test_what_cannot_be_drawn_is_told() -> None:
    with pytest.raises(
        DataError, match=r"the training clips of p1 have no spoof, so both classes .* data\.balance=loss"
    ):
        cells_of(corpus((5, 5), (5, 0)), mix([1, 1], balance="sampler"))
    with pytest.raises(DataError, match=r"gets none of the 20 draws of an epoch; raise data\.parts\.p1\.weight"):
        cells_of(corpus((5, 5), (5, 5)), mix([1, 1e-6]))


# the loss


@QUICK
@given(sizes=SIZES, weights=WEIGHTS)
def test_classes_weigh_alike_over_what_is_drawn(sizes: list[tuple[int, int]], weights: list[float]) -> None:
    manifest, data = corpus(*sizes), mix(weights[: len(sizes)])
    assume(min(drawn_by_part(manifest, data).values()) > 0)
    counts = drawn_by_class(manifest, cells_of(manifest, data))
    assert counts.sum() == pytest.approx(sum(map(sum, sizes)))
    spoof, bona_fide = class_weights(counts)
    assert counts[0] * spoof == pytest.approx(counts[1] * bona_fide)
    many = [drawn(manifest, epoch(manifest, data, number))["label"].sum() for number in range(30)]
    assert np.mean(many) == pytest.approx(counts[1], abs=0.1 * counts.sum() + 2)


def test_without_weights_the_loss_counts_clips() -> None:
    manifest = corpus((5, 9), (30, 2))
    assert drawn_by_class(manifest, ()).tolist() == [11, 35]
