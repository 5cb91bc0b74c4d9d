"""Augmentation of waveforms where clips are decoded, one at a time: for effects that need files or a codec."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from dfad.audio import Limits, load
from dfad.augment import AugmentKnobs
from dfad.clips import Label, Manifest
from dfad.draws import Draws
from dfad.errors import DataError
from dfad.frontends import FrontendKnobs
from dfad.training.sampling import Pick


@dataclass(frozen=True)
class ClipChain:
    """Augments the waveform of one clip: in every process the same, as its draws have an address.

    Attributes:
        augment: the effects.
        manifest: the clips.
        voices: rows of those that babble is made of. Shape: (voices,)
        frontend: says the sample rate and the length of a crop.
        limits: what is refused unread.
        seed: of the run.
    """

    augment: AugmentKnobs
    manifest: Manifest
    voices: np.ndarray
    frontend: FrontendKnobs
    limits: Limits
    seed: int

    def __call__(self, wave: np.ndarray, pick: Pick) -> np.ndarray:
        """Augment a training clip, and leave one that is evaluated alone.

        Shape:
            (samples,) -> (samples,) float32
        """
        if pick.epoch is None:
            return wave
        draws = Draws(self.seed, pick.epoch, torch.tensor([pick.row]), torch.tensor([pick.draw]))
        with torch.no_grad(), _one_thread():
            rate, voice = self.frontend.sample_rate, partial(self._voice, pick.row)
            heard: np.ndarray = self.augment.wave(torch.from_numpy(wave)[None], draws, rate, voice)[0].numpy()
        return heard

    def _voice(self, row: int, which: float, where: float) -> np.ndarray:
        """Decode a crop of a voice other than the clip itself."""
        own = int(np.searchsorted(self.voices, row))  # where it would be among them
        is_one = own < len(self.voices) and self.voices[own] == row
        others = len(self.voices) - int(is_one)
        if not others:
            raise DataError("augment.noise.kinds: babble needs two bona fide training clips; leave out babble")
        at = int(which * others)
        path, frontend = self.manifest.path(int(self.voices[at + int(is_one and at >= own)])), self.frontend
        return load(path, sample_rate=frontend.sample_rate, crop_s=frontend.crop_s, position=where, limits=self.limits)


def clip_chain(
    augment: AugmentKnobs, manifest: Manifest, frontend: FrontendKnobs, limits: Limits, seed: int
) -> ClipChain | None:
    """Make the chain if its effects need it; None where they can come in batches on the device."""
    if not augment.reads_files:
        return None
    rows = manifest.rows("train")
    voices = rows[manifest.labels[rows] == Label.BONA_FIDE]
    return ClipChain(augment, manifest, voices, frontend, limits, seed)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute as loader processes do, so that sums come in the same order."""
    before = torch.get_num_threads()
    if before > 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if before > 1:
            torch.set_num_threads(before)
