"""ClipDataModule: manifest → batches of waveforms → augmentation and frontend on the device.

Where an effect needs files or a codec, all augmentation of waveforms comes in the loader processes instead, in order.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.loops.progress import _ProcessedTracker
from torch import Tensor
from torch.utils.data import DataLoader

from dfad.augment import AugmentKnobs
from dfad.clips import Manifest
from dfad.cores import cores
from dfad.corpora import CorpusKnobs
from dfad.draws import Draws
from dfad.frontends import FrontendKnobs
from dfad.training.clip_chain import clip_chain
from dfad.training.clip_copies import clip_copies
from dfad.training.dataset import Batch, ClipDataset
from dfad.training.kept import Kept
from dfad.training.sampling import EvalBatches, TrainBatches
from dfad.training.shares import cells_of, copies_by_part
from dfad.training.windows import Windows, require_room


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
