"""How much of a detector's separation is owed to each nuisance: what is lost when it no longer tells the label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from dfad.audit.traits import TRAITS
from dfad.deployed import Deployed
from dfad.evaluation.samples import Measured, Sample, samples
from dfad.evaluation.units import Unit, unit_of
from dfad.metrics import auroc
from dfad.metrics.bootstrap import RESAMPLES, Interval, interval, untold
from dfad.metrics.pairs import Floats, pairs
from dfad.metrics.weighted import Weighted
from dfad.scores import ScoreTable

METRICS = ("auroc", "eer", "cllr", "miss", "false_alarm")
RATES = ("eer", "miss", "false_alarm")
TELLING = 0.55  # AUROC
NOTHING = Deployed()


@dataclass(frozen=True)
class Effect:
    """What a treatment does to a detector.

    Attributes:
        values: of each of `METRICS` under the treatment.
        changes: of the same: treated less clean.
        share: of the separation that is lost, (AUROC − treated AUROC) / (AUROC − 0.5); NaN for a detector that does not
            separate. Above 1 where the treated detector is wrong more often than right.
        shift: by how much the scores of spoof, and of bona fide, move in the mean.
        largest: change of any score.
    """

    values: Mapping[str, Measured]
    changes: Mapping[str, Measured]
    share: Measured
    shift: tuple[float, float]
    largest: float

    @property
    def loses(self) -> bool:
        """Whether AUROC falls by more than chance explains."""
        return self.changes["auroc"].interval.high < 0

    @property
    def gains(self) -> bool:
        """Whether it rises by more than that."""
        return self.changes["auroc"].interval.low > 0


@dataclass(frozen=True)
class Alone:
    """How well one trait of a group tells the classes apart by itself.

    Attributes:
        trait: the one that does so best on training clips.
        more: which class has more of it there: 1 bona fide, 0 spoof.
        training: its AUROC on training clips, at least 0.5.
        scored: on the scored clips, in the same direction.
    """

    trait: str
    more: int
    training: Measured
    scored: Measured

    @property
    def tells(self) -> bool:
        """Whether it tells training clips apart, and scored clips in the same way, by more than chance and visibly."""
        sides = (self.training, self.scored)
        return all(side.interval.low > 0.5 and side.value >= TELLING for side in sides)


@dataclass(frozen=True)
class Finding:
    """One group: what its traits tell alone, and what the detector loses with them.

    Attributes:
        group: its name.
        alone: its best trait.
        same: effect of the common value.
        swap: effect of values dealt at random; metrics are means over the turns.
    """

    group: str
    alone: Alone
    same: Effect
    swap: Effect


@dataclass(frozen=True)
class Intervened:
    """What the audit found.

    Attributes:
        clean: metrics without any treatment.
        findings: by group, in the order asked for.
        unit: what the bootstrap drew.
        resamples: how often.
        clips: scored, spoof and bona fide.
    """

    clean: Mapping[str, Measured]
    findings: Sequence[Finding]
    unit: Unit
    resamples: int
    clips: tuple[int, int]

    @property
    def separates(self) -> bool:
        """Whether the detector tells the clean clips apart by more than chance."""
        return self.clean["auroc"].interval.low > 0.5


def intervened(
    table: ScoreTable,
    training: ScoreTable,
    groups: Sequence[str],
    *,
    deployed: Deployed = NOTHING,
    cluster: str | None = None,
    resamples: int = RESAMPLES,
    progress: Callable[[int, int], None] = untold,
) -> Intervened:
    """Compare clean scores with those under each treatment, on the same clips and the same resamples of them.

    Args:
        table: with the columns of `rescore` beside the usual ones.
        training: training clips with their traits; what stands there as score is not looked at.
        groups: that were treated.
        deployed: threshold and calibrator of the detector; Cllr is that of calibrated scores where there is one.
        cluster: as `eval.cluster`.
        resamples: of the bootstrap.
        progress: is told how far it is.

    Raises:
        MetricError: for one class, or scores that are NaN.
        ConfigError: for a cluster column that a table does not have.
    """
    labels = table.labels
    pairs(table.scores, labels)  # both classes, before a unit is chosen
    unit = unit_of(table, cluster)
    columns = [name for name in table.frame.columns if name.split(":")[0] == "score"]
    best = {group: _best_trait(training, group) for group in groups}
    systems: dict[tuple[str, str], Weighted] = {}
    for column in columns:
        scores = _column(table, column)
        calibrated = deployed.calibrator(scores) if deployed.calibrator else scores
        systems["raw", column] = Weighted(scores, labels, ("auroc", "eer"), {"": deployed.decides_at})
        systems["calibrated", column] = Weighted(calibrated, labels, ("cllr",))
    for group, (trait, sign) in best.items():
        systems["alone", group] = Weighted(sign * _column(table, f"trait:{trait}"), labels, ("auroc",))
    found = samples(systems, labels, unit, resamples, progress)
    by_column = {column: {**found["raw", column], **found["calibrated", column]} for column in columns}
    findings = []
    for group, (trait, sign) in best.items():
        turns = [column for column in columns if column.startswith(f"score:{group}:")]
        same, swap = (_effect(table, by_column, treated, unit) for treated in ([f"score:{group}"], turns))
        before = _alone(training, trait, sign, cluster, resamples)
        alone = Alone(trait, int(sign > 0), before, found["alone", group]["auroc"].number(unit.count))
        findings.append(Finding(group, alone, same, swap))
    clean = {name: _measured(by_column["score"][name], name, unit) for name in METRICS}
    return Intervened(clean, findings, unit, resamples, (int(np.sum(labels == 0)), int(np.sum(labels == 1))))


def _measured(sample: Sample, name: str, unit: Unit) -> Measured:
    return sample.rate(unit.count) if name in RATES else sample.number(unit.count)


def _effect(
    table: ScoreTable, by_column: Mapping[str, Mapping[str, Sample]], columns: Sequence[str], unit: Unit
) -> Effect:
    """The effect of a treatment; of several turns, the mean."""
    clean = by_column["score"]
    treated = {
        name: Sample(
            float(np.mean([by_column[column][name].value for column in columns])),
            np.mean([by_column[column][name].drawn for column in columns], axis=0),
        )
        for name in METRICS
    }
    changes = {
        name: Sample(treated[name].value - clean[name].value, treated[name].drawn - clean[name].drawn)
        for name in METRICS
    }
    moved = np.stack([_column(table, column) - table.scores for column in columns])
    return Effect(
        values={name: _measured(each, name, unit) for name, each in treated.items()},
        changes={name: each.number(unit.count) for name, each in changes.items()},
        share=_share(clean["auroc"], treated["auroc"], unit),
        shift=(float(moved[:, table.labels == 0].mean()), float(moved[:, table.labels == 1].mean())),
        largest=float(np.abs(moved).max()),
    )


def _share(clean: Sample, treated: Sample, unit: Unit) -> Measured:
    """The share of the separation that is lost; NaN where there may be none."""
    if not interval(clean.drawn, unit.count).low > 0.5:
        return Measured(nan, Interval(nan, nan))
    there = clean.drawn > 0.5
    drawn = (clean.drawn[there] - treated.drawn[there]) / (clean.drawn[there] - 0.5)
    return Measured((clean.value - treated.value) / (clean.value - 0.5), interval(drawn, unit.count))


def _best_trait(training: ScoreTable, group: str) -> tuple[str, float]:
    """The trait of a group that tells training clips apart best, and the sign by which bona fide has more of it."""
    areas = {trait: auroc(_column(training, f"trait:{trait}"), training.labels) - 0.5 for trait in TRAITS[group]}
    trait = max(areas, key=lambda name: abs(areas[name]))
    return trait, 1.0 if areas[trait] >= 0 else -1.0


def _alone(training: ScoreTable, trait: str, sign: float, cluster: str | None, resamples: int) -> Measured:
    unit = unit_of(training, cluster)
    system = Weighted(sign * _column(training, f"trait:{trait}"), training.labels, ("auroc",))
    return samples({trait: system}, training.labels, unit, resamples)[trait]["auroc"].number(unit.count)


def _column(table: ScoreTable, name: str) -> Floats:
    return table.frame[name].to_numpy(np.float64)
