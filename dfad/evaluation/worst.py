"""The clips that a detector judges worst."""

from __future__ import annotations

import numpy as np

from dfad.labels import Label
from dfad.scores import ScoreTable


def worst(table: ScoreTable, *, threshold: float, most: int) -> ScoreTable:
    """The clips that are most wrong at a threshold, worst first; those nearest to it where too few are wrong.

    Half of them are bona fide and half spoof, if there are so many: else one kind of error could hide the other.
    """
    margin = _margin(table, threshold)
    order = np.argsort(margin, kind="stable")
    halves = [order[table.labels[order] == label] for label in Label]
    rank = np.concatenate([np.arange(len(half)) for half in halves])  # first the worst of each, then the next
    chosen = np.concatenate(halves)[np.argsort(rank, kind="stable")][:most]
    return ScoreTable(table.frame.iloc[chosen[np.argsort(margin[chosen], kind="stable")]])


def wrong(table: ScoreTable, label: Label, *, threshold: float) -> ScoreTable:
    """The misses (of bona fide), or the false alarms (of spoof), worst first."""
    margin = _margin(table, threshold)
    at_threshold = (label == Label.SPOOF) & (margin == 0)  # a spoof clip there passes, a bona fide one does too
    rows = np.flatnonzero((table.labels == label) & ((margin < 0) | at_threshold))
    return ScoreTable(table.frame.iloc[rows[np.argsort(margin[rows], kind="stable")]])


def _margin(table: ScoreTable, threshold: float) -> np.ndarray:
    """How far each score is on the right side."""
    return np.where(table.labels == Label.BONA_FIDE, table.scores - threshold, threshold - table.scores)
