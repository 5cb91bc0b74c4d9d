"""The audit of a trained detector by intervention: which nuisances its separation is owed to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.markup import escape

from dfad.audit.intervention import intervened
from dfad.audit.intervention_json import results_of
from dfad.audit.reliance import verdicts
from dfad.audit.rescore import SWAPS, Clips, rescore, some_of, traits_table
from dfad.audit.treatments import GROUPS, Neutral
from dfad.clips import Manifest
from dfad.commands.chosen import detector
from dfad.commands.console import CONSOLE, Bar
from dfad.commands.guard import writing
from dfad.commands.results import show_table
from dfad.errors import ConfigError, DataError, RunError, did_you_mean
from dfad.labels import SPLITS, Label
from dfad.metrics.bootstrap import RESAMPLES
from dfad.report.intervention import HEADER, rows, title, write_intervention
from dfad.scores import ScoreTable
from dfad.training.config import TrainConfig
from dfad.training.memory import keep_freed_memory
from dfad.training.ranks import threads
from dfad.training.runs import Run

JSON, PAGE, SCORES = "audit_run.json", "report.html", "scores.csv"
TRAINING, DONORS = 512, 512  # clips that are measured for the common values, and for values to deal
SAME = 0.05  # of the deviation of stored scores: what differs by less is rounding on another device
OTHER = 0.05  # share of clips that may differ by more than that


def audit_run(
    run: Path,
    *,
    out: Path,
    split: str = "test",
    groups: Sequence[str] = tuple(GROUPS),
    swaps: int = SWAPS,
    resamples: int = RESAMPLES,
    device: str | None = None,
) -> dict[str, Any]:
    """Score a run's own clips under each treatment, print what was found, and write it into a folder.

    Written are `audit_run.json` (docs/intervention.md), `scores.csv` (every score under every treatment) and
    `report.html`. Common values come from the run's training clips; no label of a scored clip chooses anything.

    Args:
        run: folder of a finished run.
        out: folder to write into.
        split: which clips: test, val, train or all.
        groups: which nuisances.
        swaps: values that each clip is dealt in turn.
        resamples: of the bootstrap.
        device: for the network, such as cpu or cuda; None: a GPU if there is one.

    Returns:
        What `audit_run.json` holds.

    Raises:
        ConfigError: for a split or a group that there is not, or none to deal or to draw.
        RunError: for a folder that is no finished run.
        DataError: if its corpus is gone or another, or its audio cannot be used.
    """
    _require(split, groups, swaps, resamples)
    place = Run(run)
    config = _config(place)
    manifest, skipped = _manifest(place, config)
    manifest.require_both_classes({"train", *(() if split == "all" else (split,))})
    chosen = np.arange(len(manifest)) if split == "all" else manifest.rows(split)
    scorer = detector(run, device)
    deployed = scorer.deployed
    assert deployed
    CONSOLE.print(f"{len(chosen):,} clips of {'the whole corpus' if split == 'all' else f'split {split}'}")

    def clips(some: np.ndarray) -> Clips:
        return Clips(manifest, some, config.frontend, config.data.limits)

    training_rows = _balanced(manifest, TRAINING)
    training = clips(training_rows).traits(Bar("measuring training clips"))
    neutral = Neutral.of(training, manifest.labels[training_rows], config.frontend.crop_s)
    donors = clips(some_of(manifest, chosen, DONORS)).traits(Bar("measuring scored clips"))
    if on_cpu := scorer.device.type == "cpu":
        keep_freed_memory()
    with threads(1) if on_cpu else nullcontext():  # as in evaluation
        scores = rescore(scorer, clips(chosen), neutral, donors, groups, swaps=swaps, progress=Bar("scoring clips"))
    table = _table(manifest, chosen, scores["score"].to_numpy(), scores.drop(columns="score"))
    difference, doubts = _against_stored(place, table)
    found = intervened(
        table,
        _table(manifest, training_rows, np.zeros(len(training)), traits_table(training)),
        groups,
        deployed=deployed,
        cluster=config.eval.cluster,
        resamples=resamples,
        progress=Bar("drawing clips", "resamples"),
    )
    about = {
        "run": str(run),
        "data": config.data.plain(),
        "split": split,
        "skipped": skipped,
        "threshold": deployed.threshold,
        "stored_difference": difference,
        "training": {"clips": len(training), "of": len(manifest.rows("train"))},
        "donors": len(donors),
        "swaps": swaps,
    }
    notes = [*doubts, *([_named(skipped)] if skipped else []), *manifest.notes]
    judged = verdicts(found, neutral, config.frontend)
    results = results_of(found, judged, neutral, about=about, notes=notes)
    with writing(out / JSON):
        table.write(out / SCORES)
        write_intervention(out / PAGE, results, table)
        (out / JSON).write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    _show(results)
    for name, path in {"scores": SCORES, "numbers": JSON, "report": PAGE}.items():
        CONSOLE.print(f"{name} {escape(str(out / path))}")
    return results


def _require(split: str, groups: Sequence[str], swaps: int, resamples: int) -> None:
    """Refuse names that there are not, and numbers with which nothing can be told."""
    if min(swaps, resamples) < 1:
        raise ConfigError(f"{swaps} dealt values and {resamples} resamples: at least 1 of each is needed")
    if split not in (*SPLITS, "all"):
        raise ConfigError(f"split {split!r}: choose from: test, val, train, all")
    if not groups:
        raise ConfigError(f"no group to treat; choose from: {', '.join(GROUPS)}")
    for name in groups:
        if name not in GROUPS:
            raise ConfigError(f"no group {name!r}; {did_you_mean(name, GROUPS)}")


def _config(place: Run) -> TrainConfig:
    """The configuration of a finished run."""
    if not place.folder.is_dir():
        raise RunError(f"no run folder at {place.folder}; dfad runs lists the runs that there are")
    config = place.read_config()
    if not place.finished:
        raise RunError(f"{place.folder} is not finished; type the command that trains it again, and it goes on")
    return config


def _manifest(place: Run, config: TrainConfig) -> tuple[Manifest, dict[str, str]]:
    """The clips that the run was made on, less those that it skipped, and these with the reasons.

    Raises:
        DataError: if there are others now, or none.
    """
    here = f"{place.folder} was made on data={config.data.name}, which it looks for where its config.yaml says"
    try:
        manifest = config.data.manifest(Bar(f"making {config.data.name}"))
    except DataError as error:
        raise DataError(f"{error}\n{here}: type this in the folder where the run was trained") from None
    stored = place.read_json("manifest.json") or {}
    if stored.get("digest") != manifest.digest():
        raise DataError(
            f"{manifest.root}: the table of clips there is not the one that {place.folder} was trained on\n"
            f"{here}: bring that corpus back, or train on this one"
        )
    skipped: dict[str, str] = stored["skipped"]
    return manifest.without(skipped), skipped


def _balanced(manifest: Manifest, most: int) -> np.ndarray:
    """Training clips, up to half of `most` of each class."""
    rows = manifest.rows("train")
    halves = [some_of(manifest, rows[manifest.labels[rows] == label], most // 2) for label in Label]
    return np.sort(np.concatenate(halves))


def _table(manifest: Manifest, rows: np.ndarray, scores: np.ndarray, more: pd.DataFrame) -> ScoreTable:
    """Scores with what the manifest says of the clips, and further columns."""
    return ScoreTable(pd.concat([ScoreTable.of(manifest, rows, scores).frame, more], axis=1))


def _against_stored(place: Run, table: ScoreTable) -> tuple[float | None, list[str]]:
    """Hold clean scores against those that the run stored: the largest difference, and what is to be said of it.

    Raises:
        DataError: if so many differ that it must be other audio.
    """
    files = [path for split in SPLITS if (path := place.folder / "scores" / f"{split}.csv").is_file()]
    stored = pd.concat([ScoreTable.read(path).frame.set_index("id")["score"] for path in files])
    both = table.frame[table.frame["id"].isin(stored.index)]
    if both.empty:
        return None, []
    before = stored.loc[both["id"]].to_numpy(np.float64)
    difference = np.abs(both["score"].to_numpy(np.float64) - before)
    other = difference > SAME * max(float(before.std()), 1e-9)
    if not other.any():
        return float(difference.max()), []
    first = both["id"].iloc[int(difference.argmax())]
    said = f"{other.sum()} of {len(both)} clips have other scores than the run stored, most of all {first}"
    if other.mean() > OTHER:
        raise DataError(
            f"{said}\ntheir audio is not what {place.folder} scored: bring that back, or score this with eval.py"
        )
    return float(difference.max()), [f"{said}: has their audio changed?"]


def _named(skipped: Mapping[str, str]) -> str:
    """Which clips the run left out."""
    names = ", ".join(list(skipped)[:3]) + (", …" if len(skipped) > 3 else "")
    return f"{len(skipped)} clips of the corpus stay out, as the run skipped them: {names}"


def _show(results: Mapping[str, Any]) -> None:
    """Print the table, and a sentence per group."""
    show_table(HEADER, rows(results))
    for group in results["groups"]:
        CONSOLE.print(f"[bold]{title(group)}[/]: it {escape(group['words'])}")
    for note in results["notes"]:
        CONSOLE.print(f"[yellow]note[/] {escape(note)}")
