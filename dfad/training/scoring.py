"""Scoring clips with a checkpoint: which of them can be used, their scores, and what is stored of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.markup import escape

from dfad.checkpoint import Checkpoint
from dfad.clips import Manifest
from dfad.corpora import CorpusKnobs, MixKnobs
from dfad.corpora.check import broken
from dfad.errors import DataError
from dfad.labels import CLASS_NAMES, SPLITS
from dfad.roots import plain
from dfad.scores import ScoreTable
from dfad.training.config import DeviceKnobs
from dfad.training.datamodule import ClipDataModule
from dfad.training.detectors import Detector
from dfad.training.ranks import ALONE, Rank, threads
from dfad.training.runs import Run
from dfad.training.sampling import EvalBatches
from dfad.training.trainer import accelerator_of, make_trainer

# a task's name, and of what (clips, bytes) → who is told (done, of all)
Watch = Callable[..., Callable[[int, int], None]]


@dataclass(frozen=True)
class Screen:
    """Where training and evaluation tell how they go.

    Attributes:
        say: prints a line, with Rich markup.
        watch: for work that takes a while.
        progress: whether a bar follows the batches.
    """

    say: Callable[[str], None]
    watch: Watch
    progress: bool


SILENT = Screen(say=lambda line: None, watch=lambda *task: lambda done, total: None, progress=False)


def usable_clips(manifest: Manifest, data: CorpusKnobs, run: Run, screen: Screen) -> Manifest:
    """The clips less those that are skipped, each of them counted, named and stored in `manifest.json`.

    Raises:
        DataError: if clips cannot be used and `data.on_error` is `raise`, or if they are too many.
    """
    stored = run.read_json("manifest.json")
    if stored is None or (data.scan and not stored["scanned"]):
        bad = _bad_clips(manifest, data, screen) if data.scan else {}
        stored = {
            "digest": manifest.digest(),
            "root": plain(manifest.root),
            "scanned": data.scan,
            "clips": _counts(manifest),
            **({"parts": _counts_by_part(manifest)} if isinstance(data, MixKnobs) else {}),
            "skipped": bad,
        }
        run.write_json("manifest.json", stored)
    skipped: Mapping[str, str] = stored["skipped"]
    if skipped:
        screen.say(f"skipped {len(skipped)} of {len(manifest)} clips, named in {escape(str(run.folder))}/manifest.json")
    return manifest.without(skipped) if skipped else manifest


def _counts(manifest: Manifest) -> dict[str, dict[str, int]]:
    """Clips of each split and class."""
    found = {split: np.bincount(manifest.labels[manifest.rows(split)], minlength=2).tolist() for split in SPLITS}
    return {split: dict(zip(CLASS_NAMES, counts, strict=True)) for split, counts in found.items()}


def _counts_by_part(manifest: Manifest) -> dict[str, dict[str, dict[str, int]]]:
    """The same of each part of a mix."""
    corpora = manifest.frame["corpus"]
    return {
        str(part): _counts(manifest.only(np.flatnonzero((corpora == part).to_numpy())))
        for part in sorted(corpora.unique())
    }


def _bad_clips(manifest: Manifest, data: CorpusKnobs, screen: Screen) -> dict[str, str]:
    bad = broken(manifest, range(len(manifest)), limits=data.limits, progress=screen.watch("checking clips"))
    share = len(bad) / len(manifest)
    if not bad or (data.on_error == "skip" and share <= data.max_bad_fraction):
        return bad
    lines = [f"{len(bad)} of {len(manifest)} clips cannot be used"]
    lines += [f"  {reason}" for reason in list(bad.values())[:20]]
    if len(bad) > 20:
        lines.append(f"  … and {len(bad) - 20} more")
    if data.on_error == "raise":
        lines.append("mend or remove them, or leave them out with data.on_error=skip")
    else:
        lines.append(f"more than data.max_bad_fraction={data.max_bad_fraction}; mend them, or allow more")
    raise DataError("\n".join(lines))


class Scoring:
    """Scores every one of some clips exactly once, as often as it is called.

    Every rank takes its share and gets the whole table. On a CPU each process computes in one thread: sums over several
    are rounded in another way by their number.

    Args:
        checkpoint: of the detector.
        manifest: the clips, less those that are skipped.
        rows: which of them.
        data: how to load.
        devices: where.
        folder: of Lightning, which writes nothing here.
        rank: of this process.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        manifest: Manifest,
        rows: np.ndarray,
        data: CorpusKnobs,
        devices: DeviceKnobs,
        folder: Path,
        rank: Rank = ALONE,
    ) -> None:
        self.manifest, self.rows, self.rank = manifest, rows, rank
        self.detector = Detector.of(checkpoint)
        self.detector.manifest = manifest
        self.module = ClipDataModule(manifest, data=data, frontend=checkpoint.knobs.frontend, eval_rows=rows)
        self.trainer = make_trainer(devices, folder=folder, rank=rank)
        self.on_cpu = accelerator_of(devices) == "cpu"

    def hold(self) -> None:
        """Decode this rank's clips once for all calls, if they fit into memory."""
        batches = EvalBatches(
            self.rows, batch_size=self.module.data.batch_size, rank=self.rank.number, world=self.rank.world
        )
        self.module.dataset.hold(np.array([pick.row for batch in batches for pick in batch]))

    def __call__(self) -> ScoreTable:
        """Score every clip once.

        Raises:
            DataError: if any has no score, or two.
        """
        with threads(1) if self.on_cpu else nullcontext():
            self.trainer.test(self.detector, datamodule=self.module, verbose=False)
        table = self.detector.tables["test"]
        table.require(self.manifest.frame["id"].iloc[self.rows])
        return table
