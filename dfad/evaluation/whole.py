"""What a ScoreTable says about a detector; it works on any system's scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import isinf, isnan, nan

import numpy as np

from dfad.clips import Label
from dfad.deployed import Deployed
from dfad.evaluation.breakdown import Slice, breakdown, part, usual_columns, with_interval
from dfad.evaluation.options import EvaluationKnobs
from dfad.evaluation.thresholds import parse_rule
from dfad.evaluation.units import Unit, unit_of
from dfad.metrics import act_dcf, cllr, summary
from dfad.metrics.bootstrap import Interval, distributions, interval, rate_interval, untold
from dfad.metrics.weighted import WEIGHTED, Weighted
from dfad.scores import ScoreTable

CALIBRATED = {"cllr": cllr, "act_dcf": act_dcf}  # what a calibrator changes
FEW_CLIPS = 30
DEFAULTS, NOTHING = EvaluationKnobs(), Deployed()
RATES = ("eer", "miss", "false_alarm", "accuracy", "balanced_accuracy")


@dataclass(frozen=True)
class Evaluation:
    """Metrics by key, and what a reader should know about them.

    Attributes:
        values: the keys of `dfad.metrics.Summary`; beside them `threshold_at_val`, `cllr_calibrated`,
            `act_dcf_calibrated`, `eer/seen` and `eer/unseen` (attacks that training had, and had not) and
            `eer/<attack>`, each of those against every bona fide clip.
        notes: reasons and warnings in plain words.
        intervals: 95 %, by the key of the value.
        unit: what was drawn for the intervals; None without intervals.
        breakdowns: slices by column, worst first.
    """

    values: dict[str, float]
    notes: tuple[str, ...]
    intervals: dict[str, Interval] = field(default_factory=dict)
    unit: Unit | None = None
    breakdowns: dict[str, tuple[Slice, ...]] = field(default_factory=dict)


def evaluate(
    table: ScoreTable,
    options: EvaluationKnobs = DEFAULTS,
    deployed: Deployed = NOTHING,
    *,
    known_attacks: Iterable[str] = (),
    progress: Callable[[int, int], None] = untold,
) -> Evaluation:
    """Compute the metrics of a table.

    Args:
        table: scores of one split or corpus.
        options: of the evaluation; threshold and calibrator are in `deployed` already.
        deployed: what validation chose, for the metrics `…_at_val` and `…_calibrated`.
        known_attacks: the attacks that training had; with none, seen and unseen are not told apart.
        progress: is told how far the resampling of the whole table is.

    Raises:
        ConfigError: for a column that the table does not have.
    """
    threshold = deployed.threshold
    whole = summary(table.scores, table.labels, threshold=threshold)
    values, notes = dict(whole.values), list(whole.notes)
    values |= {"threshold_at_val": threshold} if threshold is not None else {}
    systems = _systems(table, deployed, values)
    unit = unit_of(table, options.cluster) if len(table) else None
    intervals: dict[str, Interval] = {}
    if unit and options.resamples and systems:
        drawn = distributions(
            list(systems.values()), table.labels, unit.clusters, resamples=options.resamples, progress=progress
        )
        spread = {f"{name}{suffix}": v for suffix, part in zip(systems, drawn, strict=True) for name, v in part.items()}
        intervals = {name: _interval(name, values[name], spread[name], unit.count) for name in spread}
        notes += [unit.note] if unit.note else []

    def slices(column: str) -> tuple[Slice, ...]:
        return breakdown(table, column, threshold=threshold or 0.0, unit=unit, resamples=options.resamples)

    columns = usual_columns(table) if options.by is None else options.by
    breakdowns = {column: slices(column) for column in dict.fromkeys((*columns,))}
    of_attacks = breakdowns.get("attack") or breakdown(table, "attack")
    groups = [*_seen_and_unseen(table, set(known_attacks), unit, options.resamples), *of_attacks]
    for group in groups:
        values[f"eer/{group.value}"] = group.eer
        if not isnan(group.interval.low):
            intervals[f"eer/{group.value}"] = group.interval
    notes += _warnings(values, deployed)
    return Evaluation(values, tuple(notes), intervals, unit if intervals else None, breakdowns)


def _systems(table: ScoreTable, deployed: Deployed, values: dict[str, float]) -> dict[str, Weighted]:
    """What is resampled, by the suffix of its metrics: the scores, and the ratios that calibration makes of them.

    Adds the calibrated metrics to `values`.
    """
    scores, labels = table.scores, table.labels
    thresholds = {"": 0.0} | ({} if deployed.threshold is None else {"_at_val": deployed.threshold})
    if isnan(values["accuracy"]):
        return {}
    if isnan(values["eer"]):  # one class: errors at a threshold are all there is
        return {"": Weighted(scores, labels, (), thresholds)}
    systems = {"": Weighted(scores, labels, tuple(WEIGHTED), thresholds)}
    if deployed.calibrator:
        ratios = deployed.calibrator(scores)
        values |= {f"{name}_calibrated": metric(ratios, labels) for name, metric in CALIBRATED.items()}
        systems["_calibrated"] = Weighted(ratios, labels, tuple(CALIBRATED))
    return systems


def _interval(name: str, value: float, drawn: np.ndarray, clusters: int) -> Interval:
    """The interval; NaN where every resample agrees, unless it is that of a rate of which more is known."""
    if name.removesuffix("_at_val") in RATES:
        return rate_interval(value, drawn, clusters)
    between = interval(drawn, clusters)
    return between if between.low != between.high else Interval(nan, nan)


def _seen_and_unseen(table: ScoreTable, known: set[str], unit: Unit | None, resamples: int) -> list[Slice]:
    attacks = table.frame["attack"].astype(str).to_numpy(object)
    bona_fide = table.labels == Label.BONA_FIDE
    there = set(attacks[~bona_fide]) - {""}
    groups = {"seen": there & known, "unseen": there - known} if known else {}
    found = []
    for name, members in groups.items():
        if members:
            rows = np.flatnonzero(bona_fide | np.isin(attacks, list(members)))
            group = part(table, rows, name=name)
            found.append(with_interval(group, table, rows, unit, resamples) if unit else group)
    return found


def _warnings(values: dict[str, float], deployed: Deployed) -> list[str]:
    """What a reader should know before believing the numbers."""
    notes = []
    few = {name: int(count) for name in ("bona_fide", "spoof") if 0 < (count := values[f"n_{name}"]) < FEW_CLIPS}
    notes += [
        f"only {count} {name.replace('_', '-')} clips: read the intervals, not the values"
        for name, count in few.items()
    ]
    endless = [name for name in ("cllr", "cllr_calibrated") if isinf(values.get(name, nan))]
    notes += [f"{name} is infinite: a clip with an infinite score is on the wrong side" for name in endless]
    if values["eer"] == 0:
        notes.append(
            "not one error: intervals of error rates end where no error in so many tries would still be likely"
        )
    miss, false_alarm = (values.get(f"{name}_at_val", nan) for name in ("miss", "false_alarm"))
    if (miss + false_alarm) / 2 - values["eer"] > 0.05:
        notes.append(
            f"the threshold chosen on validation does not carry over: {miss:.1%} of bona fide clips are rejected and "
            f"{false_alarm:.1%} of spoof pass; one chosen on these very clips would make {values['eer']:.1%} of both"
        )
    name, promised = parse_rule(deployed.rule)
    if name == "fa" and promised is not None and false_alarm > 2 * promised:
        notes.append(f"validation promised that {promised:.3g} of spoof clips pass, here it is {false_alarm:.3g}")
    return notes
