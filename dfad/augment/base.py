"""What every augmentation of waveforms is: a probability, parameters that are drawn, an effect that is applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field, model_validator
from torch import Tensor

from dfad.draws import Draws
from dfad.knobs import Knobs

Drawn = Mapping[str, Tensor]  # a row per clip in every tensor


class Sometimes(Knobs):
    """An augmentation that happens to a clip with probability `p`."""

    p: float = Field(0.5, ge=0, le=1, description="probability per clip")

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw the parameters of every clip."""
        return {}

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws) -> Tensor:
        """Apply the effect with the drawn parameters; `draws` serves only for signals as long as the clip."""
        raise NotImplementedError


class BetweenLevels(Sometimes):
    """An augmentation with a level drawn between two, in dB."""

    low_db: float
    high_db: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low_db > self.high_db:
            raise ValueError(f"low_db={self.low_db} is above high_db={self.high_db}")
        return self
