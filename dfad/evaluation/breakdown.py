"""Results by the values of a manifest column, worst first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isnan, nan

import numpy as np
import pandas as pd

from dfad.errors import ConfigError, MetricError, did_you_mean
from dfad.evaluation.attacks import attack_names, bona_fide_of
from dfad.evaluation.units import LEAST, Unit, is_known
from dfad.metrics import decisions, eer
from dfad.metrics.bootstrap import Interval, cluster_count, distributions, rate_interval, untold
from dfad.metrics.weighted import Weighted
from dfad.scores import ScoreTable

USUAL = ("corpus", "attack", "codec", "source_codec", "language", "source", "source_repo")
MOST_INTERVALS = 100
MOST_VALUES = 100  # of a column that nobody asked for
NO_INTERVAL = Interval(nan, nan)


@dataclass(frozen=True)
class Slice:
    """What the clips of one value show.

    Attributes:
        value: of the column.
        n_bona_fide: clips.
        n_spoof: clips.
        eer: equal error rate of just these clips.
        miss: share of bona fide clips that are rejected at the deployed threshold.
        false_alarm: share of spoof clips that pass at it.
        interval: 95 % interval of the EER.
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
    return tuple(name for name in told if name == "attack" or 1 < frame[name].nunique() <= MOST_VALUES)


def breakdown(
    table: ScoreTable,
    column: str,
    *,
    threshold: float = 0.0,
    unit: Unit | None = None,
    resamples: int = 0,
    progress: Callable[[int, int], None] = untold,
) -> tuple[Slice, ...]:
    """Results by the values of a column, the highest EER first.

    An attack has no bona fide clips of its own, so that it stands against all of its corpus, which its name
    tells where there are several; the spoof clips of any other value stand against the bona fide clips of the same one.

    Args:
        table: scores of one split or corpus.
        column: `attack`, or any other column.
        threshold: the deployed one.
        unit: what is drawn for intervals; where a slice has fewer than ten of them, clips are.
        resamples: for intervals, of the 100 worst slices; 0: none.
        progress: is told how many slices have their interval.

    Raises:
        ConfigError: if the table has no such column.
    """
    if column not in table.frame:
        raise ConfigError(f"no column {column!r} to break down by; {did_you_mean(column, list(table.frame.columns))}")
    words = attack_names(table.frame) if column == "attack" else table.frame[column].astype(str).fillna("")
    of_clip, values = pd.factorize(words, sort=True)
    members = np.split(np.argsort(of_clip, kind="stable"), np.cumsum(np.bincount(of_clip))[:-1])
    corpora, bona_fide = bona_fide_of(table)
    found = []
    for value, rows in zip(values, members, strict=False):  # without any clip, there is one empty piece
        if column == "attack":
            if value == "":
                continue
            rows = np.union1d(rows, bona_fide[corpora[rows[0]]])
        found.append((part(table, rows, name=str(value) or "(none)", threshold=threshold), rows))
    found.sort(key=lambda pair: _badness(pair[0]))
    if not unit or not resamples:
        return tuple(piece for piece, _ in found)
    slices = []
    for at, (piece, rows) in enumerate(found):
        slices.append(with_interval(piece, table, rows, unit, resamples) if at < MOST_INTERVALS else piece)
        progress(at + 1, len(found))
    return tuple(slices)


def part(table: ScoreTable, rows: np.ndarray, *, name: str, threshold: float = 0.0) -> Slice:
    """What some rows of a table show; what is not defined is NaN with the reason."""
    scores, labels = _of(table, rows)
    real = int(labels.sum())
    piece = Slice(name, real, len(rows) - real, nan, nan, nan)
    try:
        at = decisions(scores, labels, threshold)
        piece = replace(piece, miss=at["miss"], false_alarm=at["false_alarm"])
        return replace(piece, eer=eer(scores, labels)[0])
    except MetricError as error:
        return replace(piece, note=str(error).split(":")[0])


def with_interval(piece: Slice, table: ScoreTable, rows: np.ndarray, unit: Unit, resamples: int) -> Slice:
    """The slice with the 95 % interval of its EER."""
    if isnan(piece.eer) or not resamples:
        return piece
    scores, labels = _of(table, rows)
    clusters = None if unit.clusters is None else unit.clusters[rows]
    count, name = cluster_count(labels == 1, clusters), unit.name
    if count < LEAST:
        clusters, count, name = None, cluster_count(labels == 1), "clip"
    (drawn,) = distributions([Weighted(scores, labels, ("eer",))], labels, clusters, resamples=resamples)
    return replace(piece, interval=rate_interval(piece.eer, drawn["eer"], count), unit=name)


def _of(table: ScoreTable, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels of some rows, in time that does not grow with the table."""
    return table.frame["score"].to_numpy()[rows], table.frame["label"].to_numpy()[rows]


def _badness(piece: Slice) -> tuple[float, float, str]:
    """Sorts the highest EER first; slices without one follow by their errors at the threshold."""
    errors = max(0.0 if isnan(rate) else rate for rate in (piece.miss, piece.false_alarm))
    return (1.0 if isnan(piece.eer) else -piece.eer, -errors, piece.value)
