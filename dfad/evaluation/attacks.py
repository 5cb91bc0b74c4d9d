"""Which clips an attack is judged on: its own, and the bona fide ones of its corpus."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from dfad.labels import Label
from dfad.scores import ScoreTable

MOST_NAMED = 8


def attack_names(frame: pd.DataFrame) -> pd.Series:
    """What tells the attacks of a manifest or a score table apart; "" where there is none.

    Where a column `corpus` says from which corpus a clip is, that comes first, as one name may be two attacks.

    >>> attack_names(pd.DataFrame({"attack": ["", "A07", "A07"], "corpus": ["x", "x", "y"]})).tolist()
    ['', 'x/A07', 'y/A07']
    """
    attacks = _words(frame, "attack")
    if "corpus" not in frame:
        return attacks
    corpora = _words(frame, "corpus")
    return attacks.where((attacks == "") | (corpora == ""), corpora + "/" + attacks)


def bona_fide_of(table: ScoreTable) -> tuple[np.ndarray, list[np.ndarray]]:
    """The number of each clip's corpus, and the bona fide clips of each corpus; without a column `corpus` there is one.

    Shape:
        (clips,) int64, and rows of the table for each corpus
    """
    lacking = "corpus" not in table.frame
    corpora = np.zeros(len(table), np.int64) if lacking else pd.factorize(_words(table.frame, "corpus"))[0]
    real = table.labels == Label.BONA_FIDE
    return corpora, [np.flatnonzero(real & (corpora == number)) for number in range(corpora.max(initial=0) + 1)]


def rows_of(table: ScoreTable, names: Collection[str]) -> np.ndarray:
    """The clips of some attacks and all bona fide clips of the corpora that these are from. Shape: (rows,) int64."""
    inside = np.flatnonzero(attack_names(table.frame).isin(list(names)))
    corpora, bona_fide = bona_fide_of(table)
    return np.unique(np.concatenate([inside, *(bona_fide[number] for number in np.unique(corpora[inside]))]))


def mixed(table: ScoreTable) -> list[str]:
    """What a reader should know of results on several corpora together; nothing of one alone."""
    corpora = sorted(_words(table.frame, "corpus").unique()) if "corpus" in table.frame else []
    if len(corpora) < 2:
        return []
    more = f", … ({len(corpora) - MOST_NAMED} more)" if len(corpora) > MOST_NAMED else ""
    return [
        f"clips of {len(corpora)} corpora are judged together ({', '.join(corpora[:MOST_NAMED])}{more}): a number of "
        "all of them depends on how many each has, and how far apart their scores lie; read each by itself, by corpus"
    ]


def _words(frame: pd.DataFrame, column: str) -> pd.Series:
    return frame[column].astype(str).fillna("")
