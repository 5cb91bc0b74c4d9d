"""ClipDataModule: manifest → batches of waveforms → augmentation and frontend on the device.

Where an effect needs files or a codec, all augmentation of waveforms comes in the loader processes instead, in order.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.loops.progress import _ProcessedTracker
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dfad.audio import Limits, fit, load
from dfad.augment import AugmentKnobs
from dfad.clips import Manifest
from dfad.cores import cores
from dfad.corpora import CorpusKnobs
from dfad.corpora.check import in_threads
from dfad.draws import Draws
from dfad.frontends import FrontendKnobs
from dfad.training.clip_chain import ClipChain, clip_chain
from dfad.training.clip_copies import ClipCopies, clip_copies
from dfad.training.kept import Kept
from dfad.training.sampling import EvalBatches, Pick, TrainBatches
from dfad.training.shares import cells_of, copies_by_part
from dfad.training.windows import Windows, require_room


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


class ClipDataModule(pl.LightningDataModule):
    """Loaders over a manifest, and everything between a waveform and the network, on the device.

    Args:
        manifest: the clips, less those that are skipped.
        data: how to load.
        frontend: features, and the input they are made from.
        augment: what is done to training clips.
        seed: of the run.
        eval_rows: which rows the test loader gives; by default those of the split `test`.

    Attributes:
        perturb: what happens to the waveforms of clips that are scored, on the device; None: nothing.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        data: CorpusKnobs,
        frontend: FrontendKnobs,
        augment: AugmentKnobs | None = None,
        seed: int = 0,
        eval_rows: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self.manifest, self.data, self.augment, self.seed = manifest, data, augment or AugmentKnobs(), seed
        self.frontend = frontend.build()
        self.eval_rows = manifest.rows("test") if eval_rows is None else eval_rows
        chain = clip_chain(self.augment, manifest, frontend, data.limits, seed)
        copies = clip_copies(self.augment, frontend, seed)
        self.dataset = ClipDataset(manifest, frontend, data.limits, chain, copies)
        self.perturb: Callable[[Batch], Tensor] | None = None
        self._first_epoch, self._done_before = 0, 0

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled, cropped at random."""
        assert self.trainer is not None
        rows, trainer = self.manifest.rows("train"), self.trainer
        require_room(self.manifest, self.data, trainer.num_devices)
        return self._loader(
            TrainBatches(
                rows,
                batch_size=self.data.batch_size // trainer.world_size,
                seed=self.seed,
                epoch=self._epoch,
                cells=cells_of(self.manifest, self.data, self.augment.copies),
                copies=sum(copies_by_part(self.manifest, self.data, self.augment.copies).values()),
                windows=Windows.of(self.manifest, self.data),
                crop=self.augment.crop == "random",
                rank=trainer.global_rank,
                world=trainer.world_size,
                done=lambda epoch: self._done_before if epoch == self._first_epoch else 0,
            )
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """Every clip of the split `val` once."""
        return self.eval_loader(self.manifest.rows("val"))

    def test_dataloader(self) -> DataLoader[Batch]:
        """Every clip to be tested once."""
        return self.eval_loader(self.eval_rows)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment (in training) and compute the features, on the batch's device."""
        assert self.trainer is not None
        if batch.frozen is not None:
            return batch
        with torch.inference_mode(False):  # else an adversary could not ask for gradients through what was moved
            self.frontend.to(batch.wave.device)  # Lightning moves the detector, not what a data module owns
        if not self.trainer.training:
            wave = self.perturb(batch) if self.perturb else batch.wave
            return replace(batch, wave=wave, features=self.frontend(wave))
        draws = self.draws(batch)
        with torch.no_grad():
            wave = batch.wave
            if not self.dataset.chain:
                wave = self.augment.wave(wave, draws, self.frontend.knobs.sample_rate)
            return replace(batch, wave=wave, features=self.augment.features(self.frontend(wave), draws))

    def draws(self, batch: Batch) -> Draws:
        """The random numbers of a batch's clips in the epoch that is going on."""
        return Draws(self.seed, self._epoch(), batch.row, batch.draw)

    def state_dict(self) -> dict[str, int]:
        """Tell the checkpoint which epoch comes next, or is going on, and how many of its batches were trained on.

        Loader processes read ahead; what counts is what has gone through the network.
        """
        assert self.trainer is not None
        epochs, batches = self.trainer.fit_loop.epoch_progress.current, self.trainer.fit_loop.epoch_loop.batch_progress
        going_on = epochs.ready > cast(_ProcessedTracker, epochs).processed
        return {"next_epoch": self._epoch(), "done": batches.current.ready if going_on else 0}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Take that from a checkpoint."""
        self._first_epoch, self._done_before = state_dict["next_epoch"], state_dict.get("done", 0)

    def keep(self, kept: Kept) -> None:
        """Give what is kept instead of waveforms from now on, to training and validation."""
        self.dataset.kept = kept

    def _epoch(self) -> int:
        """The epoch that is going on or about to begin.

        Lightning knows it too, but a resumed run makes its first loader, whose workers read ahead, before it does.
        """
        assert self.trainer is not None
        progress = cast(_ProcessedTracker, self.trainer.fit_loop.epoch_progress.current)
        return max(self._first_epoch, progress.processed)

    def eval_loader(self, rows: np.ndarray) -> DataLoader[Batch]:
        """Every clip of some rows once."""
        assert self.trainer is not None
        rank, world = self.trainer.global_rank, self.trainer.world_size
        # no share of the batch size: a batch is what it is whatever the number of ranks
        return self._loader(EvalBatches(rows, batch_size=self.data.batch_size, rank=rank, world=world))

    def _loader(self, batches: TrainBatches | EvalBatches) -> DataLoader[Batch]:
        assert self.trainer is not None
        on_gpu = self.trainer.strategy.root_device.type == "cuda"
        workers = self.data.workers
        if self.dataset.kept or self.dataset.held:
            workers = 0  # there is nothing to decode
        elif workers is None:
            busy = on_gpu or bool(self.dataset.chain or self.dataset.copies)  # the training beside the loading, or both
            workers = min(8, max(1, cores() // self.trainer.world_size - 1)) if busy else 0
        return DataLoader(
            self.dataset,
            batch_sampler=batches,
            num_workers=workers,
            collate_fn=self.dataset.collate,
            pin_memory=on_gpu,
            persistent_workers=workers > 0,
            worker_init_fn=_alone,
            generator=torch.Generator(),  # its own: a loader must not draw from the network's random numbers
        )


def _alone(worker: int) -> None:
    """Make a loader process: one thread, and signals that ask for an end are for the training, which ends it."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    """A scheduler sends SIGTERM to all processes of a job; that of the parent alone is meant for this one."""
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != parent:
        pass
    os._exit(0)
