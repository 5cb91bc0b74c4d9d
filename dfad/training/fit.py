"""One training, from its configuration to its stored results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.callbacks import Callback
from rich.markup import escape

from dfad.clips import SPLITS, Manifest
from dfad.corpora.check import fingerprint
from dfad.errors import ConfigError, RunError
from dfad.evaluate import Evaluation, evaluate
from dfad.scorer import Checkpoint, DetectorKnobs
from dfad.training.config import DeviceKnobs, TrainConfig
from dfad.training.datamodule import ClipDataModule
from dfad.training.detectors import DETECTORS, Detector, class_weights
from dfad.training.runs import Run, changed, environment
from dfad.training.scoring import Screen, results_of, score, usable_clips
from dfad.training.tracking import Curves, EpochLines
from dfad.training.trainer import accelerator_of, make_fitting_trainer


@dataclass(frozen=True)
class Trained:
    """A finished run, and whether it was finished before."""

    run: Run
    before: bool


def train(config: TrainConfig, screen: Screen, callbacks: Sequence[Callback] = ()) -> Trained:
    """Train a detector, or go on where its run was cut off, and score validation and test clips.

    Args:
        config: of the training.
        screen: where it tells how it goes.
        callbacks: further ones that follow it.

    Raises:
        DfadError: for anything that a user can put right.
    """
    accelerator = accelerator_of(config.trainer)
    if config.trainer.devices * config.trainer.num_nodes > 1:
        raise ConfigError("this version trains on one device; use trainer.devices=1 trainer.num_nodes=1")
    manifest = config.data.manifest(screen.watch(f"making {config.data.name}"))
    manifest.require_both_classes(SPLITS)
    run = Run.of(config, fingerprint(manifest, screen.watch("looking at clips")), accelerator)
    with run.working():
        if config.force and run.finished:
            run.clear()
        if run.finished:
            return Trained(run, before=True)
        _open_run(run, config, accelerator, screen)
        usable = usable_clips(manifest, config.data, run, screen)
        usable.require_both_classes(SPLITS)
        screen.say(_counted(usable))
        _fit(config, run, usable, screen, callbacks)
        run.write_json("metrics.json", _results(config, run, usable))
    return Trained(run, before=False)


def _open_run(run: Run, config: TrainConfig, accelerator: str, screen: Screen) -> None:
    """Say what the run does, and store what it depends on."""
    now = environment(config.seed, accelerator)
    if run.last.is_file():
        _require_sound(run.last)
        screen.say(f"run [bold]{escape(str(run.folder))}[/] goes on after its last whole epoch")
        if differences := changed(run.read_json("environment.json") or {}, now):
            screen.say(
                f"[yellow]note[/] it began under other versions, so its numbers may differ: {', '.join(differences)}"
            )
        return
    screen.say(f"run [bold]{escape(str(run.folder))}[/]")
    run.write_config(config)
    run.write_json("environment.json", now)


def _counted(manifest: Manifest) -> str:
    """How many clips each split has."""
    counts = {split: np.bincount(manifest.labels[manifest.rows(split)], minlength=2) for split in SPLITS}
    shown = ", ".join(f"{split} {count[1]} + {count[0]}" for split, count in counts.items())
    return f"clips, bona-fide + spoof: {shown}"


def _require_sound(checkpoint: Path) -> None:
    """Refuse to go on from a damaged checkpoint."""
    try:
        Checkpoint.read(checkpoint)
    except RunError as error:
        raise RunError(f"{error}\nthe run cannot go on; delete {checkpoint.parents[1]} and it begins anew") from None


def _fit(config: TrainConfig, run: Run, manifest: Manifest, screen: Screen, callbacks: Sequence[Callback]) -> None:
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
    data = ClipDataModule(
        manifest, data=config.data, frontend=config.frontend, augment=config.augment, seed=config.seed
    )
    following = [Curves(run), EpochLines(screen.say), *callbacks]
    trainer = make_fitting_trainer(config.trainer, run, following, say=screen.say, progress=screen.progress)
    trainer.fit(detector, datamodule=data, ckpt_path=run.last if run.last.is_file() else None, weights_only=True)
    if trainer.received_sigterm:
        raise SystemExit(143)


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
