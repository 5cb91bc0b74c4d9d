"""Adversarial training: some clips of every batch are attacked as they are trained on (Madry et al., ICLR 2018)."""

from __future__ import annotations

from math import ceil, floor
from typing import Literal

from pydantic import Field, model_validator

from dfad.knobs import Knobs


class Adversarial(Knobs):
    """A share of the clips is moved by PGD to where the detector of the moment errs most, and keeps its label.

    The attack comes after all effects on the waveform and before those on features. The first epochs are clean, and the
    budget grows over the next, as a network that knows nothing yet learns nothing from the worst case.
    """

    p: float = Field(0.5, gt=0, le=1, description="probability per clip")
    norm: Literal["linf", "l2"] = Field("linf", description="what epsilon bounds: every sample, or their whole length")
    epsilon: float = Field(
        0.0005,
        ge=2**-15,
        le=1,
        description="largest change in the end, of full scale 1; less than one step of a 16-bit sample changes nothing",
    )
    steps: int = Field(
        5, ge=1, le=100, description="of PGD; each costs the attacked clips about what a training step does"
    )
    start: float = Field(0.25, ge=0, lt=1, description="share of the epochs before the first attack")
    ramp: float = Field(0.6, ge=0, le=1, description="share of the epochs by which epsilon has grown to its end")

    @model_validator(mode="after")
    def _grows_forwards(self) -> Adversarial:
        if self.start > self.ramp:
            raise ValueError(f"start={self.start} is after ramp={self.ramp}, by which epsilon should have grown")
        return self

    def strength(self, epoch: int, epochs: int) -> float:
        """The largest change in an epoch, counted from 0; 0 before the first attack.

        >>> [Adversarial(epsilon=0.5, start=0.2, ramp=0.6).strength(epoch, 5) for epoch in range(5)]
        [0.0, 0.25, 0.5, 0.5, 0.5]
        """
        first = self.start * epochs
        if epoch + 1 <= first:
            return 0.0
        if epoch >= self.grown(epochs):
            return self.epsilon
        return self.epsilon * (epoch + 1 - first) / (self.ramp * epochs - first)

    def grown(self, epochs: int) -> int:
        """The first epoch, counted from 0, in which the largest change is what it is in the end.

        >>> [Adversarial(start=0.0, ramp=ramp).grown(5) for ramp in (0.0, 0.2, 0.5, 1.0)]
        [0, 0, 2, 4]
        """
        return min(epochs - 1, max(floor(self.start * epochs), ceil(self.ramp * epochs) - 1))
