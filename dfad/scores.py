"""ScoreTable: a row per scored clip, and the only interface between models and everything after them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from dfad.clips import Manifest
from dfad.errors import DataError
from dfad.labels import CLASS_NAMES, parse_labels
from dfad.wrong_rows import WrongRows

COLUMNS = ("id", "score", "label", "attack", "split")


class ScoreTable:
    """Scores of clips, with all that their manifest says of them.

    `frame` holds `id`, `score` (log-odds of bona fide; float32, or float64 for scores of others that float32 would
    change), `label` (int8), `attack`, `split` and every further manifest column.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame.reset_index(drop=True)

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def scores(self) -> np.ndarray:
        """Shape: (clips,) float64, as the metrics take them."""
        return self.frame["score"].to_numpy(np.float64)

    @property
    def labels(self) -> np.ndarray:
        """Shape: (clips,) int64; bona fide 1, spoof 0."""
        return self.frame["label"].to_numpy(np.int64)

    @classmethod
    def of(cls, manifest: Manifest, rows: np.ndarray, scores: np.ndarray) -> ScoreTable:
        """Join scores to the manifest rows that they belong to, in manifest order.

        Shape:
            rows, scores: (clips,)

        Raises:
            DataError: if a row comes twice.
        """
        order = np.argsort(rows, kind="stable")
        rows, scores = rows[order], np.asarray(scores)[order].astype(np.float32)
        if len(twice := rows[1:][rows[1:] == rows[:-1]]):
            raise DataError(f"{len(twice)} clips were scored twice, the first: {manifest.ids[int(twice[0])]}")
        frame = manifest.frame.iloc[rows]
        rest = [name for name in frame.columns if name not in COLUMNS]
        return cls(frame.assign(score=scores)[[*COLUMNS, *rest]])

    def require(self, ids: pd.Series) -> None:
        """Refuse a table that does not hold exactly the given clips.

        Raises:
            DataError: naming a clip that is missing, or one that is too many.
        """
        if self.frame["id"].array.equals(ids.array):
            return
        wanted, found = set(ids), set(self.frame["id"])
        if lost := sorted(wanted - found):
            raise DataError(f"{len(lost)} of {len(wanted)} clips have no score, the first: {lost[0]}")
        if extra := sorted(found - wanted):
            raise DataError(f"{len(extra)} scored clips are not in the manifest, the first: {extra[0]}")

    def where(self, keep: np.ndarray | pd.Series) -> ScoreTable:
        """The rows for which `keep` is true."""
        return ScoreTable(self.frame[np.asarray(keep)])

    def write(self, path: Path) -> None:
        """Write as CSV or Parquet, by the suffix; `read` gives the same numbers back."""
        out = self.frame.assign(label=[CLASS_NAMES[label] for label in self.labels])
        if path.suffix == ".parquet":
            out.to_parquet(path, index=False)
        else:
            out.assign(score=score_words(self.frame["score"])).to_csv(path, index=False)

    @classmethod
    def read(cls, path: Path) -> ScoreTable:
        """Read what `write` wrote.

        Raises:
            DataError: for a file that is missing, no table, or has not these columns and numbers in `score`.
        """
        if not path.is_file():
            raise DataError(f"no scores at {path}")
        try:
            if path.suffix == ".parquet":
                frame = pd.read_parquet(path)
            else:
                frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        except (ValueError, OSError) as error:
            raise DataError(f"{path} is no readable CSV or Parquet table: {error}") from None
        if missing := [name for name in COLUMNS if name not in frame]:
            raise DataError(f"{path}: no column {', '.join(missing)}")
        require_once(frame["id"], source=str(path))
        errors = WrongRows(frame.index)
        frame["score"] = parse_scores(frame["score"], errors)
        labels = parse_labels(frame["label"], errors)
        errors.raise_from(str(path))
        frame["label"] = labels.astype(np.int8)
        if "duration_s" in frame:
            frame["duration_s"] = pd.to_numeric(frame["duration_s"], errors="coerce")
        return cls(frame)


def require_once(ids: pd.Series, *, source: str) -> None:
    """Refuse ids of which one comes twice.

    Raises:
        DataError: with their number and the first.
    """
    if len(twice := ids[ids.duplicated()]):
        raise DataError(f"{source}: {len(twice)} ids stand twice, the first: {twice.iloc[0]}")


def parse_scores(words: pd.Series, errors: WrongRows, *, nan: bool = True) -> np.ndarray:
    """Read a column of scores: float32 if that is what was written, else float64, which is what they parse to.

    Args:
        words: numbers, or their text; a float32 may be written with nine digits, which hold it exactly.
        errors: are told of every word that is no number.
        nan: whether NaN is a number.

    Shape:
        words -> (clips,) float32 or float64
    """
    texts = None if pd.api.types.is_numeric_dtype(words) else list(map(str, words.tolist()))
    found = words.to_numpy(np.float64, na_value=np.nan) if texts is None else [number_of(text) for text in texts]
    wide = np.array(found, np.float64)  # None becomes NaN
    wrong = [number is None for number in found] if nan else np.isnan(wide)
    errors.add(wrong, lambda row: f"score {str(words.iloc[row])!r} is no number")
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    rest = np.flatnonzero((narrow != wide) & ~np.isnan(wide)).tolist()
    written = not rest or (
        texts and all(f"{number:.9g}" == texts[row] for row, number in zip(rest, narrow[rest].tolist(), strict=True))
    )
    return narrow if written else wide


def score_words(scores: pd.Series) -> list[str]:
    """Write scores with the digits that hold them exactly: nine for float32, seventeen for float64.

    All seventeen are written, zeros too, so that `parse_scores` can tell the two apart.

    >>> score_words(pd.Series([0.1], dtype="float32")), score_words(pd.Series([0.1]))
    (['0.100000001'], ['0.10000000000000001'])
    """
    digits = ".9g" if scores.dtype == np.float32 else "#.17g"
    return [format(score, digits) for score in scores.tolist()]


def number_of(word: str) -> float | None:
    """None for what is no number; Python alone would read 1_0 as 10."""
    try:
        return None if "_" in word else float(word)
    except ValueError:
        return None
