"""The suite: the same clips scored by the same detector under every condition, by all ranks together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from dfad.checkpoint import Checkpoint
from dfad.clips import Manifest
from dfad.corpora import CorpusKnobs
from dfad.labels import Label
from dfad.robustness.checks import masking_checks
from dfad.robustness.conditions import Condition, counted
from dfad.robustness.options import RobustnessKnobs
from dfad.robustness.victim import Victim
from dfad.scorer import Scorer, load_scorer
from dfad.scores import ScoreTable
from dfad.training.dataset import Batch, ClipDataset
from dfad.training.perturbing import Attacking, Laundering, Perturb, crops, lowest, targets_of
from dfad.training.ranks import gathered, threads
from dfad.training.scoring import Scoring, Watch

CHECKED = 16  # clips of each class on which it is checked whether gradients are masked


def chosen_rows(manifest: Manifest, most: int | None) -> np.ndarray:
    """Rows of the clips that a suite scores: all, or so many with the lowest hashes of their ids.

    Half of them are of either class; of a class that has fewer, all.

    Shape:
        (clips,) int64, ascending
    """
    rows = np.arange(len(manifest))
    if most is None:
        return rows
    rare, common = sorted((rows[manifest.labels == label] for label in Label), key=len)
    few = min(len(rare), most // 2)
    return np.sort(np.concatenate([lowest(manifest, rare, few), lowest(manifest, common, most - few)]))


def scored(
    scoring: Scoring, knobs: RobustnessKnobs, conditions: Sequence[Condition], threshold: float, watch: Watch
) -> Iterator[tuple[Condition, ScoreTable]]:
    """Score the clips under each condition, on this rank together with the others.

    Args:
        scoring: of a detector and clips, on their rank.
        knobs: of the suite.
        conditions: that can be done here.
        threshold: the deployed one, which adversaries want clips to cross.
        watch: shows how far it is.

    Yields:
        Each condition and its whole table, with the columns that the perturbation added.
    """
    scoring.hold()
    laundering, attacking = Laundering(scoring, knobs.seed, conditions), Attacking(scoring, knobs, threshold)
    progress = watch(f"scoring under {counted(len(conditions), 'condition')}", "clips")
    clips = len(scoring.rows)
    for number, condition in enumerate(conditions):
        began = monotonic()

        def told(done: int, before: int = number * clips) -> None:
            progress(before + done, len(conditions) * clips)

        kind = attacking if condition.family == "adversarial" else laundering
        heard = _Heard(kind.under(condition), clips, scoring.rank.world, told)
        scoring.module.perturb = heard
        try:
            table = scoring()
        finally:
            scoring.module.perturb = None
        yield condition, heard.joined_to(table, scoring.manifest)
        told(clips)
        logging.getLogger("dfad").info("%s: %.1f s", condition, monotonic() - began)


class _Heard:
    """Perturbs batches as they come, and keeps what is told of their clips."""

    def __init__(self, perturb: Perturb, clips: int, world: int, told: Callable[[int], None]) -> None:
        self.perturb, self.clips, self.world, self.told = perturb, clips, world, told
        self.done = 0
        self.parts: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []

    def __call__(self, batch: Batch) -> Tensor:
        if batch.draw[0]:  # another rank has it too, and its scores count
            return batch.wave
        wave, noted = self.perturb(batch)
        self.parts.append((batch.row.numpy(), {name: values.cpu().numpy() for name, values in noted.items()}))
        self.done += len(batch) * self.world
        self.told(min(self.done, self.clips - 1))  # the last when the table is whole
        return wave

    def joined_to(self, table: ScoreTable, manifest: Manifest) -> ScoreTable:
        """The table with what all ranks were told of its clips."""
        parts = [pd.DataFrame(told, index=manifest.ids[rows]) for rows, told in self.parts]
        everyone: list[pd.DataFrame] = gathered(parts, self.world)
        found = pd.concat(everyone)
        return ScoreTable(table.frame.drop(columns=found.columns, errors="ignore").join(found, on="id"))


def checked(
    checkpoint: Checkpoint, manifest: Manifest, data: CorpusKnobs, knobs: RobustnessKnobs, threshold: float, device: str
) -> list[dict[str, Any]]:
    """Check on some clips of each class whether gradients are masked, so that attacks fail without any defence.

    Returns:
        What each check says: `name`, `passed` (None: cannot be told), `words`.
    """
    rows = chosen_rows(manifest, knobs.clips)
    some = np.sort(np.concatenate([lowest(manifest, rows[manifest.labels[rows] == one], CHECKED) for one in Label]))
    dataset = ClipDataset(manifest, checkpoint.knobs.frontend, data.limits)
    with threads(1) if device == "cpu" else nullcontext():
        targets = targets_of(manifest, some, crops(dataset, some).to(device), knobs.seed, threshold)
        surrogate = Victim.of(load_scorer(knobs.surrogate, device=device)) if knobs.surrogate else None
        checks = masking_checks(Victim.of(Scorer(checkpoint, device=device)), targets, surrogate)
    return [check.plain() for check in checks]
