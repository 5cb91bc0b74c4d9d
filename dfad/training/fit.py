"""One training, from its configuration to its stored results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.callbacks import Callback
from rich.markup import escape

from dfad.augment import Vocoded
from dfad.checkpoint import Checkpoint, DetectorKnobs
from dfad.clips import Manifest
from dfad.corpora import MixKnobs
from dfad.corpora.check import fingerprint
from dfad.errors import RunError
from dfad.evaluation import attack_names
from dfad.labels import SPLITS
from dfad.scores import ScoreTable
from dfad.scoring.familiar import Familiar
from dfad.training.config import TrainConfig
from dfad.training.datamodule import ClipDataModule
from dfad.training.detectors import DETECTORS, Detector, class_weights
from dfad.training.familiar import familiar_of
from dfad.training.frozen import keep_frozen
from dfad.training.hardening import Hardening
from dfad.training.judging import deployed_before, judge, judged_with, stored_tables, write_tables
from dfad.training.meeting import require_shared
from dfad.training.mixing import Mixing
from dfad.training.ranks import Rank
from dfad.training.runs import Run, changed, environment
from dfad.training.scoring import SILENT, Scoring, Screen, usable_clips
from dfad.training.shares import cells_of, copies_by_part, drawn_by_class, drawn_by_part, parts_of
from dfad.training.stops import batches_before
from dfad.training.together import require_hosts, together
from dfad.training.tracking import Curves, EpochLines
from dfad.training.trainer import accelerator_of, make_fitting_trainer


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes:
        run: its folder.
        before: whether it was trained before.
        judged: whether its results are new, as they are of other options for evaluation too.
    """

    run: Run
    before: bool
    judged: bool = False


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
    require_hosts(config.trainer)
    manifest = config.data.manifest(screen.watch(f"making {config.data.name}"))
    _require_both_classes(manifest, config)
    cells_of(manifest, config.data, config.augment.copies)  # what cannot be drawn is told before any work
    config.eval.require(manifest.frame.columns)
    config.augment.require()
    clips = fingerprint(manifest, screen.watch("looking at clips"))
    run = Run.of(config, clips, accelerator)
    with run.working():
        if config.force and run.finished:
            run.clear()
        if run.finished:
            if not judged_with(run, config.eval):
                attacks = Checkpoint.read(run.best).knobs.attacks
                familiar = _familiar(run, usable_clips(manifest, config.data, run, screen), config, screen)
                about: Any = {"attacks": attacks, "notes": manifest.notes, "familiar": familiar}
                judge(run, stored_tables(run), config, screen=screen, **about)
                return Trained(run, before=True, judged=True)
            return Trained(run, before=True)
        _open_run(run, config, accelerator, screen)
        usable = usable_clips(manifest, config.data, run, screen)
        _require_both_classes(usable, config)
        screen.say(_counted(usable))
        if isinstance(config.data, MixKnobs):
            screen.say(_shared(usable, config.data))
        if config.augment.vocoded:
            screen.say(_copied(usable, config, config.augment.vocoded))
        detector = _new_detector(config, usable, screen)  # before the others start: it may download weights
        details = {"config": config.plain(), "folder": str(run.folder), "clips": clips}
        with together(config.trainer, "train", details) as rank:
            keep = keep_frozen(config, usable, clips, detector.split, run.folder.name, screen)
            tables = _fit_and_score(config, run, usable, detector, rank, screen, [*keep, *callbacks])
        write_tables(run, tables)
        familiar = _familiar(run, usable, config, screen)
        about = {"attacks": detector.knobs.attacks, "notes": usable.notes, "familiar": familiar}
        judge(run, tables, config, screen=screen, **about)
    return Trained(run, before=False, judged=True)


def follow(rank: Rank, *, config: dict[str, Any], folder: str, clips: str) -> None:
    """Do the share of another rank; the first has looked at everything and writes what there is to write."""
    knobs, run = TrainConfig.read(config), Run(Path(folder))
    require_shared(run.folder)
    usable = knobs.data.manifest().without(run.read_json("manifest.json")["skipped"])
    detector = _new_detector(knobs, usable, SILENT)
    keep = keep_frozen(knobs, usable, clips, detector.split, run.folder.name, SILENT)
    _fit_and_score(knobs, run, usable, detector, rank.ready(), SILENT, keep)


def _familiar(run: Run, usable: Manifest, config: TrainConfig, screen: Screen) -> Familiar | None:
    """What the training clips sound like: as the run has stored it, or by listening to some of them now."""
    before = deployed_before(run)
    return (before.familiar if before else None) or familiar_of(usable, config.data, config.frontend, screen)


def _open_run(run: Run, config: TrainConfig, accelerator: str, screen: Screen) -> None:
    """Say what the run does, and store what it depends on."""
    now = environment(config.seed, accelerator)
    if run.last.is_file():
        epoch, batches = _sound(run.last).epoch, batches_before(run.last)
        where = f"batch {batches} of epoch" if batches else "its last whole epoch,"
        screen.say(
            f"run [bold]{escape(str(run.folder))}[/] goes on after {where} {epoch} of {config.trainer.max_epochs}"
        )
        if differences := changed(run.read_json("environment.json") or {}, now):
            screen.say(
                f"[yellow]note[/] it began under other versions, so its numbers may differ: {', '.join(differences)}"
            )
        return
    screen.say(f"run [bold]{escape(str(run.folder))}[/]")
    run.write_config(config.plain())
    run.write_json("environment.json", now)


def _counted(manifest: Manifest) -> str:
    """How many clips each split has."""
    counts = {split: np.bincount(manifest.labels[manifest.rows(split)], minlength=2) for split in SPLITS}
    shown = ", ".join(f"{split} {count[1]} + {count[0]}" for split, count in counts.items())
    return f"clips, bona-fide + spoof: {shown}"


def _shared(manifest: Manifest, data: MixKnobs) -> str:
    """What an epoch draws from each part of a mix."""
    clips, drawn = parts_of(manifest, data), drawn_by_part(manifest, data)
    total = sum(drawn.values())
    told = (
        f"{'all' if count == len(clips[part]) else f'{count} from the'} {len(clips[part])} of {escape(part)} "
        f"({count / total:.1%})"
        for part, count in drawn.items()
    )
    return f"an epoch draws {total} clips: {', '.join(told)}"


def _require_both_classes(manifest: Manifest, config: TrainConfig) -> None:
    """Refuse splits of one class; spoofed copies of bona fide clips are training clips enough of theirs."""
    manifest.require_both_classes(split for split in SPLITS if split != "train" or not config.augment.copies)


def _copied(manifest: Manifest, config: TrainConfig, vocoded: Vocoded) -> str:
    """What an epoch has on top of them."""
    count = sum(copies_by_part(manifest, config.data, vocoded.p).values())
    return f"an epoch has {count} spoofed copies of bona fide clips more, by {', '.join(vocoded.vocoders)}"


def _sound(checkpoint: Path) -> Checkpoint:
    """Read a checkpoint to go on from; refuse a damaged one."""
    try:
        return Checkpoint.read(checkpoint)
    except RunError as error:
        raise RunError(f"{error}\nthe run cannot go on; delete {checkpoint.parents[1]} and it begins anew") from None


def _new_detector(config: TrainConfig, manifest: Manifest, screen: Screen) -> Detector:
    attacks = sorted(_attacks_of_training(manifest, config.augment.vocoded) - {""})
    counts = drawn_by_class(manifest, cells_of(manifest, config.data, config.augment.copies))
    downloading = screen.watch("downloading weights", "bytes")
    model = config.model.ready(downloading)
    detector = DETECTORS.get(config.model.name, Detector)(
        DetectorKnobs(
            frontend=config.frontend,
            model=model,
            head=config.loss.head,
            raw=config.loss.raw,
            attacks=tuple(attacks),
        ),
        config.trainer,
        loss=config.loss,
        seed=config.seed,
        class_weights=class_weights(counts) if config.data.balance == "loss" else (1.0, 1.0),
        progress=downloading,
    )
    detector.manifest = manifest
    return detector


def _attacks_of_training(manifest: Manifest, vocoded: Vocoded | None) -> set[str]:
    """The attacks that the detector hears: those of the training clips, and any whose vocoder copies others."""
    names = attack_names(manifest.frame)
    found = {*names.iloc[manifest.rows("train")].unique()}
    if vocoded and vocoded.p:
        copied = {name for name in names.unique() if name.rpartition("/")[2] in vocoded.vocoders}  # corpus/attack
        found |= {*vocoded.vocoders, *copied}
    return found


def _fit_and_score(
    config: TrainConfig,
    run: Run,
    manifest: Manifest,
    detector: Detector,
    rank: Rank,
    screen: Screen,
    callbacks: Sequence[Callback] = (),
) -> dict[str, ScoreTable]:
    """Train, and score validation and test clips with the best weights.

    The test set is touched here, once, and nowhere else.
    """
    data = ClipDataModule(
        manifest, data=config.data, frontend=config.frontend, augment=config.augment, seed=config.seed
    )
    first = 0
    if hardening := config.augment.adversarial:
        detector.harden = Hardening(hardening, data, config.trainer.max_epochs)
        first = hardening.grown(config.trainer.max_epochs)
    following = [Curves(run), EpochLines(screen.say), *callbacks]
    if mixup := config.augment.mixup:
        detector.mix = Mixing(mixup, data)
    trainer = make_fitting_trainer(
        config.trainer,
        run,
        following,
        rank=rank,
        unfreezes=detector.unfreezes,
        first=first,
        say=screen.say,
        progress=screen.progress,
    )
    trainer.fit(detector, datamodule=data, ckpt_path=run.last if run.last.is_file() else None, weights_only=True)
    best = Checkpoint.read(run.best)
    return {
        split: Scoring(best, manifest, manifest.rows(split), config.data, config.trainer, run.folder, rank)()
        for split in ("val", "test")
    }
