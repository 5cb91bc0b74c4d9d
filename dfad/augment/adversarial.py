"""Adversarial training: some clips of every batch are attacked as they are trained on (Madry et al., ICLR 2018)."""

from __future__ import annotations

from math import ceil
from typing import Literal

from pydantic import Field

from dfad.knobs import Knobs


class Adversarial(Knobs):
    """A share of the clips is moved by PGD to where the detector of the moment errs most, and keeps its label.

    The attack comes after all effects on the waveform and before those on features. The budget grows over the first
    epochs, as a network that knows nothing yet learns nothing from the worst case.
    """

    p: float = Field(0.5, gt=0, le=1, description="probability per clip")
    norm: Literal["linf", "l2"] = Field("linf", description="what epsilon bounds: every sample, or their whole length")
    epsilon: float = Field(
        0.001,
        ge=2**-15,
        le=1,
        description="largest change in the end, of full scale 1; less than one step of a 16-bit sample changes nothing",
    )
    steps: int = Field(
        5, ge=1, le=100, description="of PGD; each costs the attacked clips about what a training step does"
    )
    ramp: float = Field(0.5, ge=0, le=1, description="share of the epochs over which epsilon grows to its end")

    def strength(self, epoch: int, epochs: int) -> float:
        """The largest change in an epoch, counted from 0.

        >>> [Adversarial(epsilon=0.5, ramp=0.5).strength(epoch, 4) for epoch in range(4)]
        [0.25, 0.5, 0.5, 0.5]
        """
        growing = self.ramp * epochs
        return self.epsilon * (min(1.0, (epoch + 1) / growing) if growing else 1.0)

    def grown(self, epochs: int) -> int:
        """The first epoch, counted from 0, in which the largest change is what it is in the end.

        >>> [Adversarial(ramp=ramp).grown(5) for ramp in (0.0, 0.2, 0.5, 1.0)]
        [0, 0, 2, 4]
        """
        return max(0, ceil(self.ramp * epochs) - 1)
