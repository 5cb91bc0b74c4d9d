"""The unit of uncertainty: what is drawn as a whole when a table is resampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dfad.errors import ConfigError, did_you_mean
from dfad.metrics.bootstrap import cluster_count
from dfad.scores import ScoreTable

CANDIDATES = ("speaker", "source", "source_repo")
UNKNOWN = ("", "-", "unknown", "n/a", "na", "nan")  # not "none", which is a codec
LEAST = 10  # clusters; with fewer, an interval over them says little


@dataclass(frozen=True)
class Unit:
    """What is drawn.

    Attributes:
        name: a column of the table, or `clip`.
        clusters: the cluster of each clip, (clips,); None where every clip is its own.
        count: clusters of the class that has fewer.
        note: a warning, if there is one.
    """

    name: str
    clusters: Any
    count: int
    note: str = ""


def unit_of(table: ScoreTable, column: str | None = None) -> Unit:
    """Choose the unit.

    A clip whose value is not known is a cluster of its own. Fewer than ten clusters in a class are too few, and clips
    are drawn instead; a note says so, as intervals are then too narrow.

    Args:
        table: with at least one clip.
        column: the one to use, or `clip`; None: the first of speaker and source that is known for most clips.

    Raises:
        ConfigError: for a column that the table does not have.
    """
    bona_fide = table.labels == 1
    if column not in (None, "clip", *table.frame.columns):
        assert column is not None
        raise ConfigError(
            f"no column {column!r} to draw as a whole; {did_you_mean(column, ['clip', *table.frame.columns])}"
        )
    known = {name: is_known(table.frame[name]) for name in ([column] if column else CANDIDATES) if name in table.frame}
    if column is None:
        sides = [side for side in (bona_fide, ~bona_fide) if side.any()]
        most = (name for name, there in known.items() if all(there[side].mean() > 0.5 for side in sides))
        column = next(most, "clip")
    clips = Unit("clip", None, cluster_count(bona_fide))
    if column == "clip":
        return clips
    clusters = _numbers(table.frame[column], known[column])
    there = known[column]
    named = cluster_count(bona_fide[there], clusters[there]) if there.any() else 0
    if named < LEAST:
        note = (
            f"only {named} known values of {column} in the class that has fewer: intervals are over single clips, "
            "so they say nothing of other values of it and are too narrow"
        )
        return Unit("clip", None, clips.count, note)
    lost = int((~there).sum())
    note = f"{lost} of {len(table)} clips have no known {column}, each counts as its own" if lost else ""
    return Unit(column, clusters, cluster_count(bona_fide, clusters), note)


def is_known(column: pd.Series) -> np.ndarray:
    """Which clips have a value that says something. Shape: (clips,) bool."""
    return ~column.astype(str).str.strip().str.lower().fillna("").isin(UNKNOWN).to_numpy(bool)


def _numbers(column: pd.Series, known: Sequence[bool] | np.ndarray) -> np.ndarray:
    codes = pd.factorize(column.astype(str))[0]
    own = ~np.asarray(known)
    codes[own] = codes.max(initial=0) + 1 + np.arange(own.sum())
    return codes
