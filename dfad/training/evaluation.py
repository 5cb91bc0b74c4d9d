"""One evaluation of a trained detector, from its configuration to its stored results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from rich.markup import escape

from dfad.clips import Manifest
from dfad.corpora import CORPORA, CorpusKnobs
from dfad.corpora.check import fingerprint
from dfad.errors import ConfigError, DataError, RunError
from dfad.evaluation import EvaluationKnobs, deploy, evaluate, mixed, require_calibrator, results_of
from dfad.frontends import FrontendKnobs
from dfad.knobs import Knobs, Named
from dfad.labels import SPLITS
from dfad.robustness.conditions import Condition
from dfad.robustness.options import RobustnessKnobs
from dfad.roots import Root
from dfad.scorer import Checkpoint, best_checkpoint
from dfad.scores import ScoreTable
from dfad.training.config import DeviceKnobs, EvalConfig, TrainConfig
from dfad.training.heard import heard
from dfad.training.judging import judged_with, store_results
from dfad.training.ranks import Rank
from dfad.training.robust import Suite, require
from dfad.training.runs import Run, environment
from dfad.training.scoring import SILENT, Scoring, Screen, usable_clips
from dfad.training.suite import checked, chosen_rows, scored
from dfad.training.together import together
from dfad.training.trainer import accelerator_of


class _Data(Knobs):
    data: Annotated[CorpusKnobs, Named(CORPORA)]


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
    if not config.run.exists():
        raise RunError(f"there is no {config.run}; dfad runs lists the runs that there are")
    path = best_checkpoint(config.run) if config.run.is_dir() else config.run
    checkpoint = Checkpoint.read(path)
    require(config.robustness, path)
    run = Run(path.parent.parent)
    in_run = path.parent.name == "checkpoints" and (run.folder / "config.yaml").is_file()
    deployed = in_run and run.finished and path.name == run.best.name
    stored = run.read_config() if in_run else None
    options = EvaluationKnobs.read({**(stored.eval.plain() if stored else {}), **(config.eval or {})}, at="eval")
    require_calibrator(options, checkpoint.knobs.raw)
    data = _data(config, stored)
    whole = data.manifest(screen.watch(f"making {data.name}"))
    own = in_run and (run.read_json("manifest.json") or {}).get("digest") == whole.digest()
    had = heard(whole, data, stored.data if stored else None, checkpoint.knobs.attacks, own=own)
    chosen = "all" if whole.dealing and not had.clips.any() else config.split
    manifest = _chosen(whole, chosen)
    options = _fitting(options, config, manifest, screen)
    if not len(manifest):
        raise DataError(_lacking(whole, chosen))
    home = run.folder / "evals" if in_run else config.run.with_suffix(".evals")
    seen = fingerprint(manifest, screen.watch("looking at clips"))
    place = Run(home / f"{data.name}-{_hash8(config, data, seen, chosen, path)}")
    validation = run.folder / "scores" / "val.csv" if deployed else None
    choice = deploy(ScoreTable.read(validation) if validation else None, options, checkpoint.knobs.raw)
    about = (chosen, manifest.root, checkpoint.knobs.frontend, validation)
    with place.working("eval.log"):
        task = _Task(config, checkpoint, data, manifest, chosen, place, choice.decides_at, screen)
        before = place.finished and not config.force
        judged = not (before and judged_with(place, options, choice))
        if judged:
            if before:
                table = ScoreTable.read(place.folder / "scores.csv")
            else:
                place.clear()
                table = task.score()
            found = evaluate(table, options, choice, known_attacks=had.attacks, watch=screen.watch)
            notes = [*manifest.notes, *mixed(table), *([had.note] if had.note else [])]
            if in_run and not run.finished:
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
    return Evaluated(place, results, *about, before, judged or robust.new, robust.results)


@dataclass(frozen=True)
class _Task:
    """What is scored, by what, and where that is stored."""

    config: EvalConfig
    checkpoint: Checkpoint
    data: CorpusKnobs
    manifest: Manifest
    chosen: str
    place: Run
    threshold: float
    screen: Screen

    def usable(self, screen: Screen = SILENT) -> Manifest:
        """The clips that can be used."""
        return usable_clips(self.manifest, self.data, self.place, screen)

    def score(self) -> ScoreTable:
        """Score the clips on all devices, and store the scores."""
        devices, chosen, screen = self.config.trainer, self.chosen, self.screen
        self.place.write_json("environment.json", environment(0, accelerator_of(devices)))
        screen.say(f"{len(self.manifest)} clips of {'the whole corpus' if chosen == 'all' else f'split {chosen}'}")
        usable = self.usable(screen)
        with together(devices, "evaluate", self._details()) as rank:
            table = self._scoring(usable, np.arange(len(usable)), rank)()
        table.write(self.place.folder / "scores.csv")
        return table

    def score_under(self, conditions: Sequence[Condition], store: Callable[[Condition, ScoreTable], None]) -> None:
        """Score the clips under each condition on all devices, and give each table away at once."""
        knobs, usable = self.config.robustness, self.usable()
        with together(self.config.trainer, "evaluate", self._details(conditions)) as rank:
            scoring = self._scoring(usable, chosen_rows(usable, knobs.clips), rank)
            for condition, table in scored(scoring, knobs, conditions, self.threshold, self.screen.watch):
                store(condition, table)

    def check_gradients(self) -> list[dict[str, Any]]:
        """Check whether the detector's gradients are masked."""
        self.screen.say("checking whether gradients are masked")
        name = accelerator_of(self.config.trainer)
        device = {"gpu": "cuda"}.get(name, name)
        return checked(self.checkpoint, self.usable(), self.data, self.config.robustness, self.threshold, device)

    def _scoring(self, usable: Manifest, rows: np.ndarray, rank: Rank) -> Scoring:
        return Scoring(self.checkpoint, usable, rows, self.data, self.config.trainer, self.place.folder, rank)

    def _details(self, conditions: Sequence[Condition] = ()) -> dict[str, Any]:
        """What the other ranks are told."""
        return {
            "checkpoint": str(self.checkpoint.path),
            "data": self.data.plain(),
            "devices": self.config.trainer.plain(),
            "chosen": self.chosen,
            "folder": str(self.place.folder),
            "robustness": self.config.robustness.plain(),
            "threshold": self.threshold,
            "conditions": [asdict(condition) for condition in conditions],
        }


def follow(
    rank: Rank,
    *,
    checkpoint: str,
    data: dict[str, Any],
    devices: dict[str, Any],
    chosen: str,
    folder: str,
    robustness: dict[str, Any],
    threshold: float,
    conditions: list[dict[str, Any]],
) -> None:
    """Do the share of another rank: score its batches of the clips that the first has chosen."""
    knobs, path = _Data.read({"data": data}).data, Path(checkpoint)
    skipped = Run(Path(folder)).read_json("manifest.json")["skipped"]
    usable = _chosen(knobs.manifest(), chosen).without(skipped)
    suite = RobustnessKnobs.read(robustness)
    rows = chosen_rows(usable, suite.clips if conditions else None)
    about = (Checkpoint.read(path), usable, rows, knobs, DeviceKnobs.read(devices), path.parent)
    scoring = Scoring(*about, rank.ready())
    if conditions:
        under = [Condition(**condition) for condition in conditions]
        for _ in scored(scoring, suite, under, threshold, SILENT.watch):
            pass
    else:
        scoring()


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


def _chosen(manifest: Manifest, chosen: str) -> Manifest:
    """The clips of a split, or `all`; a corpus that was dealt at random just now has no splits to speak of."""
    if chosen != "all":
        return manifest.only(manifest.rows(chosen))
    return manifest.dealt(None)


def _lacking(manifest: Manifest, chosen: str) -> str:
    """What to say of a split without clips."""
    others = [split for split in SPLITS if len(manifest.rows(split))]
    hint = f"; {manifest.hint}" if manifest.hint else ""
    return f"the corpus has no clips in the split {chosen!r}{hint}; there are some with split={' or '.join(others)}"


def _data(config: EvalConfig, stored: TrainConfig | None) -> CorpusKnobs:
    """The corpus that was asked for: by name, or the run's own with other options."""
    if config.data and "name" in config.data:
        return _Data.read({"data": config.data}).data
    if stored is None:
        raise ConfigError(f"{config.run} lies in no run folder; say what to score, such as data=manifest data.path=…")
    return _Data.read({"data": _over(stored.data.plain(), config.data or {})}).data


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
        "devices": {**config.trainer.plain(), "accelerator": accelerator_of(config.trainer)},
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
