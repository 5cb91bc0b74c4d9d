"""The clips that a detector judges rightly as they are, and wrongly under the most conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dfad.labels import Label
from dfad.robustness.conditions import CLEAN, Condition, Family
from dfad.scores import ScoreTable


@dataclass(frozen=True)
class Weak:
    """One clip.

    Attributes:
        id: of the clip.
        label: 1 bona fide, 0 spoof.
        attack: of a spoof clip.
        score: as it is.
        wrong: conditions under which it is decided wrongly.
        tried: conditions.
        worst: the one that moves it furthest to the wrong side.
        worst_score: under that one.
    """

    id: str
    label: int
    attack: str
    score: float
    wrong: int
    tried: int
    worst: Condition
    worst_score: float


def weakest(
    tables: Mapping[Condition, ScoreTable], family: Family, label: Label, *, threshold: float, most: int
) -> list[Weak]:
    """Clips of a class that are right as they are and wrong under some conditions, wrong under the most first.

    Of as many conditions, the clip comes first that one of them moves furthest.

    Args:
        tables: `CLEAN` and the others.
        family: the conditions that count.
        label: of the clips.
        threshold: the deployed one; a score there passes.
        most: so many.
    """
    frame = tables[CLEAN].frame
    side = 1.0 if label == Label.BONA_FIDE else -1.0

    def wrong_at(scores: np.ndarray) -> np.ndarray:
        return scores < threshold if label == Label.BONA_FIDE else scores >= threshold

    clean = frame["score"].to_numpy(np.float64)
    clips = frame[(frame["label"].to_numpy() == label) & ~wrong_at(clean) & ~np.isnan(clean)].set_index("id")
    tried = [condition for condition in tables if condition.family == family and condition != CLEAN]
    if not tried or clips.empty:
        return []
    scores = np.stack(
        [tables[one].frame.set_index("id")["score"].reindex(clips.index).to_numpy(np.float64) for one in tried]
    )
    counts = wrong_at(scores).sum(axis=0)  # a clip that a condition has not is NaN, which is not wrong
    furthest = np.where(np.isnan(scores), np.inf, side * scores)
    at = furthest.argmin(axis=0)
    order = np.lexsort((furthest.min(axis=0), -counts))[:most]
    return [
        Weak(
            str(clips.index[row]),
            int(label),
            str(clips["attack"].iloc[row]),
            float(clips["score"].iloc[row]),
            int(counts[row]),
            int((~np.isnan(scores[:, row])).sum()),
            tried[at[row]],
            float(scores[at[row], row]),
        )
        for row in order
        if counts[row]
    ]
