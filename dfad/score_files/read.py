"""Scores of any detection system, as a `ScoreTable`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from dfad.errors import DataError
from dfad.score_files.labels import join_labels, parse_columns, read_labels, settle_attacks
from dfad.score_files.tables import read_table
from dfad.scores import COLUMNS, ScoreTable, parse_scores, require_once
from dfad.wrong_rows import WrongRows

LAYOUTS = {2: ("id", "score"), 4: ("id", "attack", "label", "score")}  # ASVspoof 2021, and 2019's official CM scores
SIGNS = {"bona-fide": 1, "spoof": -1}


def read_scores(
    path: Path, *, labels: Path | None = None, polarity: Literal["bona-fide", "spoof"] = "bona-fide"
) -> ScoreTable:
    """Read the scores that a detection system has written, and the labels of its clips.

    The file is Parquet (by its suffix), a table with a header (comma, semicolon, tab or blanks) or ASVspoof text
    without one: `utt score`, or `utt attack key score` of 2019. Columns are known by many names, those in
    `dfad.score_files.tables.NAMES`; all others are kept as they are. A file without ids gives `row 1`, `row 2`, …;
    without a split, every clip is of the test split. Bona fide has no attack, whatever word stands there.

    Labels are the words that `Label.parse` knows, or 1 and 0 in the whole column, where 1 means bona fide.

    Args:
        path: the scores.
        labels: a manifest (`path,label` and any other columns) or an ASVspoof protocol of these clips, for
            labels that `path` lacks and for further columns. What both files have must agree. Clips are joined by id,
            or if no id matches, by file name without folder and suffix.
            Every clip of a split that was scored must be.
        polarity: the class for which the file's scores are high. The table's are high for bona fide: those of a file
            with "spoof" are negated, here and nowhere else.

    Returns:
        The clips in the order of the file. Scores are float64 where float32 would change them.

    Raises:
        DataError: for a file that is missing, damaged, empty or no such table; for scores that are NaN or no number,
            unknown labels, ids that come twice, and clips without a score or a label.
    """
    source = str(path)
    frame = read_table(path, what="scores", needs=("score",), layouts=LAYOUTS)
    errors = WrongRows(frame.index)
    frame["score"] = parse_scores(frame["score"], errors, nan=False) * SIGNS[polarity]
    parse_columns(frame, errors)
    errors.raise_from(source)
    if labels is not None:
        if "id" not in frame:
            raise DataError(
                f"{source} has no ids, so labels cannot be joined; the columns are: {', '.join(frame.columns)}"
            )
        require_once(frame["id"], source=source)
        frame = join_labels(frame, read_labels(labels), source=source, labels_source=str(labels))
    elif "label" not in frame:
        raise DataError(f"{source} has no labels; give a manifest or an ASVspoof protocol that has them: --labels FILE")
    else:
        frame = settle_attacks(frame)
    if "id" not in frame:
        frame["id"] = [f"row {number}" for number in range(1, len(frame) + 1)]
    require_once(frame["id"], source=source)
    frame = frame.assign(
        **{name: value for name, value in {"attack": "", "split": "test"}.items() if name not in frame}
    )
    rest = [name for name in frame.columns if name not in COLUMNS]
    return ScoreTable(frame[[*COLUMNS, *rest]].astype({"label": np.int8}))
