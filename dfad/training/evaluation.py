"""One evaluation of a trained detector, from its configuration to its stored results."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from dfad.clips import SPLIT_NOTE, Manifest
from dfad.corpora import CORPORA, CorpusKnobs
from dfad.corpora.check import fingerprint
from dfad.errors import ConfigError, DataError, RunError
from dfad.evaluate import evaluate
from dfad.knobs import Knobs, Named
from dfad.scorer import Checkpoint, best_checkpoint, stored_threshold
from dfad.training.config import DeviceKnobs, EvalConfig
from dfad.training.ranks import Rank
from dfad.training.runs import Run, environment
from dfad.training.scoring import Screen, results_of, score, usable_clips
from dfad.training.together import together
from dfad.training.trainer import accelerator_of


class _Data(Knobs):
    data: Annotated[CorpusKnobs, Named(CORPORA)]


@dataclass(frozen=True)
class Evaluated:
    """A stored evaluation, and whether it was stored before."""

    folder: Path
    results: dict[str, Any]
    before: bool


def evaluate_run(config: EvalConfig, screen: Screen) -> Evaluated:
    """Score clips with the detector of a run, or of a bare checkpoint, and store scores and metrics.

    The run's own corpus gives the split that is asked for; another corpus likewise if it has splits, else all of its
    clips, as none of them was trained on.

    Raises:
        DfadError: for anything that a user can put right.
    """
    accelerator_of(config.trainer)
    if not config.run.exists():
        raise RunError(f"there is no {config.run}; dfad runs lists the runs that there are")
    path = best_checkpoint(config.run) if config.run.is_dir() else config.run
    checkpoint = Checkpoint.read(path)
    run = Run(path.parent.parent)
    in_run = path.parent.name == "checkpoints" and (run.folder / "config.yaml").is_file()
    threshold = stored_threshold(run.folder) if in_run and path.name == run.best.name else None
    data = _data(config, run if in_run else None)
    manifest = data.manifest(screen.watch(f"making {data.name}"))
    own = in_run and (run.read_json("manifest.json") or {}).get("digest") == manifest.digest()
    chosen = "all" if not own and SPLIT_NOTE in manifest.notes else config.split
    manifest = _chosen(manifest, chosen)
    if not len(manifest):
        raise DataError(f"the corpus has no clips in the split {chosen!r}; choose another: split=train, val or test")
    home = run.folder / "evals" if in_run else config.run.with_suffix(".evals")
    seen = fingerprint(manifest, screen.watch("looking at clips"))
    place = Run(home / f"{data.name}-{_hash8(config, data, seen, chosen, path, threshold)}")
    with place.working("eval.log"):
        if place.finished and not config.force:
            return Evaluated(place.folder, place.read_json("metrics.json"), before=True)
        place.clear()
        place.write_json("environment.json", environment(0, accelerator_of(config.trainer)))
        screen.say(f"{len(manifest)} clips of {'the whole corpus' if chosen == 'all' else f'split {chosen}'}")
        usable = usable_clips(manifest, data, place, screen)
        details = {
            "checkpoint": str(path),
            "data": data.plain(),
            "devices": config.trainer.plain(),
            "chosen": chosen,
            "folder": str(place.folder),
        }
        with together(config.trainer, "evaluate", details) as rank:
            table = score(checkpoint, usable, np.arange(len(usable)), data, config.trainer, place.folder, rank)
        table.write(place.folder / "scores.csv")
        found = evaluate(table, threshold=threshold, known_attacks=checkpoint.knobs.attacks)
        early = in_run and not run.finished
        notes = ("the run is not finished: its best checkpoint so far was scored",) if early else ()
        results = results_of({chosen: found}, (*notes, *usable.notes))
        place.write_json("metrics.json", results)
    return Evaluated(place.folder, results, before=False)


def follow(
    rank: Rank, *, checkpoint: str, data: dict[str, Any], devices: dict[str, Any], chosen: str, folder: str
) -> None:
    """Do the share of another rank: score its batches of the clips that the first has chosen."""
    knobs, path = _Data.read({"data": data}).data, Path(checkpoint)
    skipped = Run(Path(folder)).read_json("manifest.json")["skipped"]
    usable = _chosen(knobs.manifest(), chosen).without(skipped)
    rows = np.arange(len(usable))
    score(Checkpoint.read(path), usable, rows, knobs, DeviceKnobs.read(devices), path.parent, rank.ready())


def _chosen(manifest: Manifest, chosen: str) -> Manifest:
    """The clips of a split, or `all`; a corpus that was dealt at random just now has no splits to speak of."""
    return Manifest(manifest.frame, manifest.root) if chosen == "all" else manifest.only(manifest.rows(chosen))


def _data(config: EvalConfig, run: Run | None) -> CorpusKnobs:
    """The corpus that was asked for: by name, or the run's own with other options."""
    if config.data and "name" in config.data:
        return _Data.read({"data": config.data}).data
    if run is None:
        raise ConfigError(f"{config.run} lies in no run folder; say what to score, such as data=manifest data.path=…")
    return _Data.read({"data": {**run.read_config().data.plain(), **(config.data or {})}}).data


def _hash8(
    config: EvalConfig, data: CorpusKnobs, clips: str, chosen: str, checkpoint: Path, threshold: float | None
) -> str:
    identity = {
        "data": data.identity(),
        "clips": clips,
        "threshold": threshold,
        "split": chosen,
        "checkpoint": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        "devices": {**config.trainer.plain(), "accelerator": accelerator_of(config.trainer)},
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
