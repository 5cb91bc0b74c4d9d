"""What is drawn for a clip that is perturbed: by its id and a seed, whatever the manifest, the batch or the rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor

from dfad.draws import Draws, splitmix64


def keys_of(ids: Sequence[str]) -> np.ndarray:
    """A number for every clip's id, the same everywhere. Shape: (clips,) int64.

    >>> keys_of(["a.wav", "b.wav"]).tolist() == [keys_of([id])[0] for id in ["a.wav", "b.wav"]]
    True
    """
    digests = b"".join(blake2b(str(id).encode(), digest_size=8).digest() for id in ids)
    return np.frombuffer(digests, "<i8").astype(np.int64)


@dataclass(frozen=True)
class Voices:
    """Clips that others are drowned in the babble of.

    Shape:
        waves: (voices, samples) float32; keys: (voices,) int64, of their ids
    """

    waves: Tensor
    keys: Tensor

    def to(self, device: torch.device) -> Voices:
        """The same on another device."""
        return Voices(self.waves.to(device), self.keys.to(device))


@dataclass(frozen=True)
class Given:
    """The random numbers of the clips of a batch, and the voices around them.

    Attributes:
        seed: of the suite.
        keys: of the clips' ids. Shape: (batch,) int64, on the device of the clips.
        voices: none where no babble is asked for.
    """

    seed: int
    keys: Tensor
    voices: Voices | None = None

    @property
    def draws(self) -> Draws:
        """The random numbers."""
        return Draws(self.seed, 0, self.keys, torch.zeros_like(self.keys))

    def others(self, count: int) -> Tensor:
        """The voices of some other clips, drawn for each clip.

        Each pair of a clip and a voice has a number of its own, and the lowest ones are taken: another set of voices
        changes only those that came or went.

        Shape:
            (batch, count, samples)
        """
        assert self.voices
        draw = self.draws.bits("talkers")[:, None]
        order = splitmix64(draw ^ self.voices.keys)
        order = order.masked_fill(self.keys[:, None] == self.voices.keys, torch.iinfo(torch.int64).max)
        return self.voices.waves[order.argsort(-1)[:, :count]]
