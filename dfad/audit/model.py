"""A small model on all features at once: what it reaches on a random split, and what is left of that elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from dfad.audit.columns import Column
from dfad.audit.features import GROUPS
from dfad.clips import Manifest
from dfad.errors import ConfigError, did_you_mean
from dfad.evaluation.breakdown import NO_INTERVAL, part, with_interval
from dfad.evaluation.units import CANDIDATES, Unit, is_known
from dfad.labels import Label
from dfad.metrics import auroc
from dfad.metrics.bootstrap import Interval, untold
from dfad.scores import ScoreTable

FOLDS, SEED, TREES, RESAMPLES = 5, 0, 60, 1000
MOST_CLIPS, PER_TREE = 20_000, 4000  # what a forest of so few numbers can use
GROUPINGS = (*CANDIDATES, "page")
RANDOM, TRAIN_TEST, EVERYTHING = "random", "train-test", "all"

Folds = Iterator[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Grouping:
    """Clips that stay together when others are tested on.

    Attributes:
        name: of the column.
        codes: the group of each clip, (clips,); one whose group is not known is its own.
        count: groups of the class that has fewer.
        shared: share of the known groups that have both classes.
    """

    name: str
    codes: np.ndarray
    count: int
    shared: float


@dataclass(frozen=True)
class Trial:
    """What the model reaches on clips that it was not trained on.

    Attributes:
        how: `random`, the column whose values stay together, or `train-test`.
        features: `all`, or a group of them.
        eer: equal error rate.
        interval: 95 %, of the EER.
        auroc: area under the ROC.
        clips: that were tested.
        unit: what the interval was drawn over.
        note: why something is missing.
    """

    how: str
    features: str
    eer: float = nan
    interval: Interval = NO_INTERVAL
    auroc: float = nan
    clips: int = 0
    unit: str = ""
    note: str = ""


def groupings(manifest: Manifest, column: str | None) -> list[Grouping]:
    """The columns by which clips can be kept together: the one with the fewest groups first, as it is the hardest.

    Args:
        manifest: the clips.
        column: the only one to take; None: speaker, source and page, where most clips of either class have one. One
            with a single group in a class comes last, as it leaves nothing to train on.

    Raises:
        ConfigError: for a column that there is not.
    """
    frame = manifest.frame
    if column is not None and column not in frame:
        raise ConfigError(f"--group {column}: no such column; {did_you_mean(column, map(str, frame.columns))}")
    found = []
    for name in [column] if column else GROUPINGS:
        if name not in frame:
            continue
        known, real = is_known(frame[name]), manifest.labels == Label.BONA_FIDE
        if column is None and min(known[real].mean(), known[~real].mean()) <= 0.5:
            continue
        codes = pd.factorize(frame[name].astype(str))[0]
        codes[~known] = codes.max(initial=0) + 1 + np.arange((~known).sum())
        sides = [set(codes[side & known]) for side in (real, ~real)]
        either = len(sides[0] | sides[1])
        shared = len(sides[0] & sides[1]) / either if either else 0.0
        found.append(Grouping(name, codes, min(len(set(codes[side])) for side in (real, ~real)), shared))
    return sorted(found, key=lambda grouping: (grouping.count < 2, grouping.count))


def trials(
    manifest: Manifest,
    columns: Sequence[Column],
    groups: Sequence[Grouping],
    progress: Callable[[int, int], None] = untold,
) -> list[Trial]:
    """Train and test the model in every way: all features, then each group of them alone.

    Args:
        manifest: the clips.
        columns: of those that a detector may hear of.
        groups: as `groupings` gives them.
        progress: is told of the ways done.
    """
    rows = _drawn(manifest)
    manifest = manifest.only(rows)
    groups = [Grouping(each.name, each.codes[rows], each.count, each.shared) for each in groups]
    alone = [name for name in GROUPS if any(column.feature.group == name for column in columns)]
    ways = [(EVERYTHING, how) for how in (None, *groups)]
    ways += [(name, how) for name in alone for how in (None, *groups[:1])]
    unit = Unit(groups[-1].name, groups[-1].codes, groups[-1].count) if groups else Unit("clip", None, 0)
    found = []
    for done, (features, grouping) in enumerate(ways, start=1):
        table = _table([column for column in columns if features in (EVERYTHING, column.feature.group)], rows)
        found.append(_cross_validated(manifest, table, features, grouping, unit))
        progress(done, len(ways) + 1)
    if (trial := _train_test(manifest, _table(columns, rows), unit)) is not None:
        found.append(trial)
    progress(len(ways) + 1, len(ways) + 1)
    return found


def _table(columns: Sequence[Column], rows: np.ndarray) -> np.ndarray:
    return np.stack([column.values[rows] for column in columns], axis=1).astype(np.float32)


def _drawn(manifest: Manifest) -> np.ndarray:
    """The rows that are looked at: all, or as many as are enough, drawn with a fixed seed. Shape: (rows,) ascending."""
    rows = np.arange(len(manifest))
    if len(rows) <= MOST_CLIPS:
        return rows
    return np.sort(np.random.default_rng(SEED).choice(rows, MOST_CLIPS, replace=False))


def _cross_validated(
    manifest: Manifest, table: np.ndarray, features: str, grouping: Grouping | None, unit: Unit
) -> Trial:
    """Scores of every clip by a model that had none of its fold."""
    labels = manifest.labels.astype(np.int64)
    name = grouping.name if grouping else RANDOM
    counts = np.bincount(labels, minlength=2) if grouping is None else _group_counts(labels, grouping.codes)
    folds = int(min(FOLDS, *counts))
    if folds < 2:
        what = "clip" if grouping is None else f"value of {name}"
        few = Label(int(np.argmin(counts)))
        return Trial(name, features, note=f"only {counts.min()} {what} with {few} clips: nothing is left to train on")
    if grouping is None:
        cut: Folds = StratifiedKFold(folds, shuffle=True, random_state=SEED).split(table, labels)
    else:
        cut = StratifiedGroupKFold(folds, shuffle=True, random_state=SEED).split(table, labels, grouping.codes)
    scores = np.full(len(labels), nan)
    for seen, unseen in cut:
        if 0 < labels[seen].sum() < len(seen):
            scores[unseen] = _scores(table[seen], labels[seen], table[unseen])
    tested = np.flatnonzero(~np.isnan(scores))
    if grouping is not None:
        unit = Unit(name, grouping.codes, grouping.count)
    return _judged(name, features, manifest, tested, scores[tested], unit)


def _train_test(manifest: Manifest, table: np.ndarray, unit: Unit) -> Trial | None:
    """Trained on the training split and tested on the test split; None where there are none, or dealt at random."""
    train, test = manifest.rows("train"), manifest.rows("test")
    labels = manifest.labels.astype(np.int64)
    if manifest.dealing or not all(0 < labels[rows].sum() < len(rows) for rows in (train, test)):
        return None
    scores = _scores(table[train], labels[train], table[test])
    return _judged(TRAIN_TEST, EVERYTHING, manifest, test, scores, unit)


def _scores(seen: np.ndarray, labels: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    forest = RandomForestClassifier(
        TREES,
        min_samples_leaf=3,
        class_weight="balanced",
        max_samples=min(len(seen), PER_TREE),
        random_state=SEED,
        n_jobs=-1 if len(seen) > PER_TREE else 1,  # the trees are the same; few clips are sooner done alone
    )
    return forest.fit(seen, labels).predict_proba(unseen)[:, 1]


def _judged(how: str, features: str, manifest: Manifest, rows: np.ndarray, scores: np.ndarray, unit: Unit) -> Trial:
    table = ScoreTable(manifest.frame.iloc[rows].assign(score=scores))
    if unit.clusters is not None:
        unit = Unit(unit.name, unit.clusters[rows], unit.count)
    everything = np.arange(len(rows))
    piece = with_interval(part(table, everything, name=how), table, everything, unit, RESAMPLES)
    area = auroc(table.scores, table.labels) if not piece.note else nan
    return Trial(how, features, piece.eer, piece.interval, area, len(rows), piece.unit, piece.note)


def _group_counts(labels: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """How many groups have clips of each class. Shape: (2,)."""
    return np.array([np.unique(codes[labels == label]).size for label in (0, 1)])
