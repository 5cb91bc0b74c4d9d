"""One training from configuration to stored results, and the scoring that evaluation shares with it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from dfad.clips import CLASS_NAMES, SPLITS, Manifest
from dfad.corpora import CorpusKnobs
from dfad.corpora.check import broken
from dfad.errors import DataError, DfadError
from dfad.evaluate import Evaluation, evaluate
from dfad.scorer import Checkpoint, DetectorKnobs
from dfad.scores import ScoreTable
from dfad.training.config import DeviceKnobs, TrainConfig
from dfad.training.datamodule import ClipDataModule
from dfad.training.detectors import DETECTORS, Detector, class_weights
from dfad.training.runs import Run, changed, environment
from dfad.training.tracking import Curves, EpochLines
from dfad.training.trainer import accelerator_of, make_fitting_trainer, make_trainer

Watch = Callable[[str], Callable[[int, int], None]]  # a task's name → who is told (done, of all)


@dataclass(frozen=True)
class Screen:
    """Where a training tells how it goes.

    Attributes:
        console: for lines.
        watch: for work that takes a while.
        progress: whether a bar follows the batches.
    """

    console: Console
    watch: Watch
    progress: bool


@dataclass(frozen=True)
class Trained:
    """A finished run, and whether it was finished before."""

    run: Run
    before: bool


def train(config: TrainConfig, screen: Screen) -> Trained:
    """Train a detector, or go on where its run was cut off, and score validation and test clips.

    Raises:
        DfadError: for anything that a user can put right.
    """
    accelerator = accelerator_of(config.trainer)
    manifest = config.data.manifest(screen.watch(f"making {config.data.name}"))
    manifest.require_both_classes(SPLITS)
    run = Run.of(config, manifest.digest(), accelerator)
    with run.locked(), _disk_errors(run):
        if config.force:
            run.clear()
        if run.finished:
            return Trained(run, before=True)
        (run.folder / "error.txt").unlink(missing_ok=True)
        _open_run(run, config, accelerator, screen.console)
        usable = usable_clips(manifest, config.data, run, screen)
        usable.require_both_classes(SPLITS)
        try:
            _fit(config, run, usable, screen)
            results = _results(config, run, usable)
        except DfadError as error:
            run.write_text("error.txt", f"{error}\n")
            raise
        run.write_json("metrics.json", results)
    return Trained(run, before=False)


def usable_clips(manifest: Manifest, data: CorpusKnobs, run: Run, screen: Screen, *, at: str = "manifest.json") -> Manifest:
    """The clips less those that are skipped, each of them counted, named and stored in the file `at`.

    Raises:
        DataError: if clips cannot be used and `data.on_error` is `raise`, or if they are too many.
    """
    stored = run.read_json(at)
    if stored is None:
        bad = _bad_clips(manifest, data, screen) if data.scan else {}
        counts = {
            split: {name: int((manifest.labels[manifest.rows(split)] == label).sum()) for label, name in enumerate(CLASS_NAMES)}
            for split in SPLITS
        }
        stored = {"digest": manifest.digest(), "root": str(manifest.root), "clips": counts, "skipped": bad}
        run.write_json(at, stored)
    skipped: Mapping[str, str] = stored["skipped"]
    if skipped:
        screen.console.print(f"skipped {len(skipped)} of {len(manifest)} clips; they are named in {run.folder / at}")
    return manifest.without(skipped) if skipped else manifest


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


def _open_run(run: Run, config: TrainConfig, accelerator: str, console: Console) -> None:
    """Say what the run does, and store what it depends on."""
    now = environment(config.seed, accelerator)
    if run.last.is_file():
        console.print(f"run [bold]{run.folder}[/] goes on after its last whole epoch")
        if differences := changed(run.read_json("environment.json") or {}, now):
            console.print(f"[yellow]it began under other versions[/]: {', '.join(differences)}")
        return
    console.print(f"run [bold]{run.folder}[/]")
    run.write_config(config)
    run.write_json("environment.json", now)


def _fit(config: TrainConfig, run: Run, manifest: Manifest, screen: Screen) -> None:
    rows = manifest.rows("train")
    attacks = sorted(set(manifest.frame["attack"].iloc[rows]) - {""})
    knobs = DetectorKnobs(frontend=config.frontend, model=config.model, attacks=tuple(attacks))
    detector = DETECTORS.get(config.model.name, Detector)(
        knobs,
        config.trainer,
        seed=config.seed,
        class_weights=class_weights(manifest.labels[rows]) if config.data.balance == "loss" else (1.0, 1.0),
    )
    detector.manifest = manifest
    data = ClipDataModule(manifest, data=config.data, frontend=config.frontend, augment=config.augment, seed=config.seed)
    callbacks = [Curves(run), EpochLines(screen.console)]
    trainer = make_fitting_trainer(config.trainer, run, callbacks, progress=screen.progress)
    trainer.fit(detector, datamodule=data, ckpt_path=run.last if run.last.is_file() else None, weights_only=True)
    if trainer.received_sigterm:
        raise SystemExit(143)


def score(checkpoint: Checkpoint, manifest: Manifest, rows: np.ndarray, data: CorpusKnobs, devices: DeviceKnobs, folder: Path) -> ScoreTable:
    """Score every one of the given clips exactly once.

    Raises:
        DataError: if any has no score, or two.
    """
    detector = Detector.of(checkpoint)
    detector.manifest = manifest
    module = ClipDataModule(manifest, data=data, frontend=checkpoint.knobs.frontend, eval_rows=rows)
    trainer = make_trainer(devices, folder=folder)
    trainer.test(detector, datamodule=module, verbose=False)
    table = detector.tables["test"]
    table.require(manifest.frame["id"].iloc[rows])
    return table


def _results(config: TrainConfig, run: Run, manifest: Manifest) -> dict[str, Any]:
    """Score validation and test clips with the best weights; the test set is touched here, once, and nowhere else."""
    checkpoint = Checkpoint.read(run.best)
    devices = DeviceKnobs.read({k: v for k, v in config.trainer.plain().items() if k in DeviceKnobs.model_fields})
    threshold: float | None = None
    found: dict[str, Evaluation] = {}
    for split in ("val", "test"):
        table = score(checkpoint, manifest, manifest.rows(split), config.data, devices, run.folder)
        (run.folder / "scores").mkdir(exist_ok=True)
        table.write(run.folder / "scores" / f"{split}.csv")
        found[split] = evaluate(table, threshold=threshold, known_attacks=checkpoint.knobs.attacks)
        threshold = found["val"].values["eer_threshold"]
    return results_of(found, manifest.notes)


def results_of(found: Mapping[str, Evaluation], notes: tuple[str, ...]) -> dict[str, Any]:
    """What `metrics.json` holds: `values` under `<split>/<metric>`, NaN as null, and `notes` of corpus and splits."""
    return {
        "format": 1,
        "values": {
            f"{split}/{name}": None if np.isnan(value) else value
            for split, evaluation in found.items()
            for name, value in evaluation.values.items()
        },
        "notes": [*notes, *(f"{split}: {note}" for split, evaluation in found.items() for note in evaluation.notes)],
    }


@contextmanager
def _disk_errors(run: Run) -> Iterator[None]:
    """Say in a line that a disk is full, and that nothing is lost."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        if not full and "PytorchStreamWriter" not in str(error):
            raise
        raise DfadError(
            f"cannot write to {run.folder}: no space is left on the disk, or the quota is used up\n"
            "free some, then type the same command: the run goes on after its last whole epoch"
        ) from error
