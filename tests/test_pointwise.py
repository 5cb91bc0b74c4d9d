"""Fewer passes over memory give the same numbers, and the same slopes, as PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from dfad.frontends import RawKnobs
from dfad.networks.aasist import AASISTKnobs
from dfad.networks.pointwise import max_of_three, selu_


def values(*shape: int) -> torch.Tensor:
    x = 3 * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x.view(-1)[::7] = 0
    return x


def test_selu_and_its_slope() -> None:
    x = values(5, 40_001)
    torch.testing.assert_close(selu_(x.clone()), F.selu(x))
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    weights = values(5, 40_001)
    (selu_(ours * 1) * weights).sum().backward()  # of a copy: a leaf cannot be overwritten
    (F.selu(theirs) * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize(("dim", "window"), [(-1, (1, 3)), (2, (3, 1))])
def test_the_largest_of_three_and_where_its_slope_goes(dim: int, window: tuple[int, int]) -> None:
    ours, theirs = values(2, 3, 17, 20).requires_grad_(), values(2, 3, 17, 20).requires_grad_()
    with torch.no_grad():
        torch.testing.assert_close(max_of_three(ours, dim), F.max_pool2d(ours, window), rtol=0, atol=0)
    pooled, expected = max_of_three(ours, dim), F.max_pool2d(theirs, window)
    torch.testing.assert_close(pooled, expected, rtol=0, atol=0)
    pooled.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=0)


def test_scored_in_parts_is_scored_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    options = {"name": "aasist", "filters": 12, "taps": 33, "widths": [4, 4, 6], "graph_width": 5, "joint_width": 7}
    network = AASISTKnobs.read(options).build(RawKnobs(crop_s=0.5)).train()
    wave = 0.1 * torch.randn(3, 8000)
    network(wave)  # running statistics of its own
    whole = network.eval()(wave.requires_grad_()).detach()
    for part in (1, 7, 1000):
        monkeypatch.setattr("dfad.networks.aasist.PART", part)
        with torch.no_grad():
            torch.testing.assert_close(network(wave), whole, atol=1e-5, rtol=0)
