"""Whether two detectors differ by more than chance on the same clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from dfad.errors import DataError
from dfad.evaluation.units import Unit, unit_of
from dfad.labels import CLASS_NAMES
from dfad.metrics import eer
from dfad.metrics.bootstrap import RESAMPLES, Interval, distributions, interval, p_value, untold
from dfad.metrics.pairs import pairs
from dfad.metrics.weighted import Weighted
from dfad.scores import ScoreTable


@dataclass(frozen=True)
class Comparison:
    """Two detectors on the same clips.

    Attributes:
        eers: of the first and of the second.
        difference: first less second.
        interval: 95 %, of the difference, by a paired bootstrap.
        p_eer: of the bootstrap, two-sided.
        alone: clips that only the first decides rightly at its threshold, and that only the second does.
        p_decisions: McNemar's exact test of these two numbers.
        unit: what the bootstrap draws.
        clips: compared.
    """

    eers: tuple[float, float]
    difference: float
    interval: Interval
    p_eer: float
    alone: tuple[int, int]
    p_decisions: float
    unit: Unit
    clips: int

    @property
    def differs(self) -> bool:
        """Whether the EERs differ by more than chance: the interval does not hold 0."""
        return self.interval.low > 0 or self.interval.high < 0


def compare(
    first: ScoreTable,
    second: ScoreTable,
    thresholds: tuple[float, float] = (0.0, 0.0),
    *,
    cluster: str | None = None,
    resamples: int = RESAMPLES,
    progress: Callable[[int, int], None] = untold,
) -> Comparison:
    """Compare two score tables of the same clips, in any order.

    The bootstrap draws the same clips for both, so that what makes clips easy or hard for either cancels. McNemar's
    test (1947; exact, by the binomial distribution) asks of the clips on which the decisions differ whether one side
    is right more often; it takes clips as independent.

    Args:
        first: one table.
        second: the other.
        thresholds: the deployed one of each.
        cluster: as `eval.cluster`.
        resamples: of the bootstrap.
        progress: is told how far it is.

    Raises:
        DataError: if the clips or their labels are not the same.
        MetricError: if there is one class only.
        ConfigError: for a cluster column that the first table does not have.
    """
    second = aligned(second, first)
    labels = first.labels
    pairs(first.scores, labels)  # both classes, before a unit is chosen
    unit = unit_of(first, cluster)
    systems = [Weighted(table.scores, labels, ("eer",)) for table in (first, second)]
    drawn = distributions(systems, labels, unit.clusters, resamples=resamples, progress=progress)
    differences = drawn[0]["eer"] - drawn[1]["eer"]
    eers = (eer(first.scores, labels)[0], eer(second.scores, labels)[0])
    right = [(table.scores >= at) == (labels == 1) for table, at in zip((first, second), thresholds, strict=True)]
    alone = (int(np.sum(right[0] & ~right[1])), int(np.sum(right[1] & ~right[0])))
    return Comparison(
        eers=eers,
        difference=eers[0] - eers[1],
        interval=interval(differences, unit.count),
        p_eer=p_value(differences, unit.count),
        alone=alone,
        p_decisions=float(binomtest(alone[0], sum(alone)).pvalue) if sum(alone) else 1.0,
        unit=unit,
        clips=len(first),
    )


def aligned(table: ScoreTable, like: ScoreTable) -> ScoreTable:
    """The rows of a table in the order of another.

    Raises:
        DataError: if they do not hold the same clips with the same labels.
    """
    rows = pd.Index(table.frame["id"]).get_indexer(pd.Index(like.frame["id"]))
    if len(missing := like.frame["id"][rows < 0]):
        raise DataError(
            f"{len(missing)} of {len(like)} clips of the first are not in the second, such as {missing.iloc[0]}; "
            "score the same clips with both detectors"
        )
    if len(table) > len(like):
        extra = table.frame["id"][~table.frame["id"].isin(like.frame["id"])]
        raise DataError(
            f"{len(extra)} of {len(table)} clips of the second are not in the first, such as {extra.iloc[0]}; "
            "score the same clips with both detectors"
        )
    ordered = ScoreTable(table.frame.iloc[rows])
    if len(odd := np.flatnonzero(ordered.labels != like.labels)):
        at = int(odd[0])
        names = CLASS_NAMES[like.labels[at]], CLASS_NAMES[ordered.labels[at]]
        raise DataError(
            f"{len(odd)} clips have two labels, such as {like.frame['id'].iloc[at]}: {names[0]} and {names[1]}"
        )
    return ordered


def in_words(found: Comparison, names: tuple[str, str]) -> list[str]:
    """What a comparison says, as sentences."""
    a, b = names
    low, high = (100 * end for end in found.interval)
    between = "" if isnan(low) else f", 95 % interval {low:+.2f} … {high:+.2f}, p = {_p(found.p_eer)}"
    lines = [
        f"EER {100 * found.eers[0]:.2f} % of {a}, {100 * found.eers[1]:.2f} % of {b}, on {found.clips} clips; "
        f"the difference is {100 * found.difference:+.2f} points{between}"
    ]
    if found.differs:
        better, worse = (a, b) if found.difference < 0 else (b, a)
        lines.append(f"{better} is better than {worse} by more than chance would explain")
    elif isnan(low):
        lines.append("too few clips of a class for an interval, so nothing tells the difference from chance")
    else:
        lines.append("no difference larger than chance: the interval holds 0")
    one, other = found.alone
    if one + other:
        one_is = f"{a if one > other else b} is right more often than chance would have it"
        verdict = one_is if found.p_decisions < 0.05 else "neither is right more often than chance would have it"
        lines.append(
            f"at their thresholds they decide {one + other} clips differently: {a} alone is right on {one}, {b} alone "
            f"on {other}; {verdict} (McNemar, p = {_p(found.p_decisions)}, clips taken as independent)"
        )
    else:
        lines.append("at their thresholds they are right and wrong on the same clips")
    lines.append("another seed of either may score otherwise: to compare recipes, train several and see dfad runs")
    return lines


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"
