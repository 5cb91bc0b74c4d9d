"""How well each feature alone tells the classes apart, in each split: the shortcuts, the worst first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isnan

import numpy as np
import pandas as pd

from dfad.audit.columns import Column
from dfad.audit.features import GROUPS, Group
from dfad.clips import Manifest
from dfad.evaluation.breakdown import NO_INTERVAL
from dfad.evaluation.units import Unit, unit_of
from dfad.labels import SPLITS, Label
from dfad.metrics.area import area
from dfad.metrics.bootstrap import Interval, untold
from dfad.scores import ScoreTable

CONFIDENCE = 0.95  # that all intervals of an audit hold at once (Bonferroni)
LEAST_AUROC = 0.6  # of a shortcut
FEW = 50  # clips of a class: an AUROC of 0.7 is then still within what chance gives
LEAST_RATIO, LEAST_CLIPS = 5.0, 10  # of a giveaway: so much more frequent in one class, and so many clips
ALL = "all"


@dataclass(frozen=True)
class Part:
    """Clips that are looked at together: a split, or all of them."""

    name: str
    rows: np.ndarray
    labels: np.ndarray
    unit: Unit


@dataclass(frozen=True)
class Finding:
    """What one feature tells of the class in one split.

    Attributes:
        column: the feature.
        split: a split, or `all`.
        auroc: how well it tells the classes apart, 0.5 to 1, ties counting one half.
        interval: of the AUROC, as if clips had nothing in common; all of an audit hold at once with 95 % confidence.
        over: the same where clips of one `unit` of the part, such as a speaker, count together; NaN where there are
            fewer than ten.
        higher: the class that has more of it.
        kind: `value`; or `spread`, where the distance from the middle tells more than the value: the class that is
            `higher` then lies further out.
        classes: of each label (quartiles of the values; or the share that has the word, three times).
        clips: of each label, with a known value.
        gap: between the medians, in interquartile ranges; it tells perfect separations apart.
        named: whether it is called a shortcut.
        giveaway: whether it is named as a rare word that nearly only one class has.
    """

    column: Column
    split: str
    auroc: float
    interval: Interval
    over: Interval
    higher: Label
    kind: str
    classes: Mapping[Label, tuple[float, float, float]]
    clips: Mapping[Label, int]
    gap: float
    named: bool
    giveaway: bool

    @property
    def sure(self) -> bool:
        """Whether the interval excludes that the feature tells nothing of these clips."""
        return self.interval.low > 0.5

    @property
    def holds(self) -> bool | None:
        """Whether it does so over other speakers (or what the unit is), too; None where that cannot be known."""
        return None if isnan(self.over.low) else self.over.low > 0.5


def parts_of(manifest: Manifest, group: str | None) -> tuple[list[Part], list[str]]:
    """The splits that have both classes, and all clips; with notes on what is missing or doubtful.

    Of clips that were dealt to splits at random there is one part only.
    """
    dealt = manifest.dealing is not None
    names = [] if dealt else [name for name in SPLITS if len(manifest.rows(name))]
    notes, parts = [], []
    for name in [*names, ALL] if len(names) != 1 else names:
        rows = np.arange(len(manifest)) if name == ALL else manifest.rows(name)
        labels = manifest.labels[rows].astype(np.int64)
        if not 0 < labels.sum() < len(labels):
            notes.append(f"{name}: one class only ({len(labels)} clips), so nothing there tells the classes apart")
            continue
        if (fewer := min(np.bincount(labels))) < FEW:
            notes.append(f"{name}: {fewer} clips in the class that has fewer, so only strong shortcuts can be named")
        parts.append(Part(name, rows, labels, unit_of(ScoreTable(manifest.frame.iloc[rows]), group)))
    return parts, notes


def find(
    columns: Sequence[Column], parts: Sequence[Part], progress: Callable[[int, int], None] = untold
) -> list[Finding]:
    """Look at every feature in every part.

    A feature is named a shortcut where its interval excludes 0.5 and either its AUROC is at least 0.6, or it is a word
    that one class has at least five times as often, on at least ten clips. The interval is over clips: a detector can
    use what tells these very clips apart. Whether it would be met again with other speakers, `over` says.

    Returns:
        Named ones first, what can be heard before names, by AUROC; perfect ones by the gap between the classes.
    """
    tests = sum(1 if _two_valued(column) else 2 for column in columns) * len(parts)
    level = 1 - (1 - CONFIDENCE) / max(1, tests)
    found = []
    for done, column in enumerate(columns, start=1):
        found += [finding for part in parts if (finding := _look(column, part, level))]
        progress(done, len(columns))
    return sorted(found, key=_rank)


def groups_of(findings: Iterable[Finding]) -> list[tuple[Group, Finding | None, int]]:
    """Groups by their strongest finding, those with a shortcut first; with the number of features named in each."""
    best: dict[Group, Finding] = {}
    named: dict[Group, set[str]] = {group: set() for group in GROUPS}
    for finding in sorted(findings, key=_rank):
        group = finding.column.feature.group
        best.setdefault(group, finding)
        if finding.named:
            named[group].add(finding.column.name)
    order = sorted(GROUPS, key=lambda group: _rank(best[group]) if group in best else (True, True, 0.0, 0.0))
    return [(group, best.get(group), len(named[group])) for group in order]


def _rank(finding: Finding) -> tuple[bool, bool, float, float]:
    return (not finding.named, not finding.column.heard, -round(finding.auroc, 6), -finding.gap)


def _two_valued(column: Column) -> bool:
    return column.shares or pd.unique(column.values[~np.isnan(column.values)]).size <= 2


def _look(column: Column, part: Part, level: float) -> Finding | None:
    """One feature in one part; None where it is the same for all, or unknown for a class."""
    values = column.values[part.rows]
    known = ~np.isnan(values)
    values, real = values[known], part.labels[known] == Label.BONA_FIDE
    if not 0 < real.sum() < len(real) or (values == values[0]).all():
        return None
    clusters = None if part.unit.clusters is None else part.unit.clusters[known]
    sides = {label: values[real == (label == Label.BONA_FIDE)] for label in Label}
    kind, (auroc, interval) = "value", area(values, real, level=level)
    if not _two_valued(column):
        away = np.abs(values - np.mean([np.median(side) for side in sides.values()]))
        spread = area(away, real, level=level)
        if abs(spread.value - 0.5) > abs(auroc - 0.5):
            kind, values, (auroc, interval) = "spread", away, spread
    over = NO_INTERVAL if clusters is None else area(values, real, clusters, level=level).interval
    higher = Label.BONA_FIDE if auroc >= 0.5 else Label.SPOOF
    if higher == Label.SPOOF:
        auroc, interval, over = 1 - auroc, _turned(interval), _turned(over)
    classes = {label: _quartiles(side, column) for label, side in sides.items()}
    sure = interval.low > 0.5
    giveaway = sure and auroc < LEAST_AUROC and column.shares and _gives_away(sides, higher)
    return Finding(
        column, part.name, auroc, interval, over, higher, kind, classes,
        {label: len(side) for label, side in sides.items()}, _gap(sides),
        sure and (auroc >= LEAST_AUROC or giveaway), giveaway,
    )  # fmt: skip


def _quartiles(side: np.ndarray, column: Column) -> tuple[float, float, float]:
    low, middle, high = np.full(3, side.mean()) if column.shares else np.quantile(side, (0.25, 0.5, 0.75))
    return float(low), float(middle), float(high)


def _turned(interval: Interval) -> Interval:
    return Interval(1 - interval.high, 1 - interval.low)


def _gives_away(sides: Mapping[Label, np.ndarray], higher: Label) -> bool:
    """Whether a word is at least five times as frequent in one class; half a clip more in the other for safety."""
    often, seldom = sides[higher], sides[Label(1 - higher)]
    ratio = often.mean() / ((seldom.sum() + 0.5) / (len(seldom) + 0.5))
    return bool(often.sum() >= LEAST_CLIPS and ratio >= LEAST_RATIO)


def _gap(sides: Mapping[Label, np.ndarray]) -> float:
    """Between the medians, in interquartile ranges."""
    low, middle, high = np.array([np.quantile(side, (0.25, 0.5, 0.75)) for side in sides.values()]).T
    apart, width = abs(float(middle[1] - middle[0])), float((high - low).mean())
    return 0.0 if apart == 0 else inf if width == 0 else apart / width
