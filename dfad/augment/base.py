"""What every augmentation of waveforms is: a probability, parameters that are drawn, an effect that is applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from dfad.draws import Draws
from dfad.knobs import Knobs

Drawn = Mapping[str, Tensor]  # a row per clip in every tensor
Voice = Callable[[float, float], np.ndarray]


@dataclass(frozen=True)
class Scene:
    """What an effect is given beside the clips.

    Attributes:
        sample_rate: Hz.
        voice: decodes a bona fide training clip other than the one in hand: which of them and from where in it, both
            from 0 to 1, → (samples,) float32. None where no clip is decoded, as on a device.
    """

    sample_rate: int
    voice: Voice | None = None


class Sometimes(Knobs):
    """An augmentation that happens to a clip with probability `p`.

    Options `low_x` and `high_x` are the ends of what is drawn for x.
    """

    p: float = Field(0.5, ge=0, le=1, description="probability per clip")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in type(self).model_fields:
            other = name.replace("low_", "high_", 1)
            if name.startswith("low_") and getattr(self, name) > getattr(self, other):
                raise ValueError(f"{name}={getattr(self, name)} is above {other}={getattr(self, other)}")
            over = name.replace("most_low_", "least_high_", 1)  # of a band, of which something shall be left
            if name.startswith("most_low_") and getattr(self, name) >= getattr(self, over):
                raise ValueError(f"{name}={getattr(self, name)} is not below {over}={getattr(self, over)}")
        return self

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for name, values in self:
            if isinstance(values, tuple) and len(set(values)) < len(values):
                twice = next(value for value in values if values.count(value) > 1)
                raise ValueError(f"{name}: {twice} stands there twice; name each once")
        return self

    @property
    def reads_files(self) -> bool:
        """Whether it needs files or a codec, so that the chain with it runs where clips are decoded."""
        return False

    def require(self, at: str) -> None:
        """Refuse, before any work, what cannot be applied here.

        Args:
            at: the key path of these options, for messages.

        Raises:
            DfadError: for a folder or a library that is missing.
        """

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw the parameters of every clip. No two effects draw by the same name: they would draw alike."""
        return {}

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws, scene: Scene) -> Tensor:
        """Apply the effect with the drawn parameters; `draws` serves only for signals as long as the clip."""
        raise NotImplementedError

    def _between(self, draws: Draws, name: str, option: str) -> Tensor:
        """A value for every clip between the options `low_…` and `high_…`. Shape: (batch,)."""
        return draws.uniform(name, low=getattr(self, f"low_{option}"), high=getattr(self, f"high_{option}"))


def upper_cut(draws: Draws, name: str, least_hz: float, sample_rate: int) -> Tensor:
    """An upper cut-off for every clip, from the least one to half the sample rate, which is none. Shape: (batch,)."""
    return draws.uniform(name, low=min(least_hz, sample_rate / 2), high=sample_rate / 2)


def one_of(draws: Draws, name: str, values: tuple[float, ...]) -> Tensor:
    """One of some values for every clip. Shape: (batch,) float32."""
    return torch.tensor(values, dtype=torch.float32)[draws.integer(name, len(values))]
