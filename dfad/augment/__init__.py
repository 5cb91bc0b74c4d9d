"""Augmentation: draws an effect's parameters for every clip, then applies the effect; two separate steps.

Every draw depends on (seed, epoch, clip, how often the clip came up in this epoch) and on nothing else, see `draws`.
In particular it does not know the clip's label: what happens to one class happens to the other.
"""

from __future__ import annotations

from dfad.augment.adversarial import Adversarial
from dfad.augment.base import Drawn, Scene, Sometimes, Voice
from dfad.augment.chain import STAGES, AugmentKnobs
from dfad.augment.channel import Band, Companding, Resample, Telephone, Tilt
from dfad.augment.codec import Recode
from dfad.augment.level import Clipping, Gain, Polarity, Requantise
from dfad.augment.masks import SpecAugment
from dfad.augment.mixup import Mixup
from dfad.augment.noise import Noise
from dfad.augment.rawboost import RawBoost
from dfad.augment.rooms import Rerecord, Room
from dfad.augment.time import Shift, Silence, Speed
from dfad.augment.vocoded import Vocoded

__all__ = [
    "STAGES",
    "Adversarial",
    "AugmentKnobs",
    "Band",
    "Clipping",
    "Companding",
    "Drawn",
    "Gain",
    "Mixup",
    "Noise",
    "Polarity",
    "RawBoost",
    "Recode",
    "Requantise",
    "Rerecord",
    "Resample",
    "Room",
    "Scene",
    "Shift",
    "Silence",
    "Sometimes",
    "SpecAugment",
    "Speed",
    "Telephone",
    "Tilt",
    "Vocoded",
    "Voice",
]
