"""Budgets: what is allowed, and that it holds in the 16-bit file that is written and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from dfad.audio import load
from dfad.robustness.budget import BUDGETS, SCALE, int16, on_grid, snr_db
from tests.victims import targets

STRENGTHS = {"linf": (1e-5, 0.2), "l2": (1e-4, 2.0), "snr": (0.0, 80.0)}
every_budget = pytest.mark.parametrize("kind", list(BUDGETS))


def stored(path: Path, wave: Tensor) -> np.ndarray:
    """What is read back of what is written. Shape: (samples,) float64."""
    soundfile.write(path, int16(wave).numpy(), 8000, subtype="PCM_16")
    found = load(path, sample_rate=8000)
    np.testing.assert_array_equal(found, on_grid(wave).numpy())
    return found.astype(np.float64)


@every_budget
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_the_budget_holds_in_the_file(kind: str, tmp_path: Path, data: st.DataObject) -> None:
    strength = data.draw(st.floats(*STRENGTHS[kind]))
    scale = data.draw(st.sampled_from([0.0, 1e-4, 0.01, 0.3, 1.0, 1.4]))  # silent to beyond full scale
    size = data.draw(st.sampled_from([0.0, 1e-6, 1e-3, 0.1, 10.0]))
    random = torch.Generator().manual_seed(data.draw(st.integers(0, 2**32)))
    wave = scale * torch.randn(1, 900, generator=random).clamp(-1.5, 1.5)
    clean = on_grid(wave)
    budget = BUDGETS[kind](clean, strength)
    wave = budget.settle(clean, size * torch.randn(1, 900, generator=random))
    change = stored(tmp_path / "attacked.wav", wave[0]) - stored(tmp_path / "clean.wav", clean[0])
    if kind == "linf":
        assert np.abs(change).max() <= strength
    elif kind == "l2":
        assert np.sqrt((change**2).sum()) <= strength
    else:
        assert (change**2).sum() <= (clean[0].double().numpy() ** 2).sum() * 10 ** (-strength / 10) * (1 + 1e-12)
    assert budget.holds(clean, wave).all()


@every_budget
def test_a_change_that_fits_is_kept_to_the_last_bit(kind: str) -> None:
    clean = targets().clean
    change = torch.zeros_like(clean)
    change[:, 100] = 3 / SCALE
    budget = BUDGETS[kind](clean, {"linf": 0.001, "l2": 0.01, "snr": 60.0}[kind])
    assert torch.equal(budget.settle(clean, change) - clean, change)


@every_budget
def test_little_of_the_budget_is_left_unused(kind: str) -> None:
    clean = targets(samples=8000).clean
    budget = BUDGETS[kind](clean, {"linf": 0.001, "l2": 0.1, "snr": 40.0}[kind])
    change = budget.steepest(torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)))
    share = budget.size(budget.settle(clean, change) - clean) / budget.radius
    assert (share > 0.97).all()  # of 32.8 steps 32 are whole


def test_the_ratio_is_the_one_that_is_asked_for() -> None:
    clean = targets(samples=8000).clean
    budget = BUDGETS["snr"](clean, 30.0)
    wave = budget.settle(clean, budget.steepest(torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))))
    torch.testing.assert_close(snr_db(clean, wave), torch.full((8,), 30.0, dtype=torch.float64), atol=0.1, rtol=0)


def test_nothing_done_has_an_infinite_ratio() -> None:
    assert torch.isinf(snr_db(torch.zeros(2, 10), torch.zeros(2, 10))).all()


@every_budget
def test_random_starts_lie_within_and_are_the_clips_own(kind: str) -> None:
    found = targets()
    budget = BUDGETS[kind](found.clean, {"linf": 0.01, "l2": 0.1, "snr": 20.0}[kind])
    start = budget.anywhere(found.draws, 800)
    assert (budget.size(start) <= budget.radius * (1 + 1e-6)).all()
    rows = torch.tensor([5, 2])
    torch.testing.assert_close(budget[rows].anywhere(found.draws[rows], 800), start[rows])
    assert len(start.unique(dim=0)) == 8


@every_budget
def test_a_flat_score_leads_nowhere(kind: str) -> None:
    clean = targets().clean
    assert not BUDGETS[kind](clean, 0.01).steepest(torch.zeros_like(clean)).any()


@every_budget
@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e20])
def test_the_steepest_change_has_the_radius_whatever_the_slope(kind: str, size: float) -> None:
    clean = targets().clean
    budget = BUDGETS[kind](clean, {"linf": 0.01, "l2": 0.1, "snr": 20.0}[kind])
    found = budget.steepest(size * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(budget.size(found), budget.radius, atol=0, rtol=1e-5)
