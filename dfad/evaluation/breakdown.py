"""Results by the values of a manifest column, worst first."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan

import numpy as np

from dfad.clips import Label
from dfad.errors import ConfigError, MetricError, did_you_mean
from dfad.evaluation.units import LEAST, Unit, is_known
from dfad.metrics import decisions, eer
from dfad.metrics.bootstrap import Interval, cluster_count, distributions, rate_interval
from dfad.metrics.weighted import Weighted
from dfad.scores import ScoreTable

USUAL = ("attack", "codec", "source_codec", "language", "source", "source_repo", "corpus")
MOST_INTERVALS = 100
NO_INTERVAL = Interval(nan, nan)


@dataclass(frozen=True)
class Slice:
    """What the clips of one value show.

    Attributes:
        value: of the column.
        n_bona_fide, n_spoof: clips.
        eer: equal error rate of just these clips.
        interval: 95 % interval of the EER.
        miss, false_alarm: at the deployed threshold.
        unit: what was drawn for the interval.
        note: why something is missing.
    """

    value: str
    n_bona_fide: int
    n_spoof: int
    eer: float
    miss: float
    false_alarm: float
    interval: Interval = NO_INTERVAL
    unit: str = ""
    note: str = ""


def usual_columns(table: ScoreTable) -> tuple[str, ...]:
    """The columns that are worth a breakdown: attacks if there are any, and others that tell clips apart."""
    frame = table.frame
    told = [name for name in USUAL if name in frame and is_known(frame[name]).any()]
    return tuple(name for name in told if name == "attack" or frame[name].nunique() > 1)


def breakdown(
    table: ScoreTable, column: str, *, threshold: float = 0.0, unit: Unit | None = None, resamples: int = 0
) -> tuple[Slice, ...]:
    """Results by the values of a column, the highest EER first.

    An attack has no bona fide clips of its own, so that it stands against all of the table; the spoof clips of any
    other value stand against the bona fide clips of the same value.

    Args:
        table: scores of one split or corpus.
        column: `attack`, or any other column.
        threshold: the deployed one.
        unit: what is drawn for intervals; where a slice has fewer than ten of them, clips are.
        resamples: for intervals, of the 100 worst slices; 0: none.

    Raises:
        ConfigError: if the table has no such column.
    """
    if column not in table.frame:
        raise ConfigError(f"no column {column!r} to break down by; {did_you_mean(column, list(table.frame.columns))}")
    values = table.frame[column].astype(str).fillna("").to_numpy(object)
    bona_fide = table.labels == Label.BONA_FIDE
    slices = []
    for value in sorted(set(values[~bona_fide]) - {""} if column == "attack" else set(values)):
        rows = np.flatnonzero((values == value) | (bona_fide if column == "attack" else False))
        slices.append((part(table, rows, name=value or "(none)", threshold=threshold), rows))
    slices.sort(key=lambda pair: _badness(pair[0]))
    wanted = resamples if unit else 0
    return tuple(
        with_interval(found, table, rows, unit, wanted) if unit and at < MOST_INTERVALS else found
        for at, (found, rows) in enumerate(slices)
    )


def part(table: ScoreTable, rows: np.ndarray, *, name: str, threshold: float = 0.0) -> Slice:
    """What some rows of a table show; what is not defined is NaN with the reason."""
    scores, labels = table.scores[rows], table.labels[rows]
    rate, note = nan, ""
    try:
        rate = eer(scores, labels)[0]
        at = decisions(scores, labels, threshold)
    except MetricError as error:
        note = str(error).split(":")[0]
        at = (
            {"miss": nan, "false_alarm": nan}
            if not len(rows) or np.isnan(scores).any()
            else decisions(scores, labels, threshold)
        )
    real = int(labels.sum())
    return Slice(name, real, len(rows) - real, rate, at["miss"], at["false_alarm"], note=note)


def with_interval(found: Slice, table: ScoreTable, rows: np.ndarray, unit: Unit, resamples: int) -> Slice:
    """The slice with the 95 % interval of its EER."""
    if isnan(found.eer) or not resamples:
        return found
    scores, labels = table.scores[rows], table.labels[rows]
    clusters = None if unit.clusters is None else unit.clusters[rows]
    count, name = cluster_count(labels == 1, clusters), unit.name
    if count < LEAST:
        clusters, count, name = None, cluster_count(labels == 1), "clip"
    (drawn,) = distributions([Weighted(scores, labels, ("eer",))], labels, clusters, resamples=resamples)
    between = rate_interval(found.eer, drawn["eer"], count)
    return Slice(**{**found.__dict__, "interval": between, "unit": name})


def _badness(found: Slice) -> tuple[float, float, str]:
    """Sorts the highest EER first; slices without one follow by their errors at the threshold."""
    errors = max(0.0 if isnan(rate) else rate for rate in (found.miss, found.false_alarm))
    return (1.0 if isnan(found.eer) else -found.eer, -errors, found.value)
