"""One evaluation of a trained detector, from its configuration to its stored results."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.markup import escape

from dfad.checkpoint import Checkpoint, best_checkpoint
from dfad.clips import Manifest
from dfad.corpora import CorpusKnobs
from dfad.corpora.check import fingerprint
from dfad.errors import ConfigError, DataError, RunError
from dfad.evaluation import EvaluationKnobs, deploy, evaluate, mixed, require_calibrator, results_of
from dfad.frontends import FrontendKnobs
from dfad.labels import SPLITS
from dfad.roots import Root
from dfad.scores import ScoreTable
from dfad.training.config import EvalConfig, TrainConfig
from dfad.training.deployment import Chosen, chosen_by_corpus, chosen_by_run, validates
from dfad.training.heard import heard
from dfad.training.judging import judged_with, store_results
from dfad.training.robust import Suite, require
from dfad.training.runs import Run
from dfad.training.scoring import Screen
from dfad.training.task import Data, Task, chosen_clips
from dfad.training.together import require_hosts
from dfad.training.trainer import accelerator_of


@dataclass(frozen=True)
class Evaluated:
    """A stored evaluation.

    Attributes:
        place: its folder.
        results: as `metrics.json` holds them.
        split: that was scored, or `all`.
        root: folder of the clips, or those of a mix.
        frontend: of the detector.
        validation: file of its validation scores, by which threshold and calibrator were chosen; None without.
        before: whether it was scored before.
        judged: whether the results are new, as they are of other options too.
        robust: what `robustness.json` holds; None without a suite.
    """

    place: Run
    results: dict[str, Any]
    split: str
    root: Root
    frontend: FrontendKnobs
    validation: Path | None
    before: bool
    judged: bool
    robust: dict[str, Any] | None = None


def evaluate_run(config: EvalConfig, screen: Screen) -> Evaluated:
    """Score clips with the detector of a run, or of a bare checkpoint, and store scores and metrics.

    The run's own corpus gives the split that is asked for; another corpus likewise if it has splits, else all of its
    clips, as none of them was trained on.

    Raises:
        DfadError: for anything that a user can put right.
    """
    accelerator_of(config.trainer)
    require_hosts(config.trainer)
    if not config.run.exists():
        raise RunError(f"there is no {config.run}; dfad runs lists the runs that there are")
    path = best_checkpoint(config.run) if config.run.is_dir() else config.run
    checkpoint = Checkpoint.read(path)
    require(config.robustness, path)
    run = Run(path.parent.parent)
    in_run = path.parent.name == "checkpoints" and (run.folder / "config.yaml").is_file()
    imported = in_run and run.imported
    stored = run.read_config() if in_run and not imported else None
    options = EvaluationKnobs.read({**(stored.eval.plain() if stored else {}), **(config.eval or {})}, at="eval")
    require_calibrator(options, checkpoint.knobs.raw)
    data = _data(config, stored, imported=imported)
    whole = data.manifest(screen.watch(f"making {data.name}"))
    own = in_run and (run.read_json("manifest.json") or {}).get("digest") == whole.digest()
    had = heard(whole, data, stored.data if stored else None, checkpoint.knobs.attacks, own=own)
    chosen = "all" if whole.dealing and not had.clips.any() else config.split
    manifest = chosen_clips(whole, chosen)
    options = _fitting(options, config, manifest, screen)
    if not len(manifest):
        raise DataError(_lacking(whole, chosen))
    home = run.folder / "evals" if in_run else config.run.with_suffix(".evals")
    seen = fingerprint(manifest, screen.watch("looking at clips"))
    if imported and validates(whole, chosen):
        seen += fingerprint(chosen_clips(whole, "val"))
    place = Run(home / f"{data.name}-{_hash8(config, data, seen, chosen, path)}")
    with place.working("eval.log"):
        before = place.finished and not config.force
        if not before:
            place.clear()
        task = Task(config, checkpoint, data, manifest, chosen, place, 0.0, screen)
        if imported:
            by = chosen_by_corpus(task, whole, options, screen.say)
        else:
            none = Chosen(deploy(None, options, checkpoint.knobs.raw))
            by = chosen_by_run(run, checkpoint, options) if in_run else none
        choice = by.choice
        task = replace(task, threshold=choice.decides_at)
        judged = not (before and judged_with(place, options, choice))
        if judged:
            table = ScoreTable.read(place.folder / "scores.csv") if before else task.score()
            found = evaluate(table, options, choice, known_attacks=had.attacks, watch=screen.watch)
            notes = [*manifest.notes, *mixed(table), *([had.note] if had.note else [])]
            notes = [*by.notes, *notes]
            if in_run and not imported and not run.finished:
                notes.insert(0, "the run is not finished: its best checkpoint so far was scored")
            if count := int(table.frame["id"].isin(whole.frame["id"][had.clips]).sum()):
                notes.insert(0, f"{count} of {len(table)} clips that are scored here trained the detector, or chose it")
            what = {"run": str(config.run), "checkpoint": str(path), "data": data.plain(), "split": chosen}
            store_results(
                place, {**what, "eval": options.plain()}, choice, results_of({chosen: found}, options, choice, notes)
            )
        results = place.read_json("metrics.json")
        robust = Suite(place, config.robustness, task, screen).judged(
            options, choice, stored.augment if stored else None
        )
    about = (chosen, manifest.root, checkpoint.knobs.frontend, by.validation)
    return Evaluated(place, results, *about, before, judged or robust.new, robust.results)


def _fitting(options: EvaluationKnobs, config: EvalConfig, manifest: Manifest, screen: Screen) -> EvaluationKnobs:
    """The options less what the run asked of columns that another corpus has not; what is asked now must be there.

    Raises:
        ConfigError: for a column that is asked for now.
    """
    columns = list(manifest.frame.columns)
    inherited = {name: gone for name, gone in options.lacking(columns).items() if name not in (config.eval or {})}
    for name, gone in inherited.items():
        screen.say(f"the corpus has no column {escape(', '.join(gone))}, which the run's eval.{name} names")
    options = options.model_copy(update=dict.fromkeys(inherited))
    options.require(columns)
    return options


def _lacking(manifest: Manifest, chosen: str) -> str:
    """What to say of a split without clips."""
    others = [split for split in SPLITS if len(manifest.rows(split))]
    hint = f"; {manifest.hint}" if manifest.hint else ""
    return f"the corpus has no clips in the split {chosen!r}{hint}; there are some with split={' or '.join(others)}"


def _data(config: EvalConfig, stored: TrainConfig | None, *, imported: bool) -> CorpusKnobs:
    """The corpus that was asked for: by name, or the run's own with other options."""
    if config.data and "name" in config.data:
        return Data.read({"data": config.data}).data
    if stored is None:
        why = "was imported without a corpus" if imported else "lies in no run folder"
        raise ConfigError(f"{config.run} {why}; say what to score, such as data=manifest data.path=…")
    return Data.read({"data": _over(stored.data.plain(), config.data or {})}).data


def _over(values: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """Values with others put over them, also those inside, such as the path of a part of a mix."""
    dicts = [name for name, new in others.items() if isinstance(new, dict) and isinstance(values.get(name), dict)]
    return {**values, **others, **{name: _over(values[name], others[name]) for name in dicts}}


def _hash8(config: EvalConfig, data: CorpusKnobs, clips: str, chosen: str, checkpoint: Path) -> str:
    identity = {
        "data": data.identity(),
        "clips": clips,
        "split": chosen,
        "checkpoint": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        "devices": {**config.trainer.identity(), "accelerator": accelerator_of(config.trainer)},
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
