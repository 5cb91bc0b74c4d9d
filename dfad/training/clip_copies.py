"""Spoofed copies of training clips, made where clips are decoded: in a loader process, one at a time.

A vocoder takes 11 to 33 ms of a core for two seconds (`python -m bench.vocoders`), and no less in a batch, so loader
processes take the work off the training; and made alone, in one thread, a copy is the same bit for bit on any number of
processes and devices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dfad.augment import AugmentKnobs, Vocoded
from dfad.draws import Draws
from dfad.frontends import FrontendKnobs
from dfad.training.sampling import Pick


@dataclass(frozen=True)
class ClipCopies:
    """Copies one clip, as its address says.

    Attributes:
        vocoded: by what.
        sample_rate: Hz.
        seed: of the run.
    """

    vocoded: Vocoded
    sample_rate: int
    seed: int

    def __call__(self, wave: np.ndarray, pick: Pick) -> np.ndarray:
        """Copy the crop of a clip, before it is repeated to the length of a crop.

        Shape:
            (samples,) -> (samples,) float32
        """
        return self.vocoded.spoofed(wave, self.sample_rate, self._draws(pick))

    def vocoder(self, pick: Pick) -> str:
        """By which vocoder."""
        return self.vocoded.vocoder(self._draws(pick))

    def _draws(self, pick: Pick) -> Draws:
        assert pick.epoch is not None
        return Draws(self.seed, pick.epoch, torch.tensor([pick.row]), torch.tensor([pick.draw]))


def clip_copies(augment: AugmentKnobs, frontend: FrontendKnobs, seed: int) -> ClipCopies | None:
    """Make them if there are to be any."""
    return ClipCopies(augment.vocoded, frontend.sample_rate, seed) if augment.vocoded else None
