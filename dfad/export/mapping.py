"""Calibrators as modules, which a graph can hold; in float64, as the maps of `dfad.calibrate` are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dfad.calibrate import Calibrator, Isotonic, Logistic, Temperature
from dfad.errors import ConfigError


def as_module(calibrator: Calibrator | None) -> nn.Module:
    """The same map; without a calibrator scores stay as they are.

    Raises:
        ConfigError: for a kind of calibrator that is not known here.
    """
    match calibrator:
        case None:
            return nn.Identity()
        case Logistic():
            return _Line(calibrator.slope, calibrator.offset)
        case Temperature():
            return _Line(1 / calibrator.temperature, 0.0)
        case Isotonic():
            return _Steps(calibrator) if len(calibrator.scores) > 1 else _Line(0.0, calibrator.ratios[0])
    raise ConfigError(f"calibrator={calibrator.name} has no form in a graph; export the run with another calibrator")


class _Line(nn.Module):
    """Shape: (batch,) float64 -> (batch,)."""

    def __init__(self, slope: float, offset: float) -> None:
        super().__init__()
        self.slope, self.offset = slope, offset

    def forward(self, scores: Tensor) -> Tensor:
        return scores * self.slope + self.offset


class _Steps(nn.Module):
    """Straight lines between knots, flat beyond them. Shape: (batch,) float64 -> (batch,)."""

    def __init__(self, calibrator: Isotonic) -> None:
        super().__init__()
        self.register_buffer("scores", torch.tensor(calibrator.scores, dtype=torch.float64))
        self.register_buffer("ratios", torch.tensor(calibrator.ratios, dtype=torch.float64))

    def forward(self, scores: Tensor) -> Tensor:
        x, ratios = self.get_buffer("scores"), self.get_buffer("ratios")
        passed = (scores[:, None] >= x[1:-1]).long().sum(1)  # inner knots that a score has passed: its piece
        start, end = x[passed], x[passed + 1]
        share = ((scores - start) / (end - start)).clamp(0, 1)
        return ratios[passed] + share * (ratios[passed + 1] - ratios[passed])
