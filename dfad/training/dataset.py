"""What a loader gives: the crop of each clip that a batch wants, decoded, and these stacked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from dfad.audio import Limits, fit, load
from dfad.clips import Manifest
from dfad.corpora.check import in_threads
from dfad.frontends import FrontendKnobs
from dfad.training.clip_chain import ClipChain
from dfad.training.clip_copies import ClipCopies
from dfad.training.kept import Kept
from dfad.training.sampling import Pick


@dataclass(frozen=True)
class Batch:
    """What the loader gives and the detector takes.

    Shape:
        wave: (batch, samples) float32 in [-1, 1], at the frontend's sample rate; kept beside the features
        row, draw: (batch,) int64, on the CPU; see `Pick`
        label: (batch,) int64; bona fide 1, spoof 0
        features: (batch, 1, bands, frames) float32, once the data module computed them on the device
        frozen: (batch, …) float32, what the network's frozen part makes of them, where that is kept; there are then
            neither samples nor features
        mixed: of mixed clips the label of the other, (batch,) int64, and the share of their own, (batch,) float32
    """

    wave: Tensor
    row: Tensor
    draw: Tensor
    label: Tensor
    features: Tensor | None = None
    frozen: Tensor | None = None
    mixed: tuple[Tensor, Tensor] | None = None

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """Move what the device needs; `row` and `draw` stay."""
        return replace(
            self,
            wave=self.wave.to(device, non_blocking=non_blocking),
            label=self.label.to(device, non_blocking=non_blocking),
            frozen=None if self.frozen is None else self.frozen.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> Batch:
        """Lock the pages, so that the copy to a GPU runs beside its work."""
        frozen = None if self.frozen is None else self.frozen.pin_memory()
        return replace(self, wave=self.wave.pin_memory(), label=self.label.pin_memory(), frozen=frozen)

    def __len__(self) -> int:
        return len(self.row)


class ClipDataset(Dataset[Any]):
    """Decodes the crop of a clip that a `Pick` asks for, or leaves that where outputs of the frozen part are kept.

    Where a spoofed copy is wanted it is made here, one clip at a time: vocoders gain nothing from a batch, and loader
    processes take the work off the training.
    """

    kept: Kept | None = None

    def __init__(
        self,
        manifest: Manifest,
        frontend: FrontendKnobs,
        limits: Limits,
        chain: ClipChain | None = None,
        copies: ClipCopies | None = None,
    ) -> None:
        self.manifest, self.limits, self.chain, self.copies = manifest, limits, chain, copies
        self.sample_rate, self.crop_s, self.samples = frontend.sample_rate, frontend.crop_s, frontend.crop_samples
        self.seconds = manifest.frame["duration_s"].to_numpy(float)
        self.held: dict[int, np.ndarray] = {}

    def __getitem__(self, pick: Pick) -> tuple[np.ndarray, Pick]:
        if self.kept:
            return _NO_SAMPLES, pick
        held = self.held.get(pick.row)
        wave = self._decoded(pick.row, pick.position) if held is None else held
        if pick.copied:
            assert self.copies is not None
            wave = self.copies(wave, pick)
        wave = fit(wave, self.samples)
        return (self.chain(wave, pick) if self.chain else wave), pick

    def crop(self, row: int) -> np.ndarray:
        """Decode the start of a clip. Shape: (samples,)."""
        return fit(self._decoded(row, 0.0), self.samples)

    def _decoded(self, row: int, position: float) -> np.ndarray:
        """Decode a crop, shorter where the clip is. Shape: (at most samples,)."""
        seconds = self.seconds[row]
        return load(
            self.manifest.path(row),
            sample_rate=self.sample_rate,
            crop_s=self.crop_s,
            position=position,
            expected_s=None if np.isnan(seconds) else float(seconds),
            limits=self.limits,
        )

    def hold(self, rows: np.ndarray) -> None:
        """Decode the starts of clips once, as they will be asked for again and again; if memory is not to be filled."""
        if 4 * self.samples * len(rows) <= HELD_BYTES:
            self.held = dict(zip(rows.tolist(), in_threads(self.crop, rows), strict=True))

    def collate(self, items: list[tuple[np.ndarray, Pick]]) -> Batch:
        """Stack clips to a batch."""
        row = np.array([pick.row for _, pick in items])
        draw = torch.tensor([pick.draw for _, pick in items])
        return Batch(
            wave=torch.from_numpy(np.stack([wave for wave, _ in items])),
            row=torch.from_numpy(row),
            draw=draw,
            label=torch.from_numpy(self.manifest.labels[row].astype(np.int64)) * (draw >= 0),  # a copy is spoof
            frozen=self.kept.of(row) if self.kept else None,
        )


_NO_SAMPLES = np.empty(0, np.float32)
HELD_BYTES = 2**31  # of waveforms, in each process
