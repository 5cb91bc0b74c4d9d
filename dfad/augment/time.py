"""Augmentation of when things happen."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from dfad.augment.base import Drawn, Sometimes
from dfad.draws import Draws
from dfad.effects.time import shift


class Shift(Sometimes):
    """A rotation in time."""

    max_ms: float = Field(500.0, gt=0, description="largest shift to either side, ms")

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw `samples`."""
        most = min(round(self.max_ms * sample_rate / 1000), samples - 1)
        return {"samples": draws.integer("shift", 2 * most + 1) - most}

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws) -> Tensor:
        """Rotate the clips."""
        return shift(x, drawn["samples"])
