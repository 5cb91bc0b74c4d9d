"""What a ScoreTable says about a detector; it works on any system's scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import isinf, isnan, nan
from typing import TypeVar

import numpy as np

from dfad.deployed import Deployed
from dfad.errors import MetricError
from dfad.evaluation.attacks import attack_names, rows_of
from dfad.evaluation.breakdown import Slice, breakdown, part, usual_columns, with_interval
from dfad.evaluation.deploy import FEW_CLIPS
from dfad.evaluation.options import EvaluationKnobs
from dfad.evaluation.thresholds import parse_rule
from dfad.evaluation.units import Unit, unit_of
from dfad.metrics import act_dcf, cllr, summary
from dfad.metrics.bootstrap import Interval, distributions, interval, rate_interval, reflected, untold
from dfad.metrics.pairs import pairs
from dfad.metrics.weighted import WEIGHTED, Weighted
from dfad.scores import ScoreTable

CALIBRATED = {"cllr": cllr, "act_dcf": act_dcf}  # what a calibrator changes
T = TypeVar("T")
Watch = Callable[..., Callable[[int, int], None]]
DEFAULTS, NOTHING = EvaluationKnobs(), Deployed()
GROUPS = ("seen", "unseen")
MINIMA = ("min_dcf", "min_cllr")
RATES = ("eer", "miss", "false_alarm", "accuracy", "balanced_accuracy")


@dataclass(frozen=True)
class Evaluation:
    """Metrics by key, and what a reader should know about them.

    Attributes:
        values: the keys of `dfad.metrics.Summary`, for cosines without `cllr` and `act_dcf`, which would read them as
            log-odds; beside them `threshold_at_val`, `cllr_calibrated`,
            `act_dcf_calibrated`, `eer/seen` and `eer/unseen` (attacks that training had, and had not) and
            `eer/<attack>`, each of those against every bona fide clip, or where a column `corpus` tells several
            apart `eer/<corpus>/<attack>` against those of that corpus; an attack called `seen` or `unseen` is in
            `breakdowns` only.
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
    watch: Watch = lambda *task: untold,
) -> Evaluation:
    """Compute the metrics of a table.

    Args:
        table: scores of one split or corpus.
        options: of the evaluation; threshold and calibrator are in `deployed` already.
        deployed: what validation chose, for the metrics `…_at_val` and `…_calibrated`.
        known_attacks: the attacks that training had, by `attack_names`; with none, seen and unseen are not told apart.
        watch: a task's name and its unit → who is told of it (done, of all); resampling takes a while.

    Raises:
        ConfigError: for a column that the table does not have.
    """
    whole = summary(table.scores, table.labels, threshold=deployed.threshold, trained_at=deployed.raw.middle)
    values = {**_meant(whole.values, deployed), **_calibrated(table, deployed)}
    if deployed.threshold is not None:
        values["threshold_at_val"] = deployed.threshold
    unit = unit_of(table, options.cluster) if len(table) else None
    intervals = _intervals(table, options, deployed, values, unit, watch) if unit else {}
    columns = usual_columns(table) if options.by is None else options.by
    breakdowns = {
        column: breakdown(
            table,
            column,
            threshold=deployed.decides_at,
            unit=unit,
            resamples=options.resamples,
            progress=watch(f"intervals by {column}", "values"),
        )
        for column in columns
    }
    of_attacks = breakdowns.get("attack") or breakdown(table, "attack")
    attacks = [piece for piece in of_attacks if piece.value not in GROUPS]
    for piece in (*attacks, *_seen_and_unseen(table, set(known_attacks), unit, options.resamples)):
        values[f"eer/{piece.value}"] = piece.eer
        if not isnan(piece.interval.low):
            intervals[f"eer/{piece.value}"] = piece.interval
    said = [unit.note] if unit and unit.note and intervals else []
    notes = (*whole.notes, *said, *_warnings(values, deployed, told=bool(intervals)))
    return Evaluation(values, notes, intervals, unit if intervals else None, breakdowns)


def _meant(values: Mapping[str, T], deployed: Deployed) -> dict[str, T]:
    """Those that mean something of the raw scores: of cosines none that reads them as log-odds."""
    return {name: value for name, value in values.items() if deployed.raw.unit != "cosine" or name not in CALIBRATED}


def _calibrated(table: ScoreTable, deployed: Deployed) -> dict[str, float]:
    """What the calibrated scores are worth; nothing without a calibrator, NaN where it cannot be told."""
    if not deployed.calibrator:
        return {}
    try:
        s, bona_fide = pairs(table.scores, table.labels)
    except MetricError:
        return {f"{name}_calibrated": nan for name in CALIBRATED}
    return {f"{name}_calibrated": metric(deployed.calibrator(s), bona_fide) for name, metric in CALIBRATED.items()}


def _intervals(
    table: ScoreTable, options: EvaluationKnobs, deployed: Deployed, values: dict[str, float], unit: Unit, watch: Watch
) -> dict[str, Interval]:
    """Intervals of the whole table, of what has a value."""
    if not options.resamples or isnan(values["accuracy"]):
        return {}
    scores, labels = table.scores, table.labels
    thresholds = {"": deployed.raw.middle} | ({} if deployed.threshold is None else {"_at_val": deployed.threshold})
    one_class = isnan(values["eer"])  # errors at a threshold are all there is
    systems = {"": Weighted(scores, labels, () if one_class else tuple(_meant(WEIGHTED, deployed)), thresholds)}
    if deployed.calibrator and not one_class:
        systems["_calibrated"] = Weighted(deployed.calibrator(scores), labels, tuple(CALIBRATED))
    drawn = distributions(
        list(systems.values()),
        labels,
        unit.clusters,
        resamples=options.resamples,
        progress=watch("intervals", "resamples"),
    )
    return {
        f"{name}{suffix}": _interval(name, values[f"{name}{suffix}"], spread, unit.count)
        for suffix, of_system in zip(systems, drawn, strict=True)
        for name, spread in of_system.items()
    }


def _interval(name: str, value: float, drawn: np.ndarray, clusters: int) -> Interval:
    """The interval; NaN where every resample agrees, unless it is that of a rate of which more is known."""
    if name.removesuffix("_at_val") in RATES:
        return rate_interval(value, drawn, clusters)
    between = interval(drawn, clusters)
    if name in MINIMA:
        between = reflected(value, between)
    return between if between.low != between.high else Interval(nan, nan)


def _seen_and_unseen(table: ScoreTable, known: set[str], unit: Unit | None, resamples: int) -> list[Slice]:
    there = set(attack_names(table.frame).unique()) - {""}
    found = []
    for name, members in {"seen": there & known, "unseen": there - known}.items() if known else ():
        if members:
            rows = rows_of(table, members)
            piece = part(table, rows, name=name)
            found.append(with_interval(piece, table, rows, unit, resamples) if unit else piece)
    return found


def _warnings(values: dict[str, float], deployed: Deployed, *, told: bool) -> list[str]:
    """What a reader should know before believing the numbers; `told`: whether there are intervals."""
    notes = []
    few = {name: int(count) for name in ("bona_fide", "spoof") if 0 < (count := values[f"n_{name}"]) < FEW_CLIPS}
    notes += [
        f"only {count} {name.replace('_', '-')} clips: "
        + ("read the intervals, not the values" if told else "another sample may show quite other values")
        for name, count in few.items()
    ]
    endless = [name for name in ("cllr", "cllr_calibrated") if isinf(values.get(name, nan))]
    notes += [f"{name} is infinite: a clip with an infinite score is on the wrong side" for name in endless]
    if values["eer"] == 0 and told:
        notes.append(
            "not one error: intervals of error rates end where no error in so many tries would still be likely"
        )
    miss, false_alarm = (values.get(f"{name}_at_val", nan) for name in ("miss", "false_alarm"))
    name, promised = parse_rule(deployed.rule)
    if name == "eer" and (miss + false_alarm) / 2 - values["eer"] > 0.05:
        notes.append(
            f"the threshold chosen on validation does not carry over: {miss:.1%} of bona fide clips are rejected and "
            f"{false_alarm:.1%} of spoof pass; one chosen on these very clips would make {values['eer']:.1%} of both"
        )
    if name == "fa" and promised is not None and false_alarm > 2 * promised:
        notes.append(f"validation promised that {promised:.3g} of spoof clips pass, here it is {false_alarm:.3g}")
    return notes
