"""Whether test clips are other than training clips, and whether a shortcut of training leads astray on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dfad.audit.columns import Column
from dfad.audit.findings import CONFIDENCE, LEAST_AUROC, Finding
from dfad.clips import Manifest
from dfad.errors import MetricError
from dfad.labels import Label
from dfad.metrics.area import Area, area
from dfad.metrics.bootstrap import Interval, untold

Fate = Literal["holds", "flips", "gone", "unclear", ""]
EVERY = "all"


@dataclass(frozen=True)
class Drift:
    """How one feature differs between training and test clips.

    Attributes:
        column: the feature.
        areas: how well it tells training from test clips: of `all`, and of each class by its name; above 0.5 where
            training clips have more of it. What cannot be told is left out.
        named: whether some interval excludes 0.5 with an area of 0.6 or more either way.
        fate: of a shortcut of the training split on the test split: it `holds`, `flips` to the other class, is `gone`,
            or there is too little to tell (`unclear`); "" where there was none.
    """

    column: Column
    areas: dict[str, Area]
    named: bool
    fate: Fate

    @property
    def strength(self) -> float:
        """The largest area, either way."""
        return max((0.5 + abs(found.value - 0.5) for found in self.areas.values()), default=0.5)


def drifts(
    manifest: Manifest,
    columns: Sequence[Column],
    findings: Sequence[Finding],
    progress: Callable[[int, int], None] = untold,
) -> list[Drift]:
    """Compare training and test clips; shortcuts that flip first, then what differs most.

    Of clips that were dealt to splits at random nothing is told: a difference would be chance.
    """
    train, test = manifest.rows("train"), manifest.rows("test")
    if manifest.dealing or not len(train) or not len(test):
        return []
    rows = np.concatenate((train, test))
    trained, labels = np.arange(len(rows)) < len(train), manifest.labels[rows]
    level = 1 - (1 - CONFIDENCE) / max(1, 3 * len(columns))
    sides = {EVERY: np.ones(len(rows), bool)} | {str(label): labels == label for label in Label}
    told = {(finding.column.name, finding.split): finding for finding in findings}
    found = []
    for done, column in enumerate(columns, start=1):
        areas = {}
        for name, side in sides.items():
            known = side & ~np.isnan(column.values[rows])
            try:
                areas[name] = area(column.values[rows][known], trained[known], level=level)
            except MetricError:
                continue  # only one of the splits has such clips
        pair = [told.get((column.name, split)) for split in ("train", "test")]
        found.append(Drift(column, areas, any(map(_differs, areas.values())), _fate(*pair)))
        progress(done, len(columns))
    return sorted(found, key=lambda drift: (drift.fate != "flips", not drift.named, -drift.strength))


def _differs(found: Area) -> bool:
    excluded = found.interval.low > 0.5 or found.interval.high < 0.5
    return excluded and abs(found.value - 0.5) >= LEAST_AUROC - 0.5


def _fate(train: Finding | None, test: Finding | None) -> Fate:
    """What becomes of a shortcut of training."""
    if train is None or not train.named:
        return ""
    if test is None:
        return "gone"
    there = test.interval if test.higher == train.higher else Interval(1 - test.interval.high, 1 - test.interval.low)
    if test.kind == train.kind and test.sure:
        return "holds" if test.higher == train.higher else "flips"
    return "gone" if test.kind == train.kind and there.high < train.interval.low else "unclear"
