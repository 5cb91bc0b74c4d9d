"""Copy synthesis: bona fide training clips that come as spoofed copies too (Wang and Yamagishi, ICASSP 2023)."""

from __future__ import annotations

import numpy as np
from pydantic import Field, field_validator

from dfad.draws import Draws
from dfad.effects.vocoders import VOCODERS, vocode
from dfad.errors import did_you_mean
from dfad.knobs import Knobs


class Vocoded(Knobs):
    """Spoofed copies of bona fide training clips, on top of the clips that an epoch has anyway.

    The one augmentation that does not treat both classes alike: a copy is labelled spoof. It is made from the crop of
    the clip before anything else is done to it, and then goes through the same chain as all others. Which clips are
    copied is the sampler's business (`dfad.training.shares`), by which vocoder and how is drawn here.
    """

    p: float = Field(0.5, ge=0, le=1, description="share of the bona fide clips of an epoch that are copied too")
    vocoders: tuple[str, ...] = Field(
        tuple(VOCODERS), min_length=1, description="one of these is drawn for every copy, all equally often"
    )

    @field_validator("vocoders")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return known_vocoders(names)

    def spoofed(self, wave: np.ndarray, sample_rate: int, draws: Draws) -> np.ndarray:
        """Copy one clip.

        Args:
            wave: the clip.
            sample_rate: Hz.
            draws: of this clip alone.

        Shape:
            (samples,) float32 in [-1, 1] -> (samples,) float32 in [-1, 1]
        """
        return vocode(wave, sample_rate, self.vocoder(draws), int(draws.bits("vocoder seed")[0]) >> 1 & 2**31 - 1)

    def vocoder(self, draws: Draws) -> str:
        """By which vocoder one clip is copied."""
        return self.vocoders[int(draws.integer("vocoder", len(self.vocoders))[0])]


def known_vocoders(names: tuple[str, ...]) -> tuple[str, ...]:
    """Give the names back if they are vocoders, each once.

    Raises:
        ValueError: saying which are not.
    """
    for name in names:
        if name not in VOCODERS:
            raise ValueError(f"no vocoder {name!r}; {did_you_mean(name, VOCODERS)}")
    if len(set(names)) < len(names):
        raise ValueError("a vocoder stands there twice; name each once")
    return names
