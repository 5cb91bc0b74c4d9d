"""Mixup: clips of a batch mixed in pairs, and their losses alike (Zhang et al., ICLR 2018)."""

from __future__ import annotations

import torch
from pydantic import Field
from scipy.special import betaincinv
from torch import Tensor

from dfad.draws import Draws
from dfad.knobs import Knobs


class Mixup(Knobs):
    """Every clip's features are mixed with another's of its batch, after all else, and its loss with that label's.

    Features, as they are what the network is given: a mixture of waveforms would be another thing to every frontend.
    """

    alpha: float = Field(0.2, gt=0, le=100, description="of the beta distribution: small, and one of two prevails")

    def share(self, draws: Draws) -> Tensor:
        """What each clip keeps of its own, from 0 to 1. Shape: (batch,) float32."""
        uniform = draws.uniform("mixup share").double().numpy()
        return torch.from_numpy(betaincinv(self.alpha, self.alpha, uniform)).float()


def order(draws: Draws) -> Tensor:
    """Numbers by which clips are put in a circle, so that each is mixed with the next. Shape: (batch,) int64."""
    return draws.bits("mixup order")


def partners(order: Tensor) -> Tensor:
    """Which clip each is mixed with, whatever the order in which they are listed.

    Shape:
        (clips,) -> (clips,) int64

    >>> partners(torch.tensor([30, 10, 20])).tolist()  # 30 → 10, 10 → 20, 20 → 30
    [1, 2, 0]
    """
    circle = order.argsort()
    found = torch.empty_like(circle)
    found[circle] = circle.roll(-1)
    return found
