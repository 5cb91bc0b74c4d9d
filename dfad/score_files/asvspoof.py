"""Score files that ASVspoof's own tools read."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pandas as pd

from dfad.errors import DataError
from dfad.labels import Label
from dfad.scores import ScoreTable, score_words

KEYS = {Label.SPOOF: "spoof", Label.BONA_FIDE: "bonafide"}


def write_asvspoof(table: ScoreTable, path: Path, *, columns: Literal[2, 4] = 2) -> None:
    """Write scores as text without a header: `utt score`, or `utt attack key score`, which holds labels too.

    `utt` is the id as it stands, and `-` an attack that there is not. `read_scores` gives the same numbers back.

    Raises:
        DataError: for an id or an attack with a blank in it, which would be read as two columns.
    """
    frame = table.frame
    attack = frame["attack"].where(frame["attack"] != "", "-")
    _require_no_blanks(frame["id"], "ids", path)
    words = {2: [frame["id"]], 4: [frame["id"], attack, frame["label"].map(KEYS)]}[columns]
    if columns == 4:
        _require_no_blanks(attack, "attacks", path)
    rows = zip(*words, score_words(frame["score"]), strict=True)
    path.write_text("".join(f"{' '.join(row)}\n" for row in rows), encoding="utf-8", newline="\n")


def _require_no_blanks(words: pd.Series, what: str, path: Path) -> None:
    if wrong := [word for word in words.unique() if len(word.split()) != 1 or word != word.strip()]:
        raise DataError(
            f"{path}: {len(wrong)} {what} are empty or have blanks in them, the first: {wrong[0]!r}; "
            "blanks separate the columns of ASVspoof's score files, so write CSV or Parquet"
        )
