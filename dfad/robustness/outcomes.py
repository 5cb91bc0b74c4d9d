"""What score tables under conditions say beside that of the clips as they are, on the same clips and the same draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan

import numpy as np
import pandas as pd

from dfad.deployed import Deployed
from dfad.errors import DataError, MetricError
from dfad.evaluation.attacks import attack_names
from dfad.evaluation.samples import Measured, Sample, samples
from dfad.evaluation.units import Unit, unit_of
from dfad.metrics import cllr
from dfad.metrics.bootstrap import RESAMPLES, System, cluster_count, untold
from dfad.metrics.pairs import Bools, Floats, any_pairs
from dfad.metrics.weighted import Weighted
from dfad.robustness.conditions import CLEAN, Condition
from dfad.scores import ScoreTable

RATES = ("eer", "miss", "false_alarm")
SUCCESS = {"fake_to_real": 0, "real_to_fake": 1}  # label of the clips
ADDED = ("snr_db", "queries")  # columns beside the usual ones


@dataclass(frozen=True)
class Outcome:
    """One condition.

    Attributes:
        condition: which one.
        clips: spoof and bona fide.
        samples: `eer`; `miss` and `false_alarm` at the deployed threshold; `fake_to_real` and `real_to_fake`, the share
            of the clips of a class that is decided wrongly now, among those that were decided rightly as they were;
            for an adversary `eer_fakes`, of bona fide clips as they are against attacked spoof.
        clean: `eer`, `miss`, `false_alarm` of the same clips as they are.
        right: clusters of the clips behind each success.
        cllr: in bits, of calibrated scores where there is a calibrator.
        unit: what was drawn.
        added: means of `ADDED` over the clips, of snr_db over those that were changed.
        unchanged: clips of which nothing was changed.
        by_attack: share of the spoof clips of each attack that pass.
        note: why something is missing.
    """

    condition: Condition
    clips: tuple[int, int]
    samples: Mapping[str, Sample]
    clean: Mapping[str, Sample]
    right: Mapping[str, int]
    cllr: float
    unit: Unit
    added: Mapping[str, float] = field(default_factory=dict)
    unchanged: int = 0
    by_attack: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    def measured(self, name: str) -> Measured:
        """A metric with its interval; NaN where it is not defined."""
        return self.samples.get(name, UNKNOWN).rate(self.right.get(name, self.unit.count))

    def change(self, name: str) -> Measured:
        """By how much a metric is above that of the clips as they are."""
        now, before = self.samples.get(name, UNKNOWN), self.clean.get(name, UNKNOWN)
        if now.drawn.shape != before.drawn.shape:
            return UNKNOWN.number(0)
        return Sample(now.value - before.value, now.drawn - before.drawn).number(self.unit.count)


UNKNOWN = Sample(nan, np.empty(0))


def outcomes(
    tables: Mapping[Condition, ScoreTable],
    deployed: Deployed,
    *,
    cluster: str | None = None,
    resamples: int = RESAMPLES,
    progress: Callable[[int, int], None] = untold,
) -> list[Outcome]:
    """Judge every condition beside the clips as they are; those come first.

    Conditions on fewer clips, as of an attack that takes long, are judged beside just these.

    Args:
        tables: `CLEAN` and the others; a clip that one of them has, the clean one has too.
        deployed: threshold (0 where there is none) and calibrator, of clean validation.
        cluster: as `eval.cluster`.
        resamples: of the bootstrap; 0: no intervals.
        progress: is told how far it is.

    Raises:
        DataError: if a table has a clip that the clean one has not, or another label for it.
        ConfigError: for a cluster column that the table does not have.
    """
    clean = tables[CLEAN]
    found: dict[Condition, Outcome] = {}
    groups = list(_same_clips(clean, tables))
    done, total = 0, resamples * len(groups)
    for rows, members in groups:
        part = ScoreTable(clean.frame.iloc[rows])
        began = done

        def told(drawn: int, _: int, began: int = began) -> None:
            progress(began + drawn, total)

        found |= _judge(part, members, deployed, unit_of(part, cluster), resamples, told)
        done += resamples
    return [found[condition] for condition in sorted(tables, key=lambda one: one != CLEAN)]


def _same_clips(
    clean: ScoreTable, tables: Mapping[Condition, ScoreTable]
) -> Iterator[tuple[np.ndarray, dict[Condition, ScoreTable]]]:
    """Rows of the clean table, and the conditions that were tried on just these clips, in that order."""
    place = {id: row for row, id in enumerate(clean.frame["id"])}
    found: dict[bytes, tuple[np.ndarray, dict[Condition, ScoreTable]]] = {}
    for condition, table in tables.items():
        rows = np.array([place.get(id, -1) for id in table.frame["id"]], np.int64)
        if (rows < 0).any():
            lost = table.frame["id"].iloc[int(np.argmax(rows < 0))]
            raise DataError(
                f"{condition}: {(rows < 0).sum()} clips have no clean score, the first: {lost}; "
                "these tables are not of one suite: score anew with force=true"
            )
        order = np.argsort(rows, kind="stable")
        rows, table = rows[order], ScoreTable(table.frame.iloc[order])
        if len(table) and (other := table.labels != clean.labels[rows]).any():
            raise DataError(f"{condition}: {table.frame['id'][int(np.argmax(other))]} has another label as it is")
        found.setdefault(rows.tobytes(), (rows, {}))[1][condition] = table
    yield from found.values()


def _judge(
    clean: ScoreTable,
    tables: Mapping[Condition, ScoreTable],
    deployed: Deployed,
    unit: Unit,
    resamples: int,
    progress: Callable[[int, int], None],
) -> dict[Condition, Outcome]:
    """Judge the conditions of the same clips, in the same order."""
    threshold, labels = deployed.decides_at, clean.labels
    systems: dict[tuple[str, Condition], System] = {}
    notes: dict[Condition, str] = {}
    for condition, table in {CLEAN: clean, **tables}.items():
        try:
            systems["rates", condition] = _rates(table.scores, labels, threshold)
            any_pairs(clean.scores, labels)
            systems["success", condition] = _Success(clean.scores, table.scores, labels, threshold)
            if condition.family == "adversarial" and 0 < labels.sum() < len(labels):
                only = np.where(labels == 1, clean.scores, table.scores)
                systems["fakes", condition] = _Renamed(Weighted(only, labels, ("eer",)), ("eer_fakes",))
        except MetricError as error:
            notes[condition] = str(error)
    found = samples(systems, labels, unit, resamples, progress) if systems else {}
    right = {name: _right(clean, label, threshold, unit) for name, label in SUCCESS.items()}
    before = found.get(("rates", CLEAN), {})
    counts = int(np.sum(labels == 0)), int(np.sum(labels == 1))

    def outcome(condition: Condition, table: ScoreTable) -> Outcome:
        kinds = (found.get((kind, condition), {}) for kind in ("rates", "success", "fakes"))
        return Outcome(
            condition,
            counts,
            {name: each for kind in kinds for name, each in kind.items()},
            before,
            right,
            _cllr(table, deployed),
            unit,
            {name: _mean(table, name) for name in ADDED if name in table.frame},
            int(np.isposinf(table.frame["snr_db"]).sum()) if "snr_db" in table.frame else 0,
            _by_attack(table, threshold),
            notes.get(condition, ""),
        )

    return {condition: outcome(condition, table) for condition, table in tables.items()}


def _rates(scores: Floats, labels: np.ndarray, threshold: float) -> System:
    both = 0 < labels.sum() < len(labels)
    return Weighted(scores, labels, ("eer",) if both else (), {"": threshold})


class _Success:
    """Shares of the clips that were right as they were and are wrong now, by class.

    Shape:
        - before, now, labels: (clips,)
    """

    names = tuple(SUCCESS)

    def __init__(self, before: Floats, now: Floats, labels: np.ndarray, threshold: float) -> None:
        real = labels == 1
        right, wrong = (before >= threshold) == real, (now >= threshold) != real
        sides = [right & (labels == label) for label in SUCCESS.values()]
        self.right = np.array(sides, np.float64)
        self.flipped = np.array([side & wrong for side in sides], np.float64)

    def __call__(self, weights: Floats, /) -> Floats:
        """Shape: (tables, clips) -> (classes, tables); NaN where no clip was right."""
        there, flipped = (np.einsum("tc,kc->kt", weights, part) for part in (self.right, self.flipped))
        return np.divide(flipped, there, out=np.full_like(there, nan), where=there > 0)


@dataclass(frozen=True)
class _Renamed:
    """A system whose metrics have other names."""

    system: System
    names: tuple[str, ...]

    def __call__(self, weights: Floats, /) -> Floats:
        return self.system(weights)


def _right(clean: ScoreTable, label: int, threshold: float, unit: Unit) -> int:
    """In how many clusters the clips of a class lie that are right as they are."""
    rows: Bools = (clean.labels == label) & ((clean.scores >= threshold) == (label == 1))
    if not rows.any():
        return 0
    return cluster_count(np.ones(int(rows.sum()), bool), None if unit.clusters is None else unit.clusters[rows])


def _cllr(table: ScoreTable, deployed: Deployed) -> float:
    try:
        return cllr(deployed.calibrator(table.scores) if deployed.calibrator else table.scores, table.labels)
    except MetricError:
        return nan


def _mean(table: ScoreTable, column: str) -> float:
    """The mean of what is known and finite; NaN of nothing."""
    numbers = pd.to_numeric(table.frame[column], errors="coerce").to_numpy(np.float64)
    known = numbers[np.isfinite(numbers)]
    return float(known.mean()) if len(known) else nan


def _by_attack(table: ScoreTable, threshold: float) -> dict[str, float]:
    spoof = table.labels == 0
    passes = (table.scores >= threshold)[spoof]
    names = attack_names(table.frame)[spoof].to_numpy()
    found: Sequence[str] = sorted(set(names) - {""})
    return {name: float(passes[names == name].mean()) for name in found}
