"""Augmentation: draws an effect's parameters for every clip, then applies the effect; two separate steps.

Every draw depends on (seed, epoch, clip, how often the clip came up in this epoch) and on nothing else, see `draws`.
"""

from __future__ import annotations

from dfad.augment.base import Drawn
from dfad.augment.chain import AugmentKnobs
from dfad.augment.level import Gain, Polarity
from dfad.augment.masks import SpecAugment
from dfad.augment.noise import Noise
from dfad.augment.time import Shift
from dfad.augment.vocoded import Vocoded

__all__ = ["AugmentKnobs", "Drawn", "Gain", "Noise", "Polarity", "Shift", "SpecAugment", "Vocoded"]
