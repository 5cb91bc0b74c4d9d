"""Addressed random numbers: exact, well distributed, and the same wherever they are computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from dfad import draws as module
from dfad.draws import Draws, splitmix64

ROWS = torch.arange(2000)
ONCE = torch.zeros(2000, dtype=torch.int64)
ONES = -1  # the pattern of 64 ones


def draws(seed: int = 0, epoch: int = 0, clip: Tensor = ROWS, draw: Tensor | None = None) -> Draws:
    return Draws(seed, epoch, clip, torch.zeros_like(clip) if draw is None else draw)


def with_bits(monkeypatch: pytest.MonkeyPatch, *patterns: int) -> Draws:
    """Draws whose every bit is given."""

    def bits(self: Draws, name: str, *shape: int) -> Tensor:
        return torch.tensor(patterns).view(-1, *(1 for _ in shape)).expand(-1, *shape)

    monkeypatch.setattr(Draws, "bits", bits)
    return draws(clip=torch.arange(len(patterns)))


def reference_splitmix64(state: int) -> int:
    mask = 2**64 - 1
    z = state & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


@pytest.mark.parametrize("state", [0, 1, -1, 2**63 - 1, -(2**63), 1234567, -987654321, 0x9E3779B97F4A7C15 - 2**64])
def test_splitmix64_is_the_published_function(state):
    assert splitmix64(torch.tensor(state)).item() % 2**64 == reference_splitmix64(state)


def test_splitmix64_agrees_on_many_states():
    states = np.random.default_rng(0).integers(-(2**63), 2**63, size=500)
    found = splitmix64(torch.from_numpy(states)).numpy().view(np.uint64)
    assert [int(value) for value in found] == [reference_splitmix64(int(state)) for state in states]


def test_splitmix64_gives_the_known_sequence_of_seed_1234567():
    states = [1234567 + (step + 1) * 0x9E3779B97F4A7C15 for step in range(5)]
    found = splitmix64(torch.tensor([(state + 2**63) % 2**64 - 2**63 for state in states]))
    assert [value % 2**64 for value in found.tolist()] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_addresses_never_change():  # a run resumed under a later dfad would draw other numbers
    some = Draws(7, 3, torch.tensor([0, 41]), torch.tensor([0, 2]))
    assert some.bits("crop").tolist() == [505627706664468355, 1245488444843762359]


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_uniform_is_uniform(seed):
    assert stats.kstest(draws(seed).uniform("x", 20).flatten().numpy(), "uniform").pvalue > 0.01


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_normal_is_normal(seed):
    assert stats.kstest(draws(seed).normal("x", 21).flatten().numpy(), "norm").pvalue > 0.01


def test_every_bit_is_fair():
    bits = draws().bits("x", 16).flatten()
    share = torch.stack([((bits >> place) & 1).double().mean() for place in range(64)])
    assert (share - 0.5).abs().max() < 4.5 * 0.5 / len(bits) ** 0.5


@pytest.mark.parametrize(
    "other",
    [draws(1), draws(0, 1), draws(clip=ROWS + 1), draws(draw=ONCE + 1), draws(clip=-1 - ROWS), draws(1, 1)],
    ids=["seed", "epoch", "clip", "draw", "negative clip", "seed and epoch"],
)
def test_neighbouring_addresses_are_unrelated(other):
    one, two = draws().uniform("x", 20).flatten(), other.uniform("x", 20).flatten()
    assert torch.corrcoef(torch.stack([one, two]))[0, 1].abs() < 4.5 / len(one) ** 0.5
    assert (one == two).float().mean() < 1e-3


def test_names_and_elements_are_unrelated():
    table = torch.cat([draws().uniform("shift", 4), draws().uniform("shift?", 4), draws().normal("shift", 4)], dim=1)
    correlation = torch.corrcoef(table.T).fill_diagonal_(0)
    correlation[:4, 8:] = correlation[8:, :4] = 0  # one name, so the same bits
    assert correlation.abs().max() < 4.5 / 2000**0.5


def test_the_two_normals_of_one_hash_are_unrelated():
    pair = draws(clip=torch.arange(20000)).normal("x", 2).T
    assert torch.corrcoef(pair)[0, 1].abs() < 4.5 / 20000**0.5
    assert torch.corrcoef(pair.square())[0, 1].abs() < 4.5 / 20000**0.5


def test_rows_do_not_depend_on_the_batch():
    order = torch.randperm(2000, generator=torch.Generator().manual_seed(0))[:100]
    whole, part = draws(), draws(clip=ROWS[order])
    assert torch.equal(whole.normal("x", 5)[order], part.normal("x", 5))
    assert torch.equal(whole[order].uniform("x"), part.uniform("x"))
    assert torch.equal(whole.to(torch.device("cpu")).bits("x"), whole.bits("x"))


def test_a_longer_signal_begins_with_the_shorter():
    assert torch.equal(draws().uniform("x", 9)[:, :4], draws().uniform("x", 4))


@pytest.mark.parametrize("clip", [-1, -(2**63), 2**63 - 1, 2**40])
@pytest.mark.parametrize("seed", [-1, 2**70, 2**63])
def test_any_integer_is_an_address(clip, seed):
    found = draws(seed, 10**9, torch.tensor([clip]), torch.tensor([2**50])).normal("x", 100)
    assert found.isfinite().all()
    assert 0.7 < found.std() < 1.3


def test_no_two_clips_share_their_numbers():
    assert len(draws(clip=torch.arange(-50000, 50000)).bits("x").unique()) == 100000


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (1.0, 2.0), (-12.0, 6.0), (10.0, 40.0), (1e6, 1e6 + 1)])
def test_uniform_never_reaches_the_upper_end(monkeypatch, low, high):
    found = with_bits(monkeypatch, ONES, 0).uniform("x", low=low, high=high).double()
    assert low <= found[1] < found[0] < high


def test_an_empty_interval_gives_its_one_value():
    assert (draws().uniform("x", low=3.0, high=3.0) == 3.0).all()


@pytest.mark.parametrize("high", [1, 2, 3, 1000, 2**16 + 1, 2**23 + 1, 2**24 - 1, 2**24])
def test_integer_never_reaches_its_bound(monkeypatch, high):
    assert with_bits(monkeypatch, ONES).integer("x", high).tolist() == [high - 1]
    assert with_bits(monkeypatch, 0).integer("x", torch.tensor([high])).tolist() == [0]


def test_integer_takes_every_value_alike():
    counts = draws(clip=torch.arange(20000)).integer("x", 7).bincount()
    assert len(counts) == 7
    assert stats.chisquare(counts.numpy()).pvalue > 0.01


def test_normal_is_finite_at_the_extremes(monkeypatch):
    patterns = [0, ONES, 2**63 - 1, -(2**63), 0xFFFFFF, -(2**40), 2**40 - 1]
    found = with_bits(monkeypatch, *patterns).normal("x", 4)
    assert found.isfinite().all()
    assert found.abs().max() < 6


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_any_count_can_be_drawn(count):
    assert draws().normal("x", count).shape == (2000, count)
    assert draws().uniform("x", count).shape == (2000, count)


def test_an_empty_batch_gives_nothing():
    nobody = draws(clip=torch.arange(0))
    assert nobody.uniform("x", 3).shape == (0, 3)
    assert nobody.normal("x", 3).shape == (0, 3)
    assert nobody.integer("x", 5).shape == (0,)


def test_logical_shift_brings_in_zeros():
    assert module._shift(torch.tensor(-1), 40).item() == 2**24 - 1
