"""Tables as they are found: with a header or without, comma, semicolon, tab or blanks, names in many spellings."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dfad.errors import DataError
from dfad.labels import LABEL_WORDS
from dfad.scores import COLUMNS, number_of

NAMES = {  # what a column is called in the wild, in lower case and with _ for - and blanks
    "id": (
        *("id", "path", "file", "filename", "file_name", "filepath", "file_path", "utt", "utt_id", "uttid"),
        *("utterance", "utterance_id", "trial", "trial_id", "clip", "clip_id", "audio", "audio_path", "wav"),
    ),
    "score": ("score", "scores", "cm_score", "cm_scores", "llr", "logit", "logits", "log_odds"),
    "label": ("label", "labels", "key", "keys", "target", "class", "cm_label", "cm_key", "ground_truth"),
    "attack": ("attack", "attack_id", "attack_type", "attack_label", "system", "system_id"),
    "split": ("split", "partition"),
    "speaker": ("speaker", "speaker_id", "spk", "spk_id"),
    "source": ("source",),
    "codec": ("codec",),
    "language": ("language",),
}
ROLES = {name: role for role, names in NAMES.items() for name in names}
OURS = (COLUMNS, ("path", "label", "split", "attack"))  # score tables and manifests: their names are no guess
SEPARATORS = ("\t", ",", ";", None)  # None: blanks


def read_table(path: Path, *, what: str, needs: Sequence[str], layouts: Mapping[int, tuple[str, ...]]) -> pd.DataFrame:
    """Read a table of which the columns in `NAMES` have their role for a name, and all others their own.

    What a file is, its first line decides: a row of one of the `layouts`, else a header that names what is needed.
    Only Parquet is told by its suffix. In text every cell is a string, and the index says in which line a row lies.

    Args:
        path: the file.
        what: what is in it, for messages.
        needs: the roles that a header has to name.
        layouts: the columns of text without a header, by their number.

    Raises:
        DataError: for a file that is missing, damaged, empty or no such table, or two columns for one role.
    """
    if not path.is_file():
        raise DataError(f"no {what} at {path}")
    try:
        frame = _read_parquet(path) if path.suffix == ".parquet" else _read_text(path, what, needs, layouts)
    except (ValueError, OSError, NotImplementedError, csv.Error) as error:
        raise DataError(f"{path} holds no readable {what}: {error}") from None
    if missing := [role for role in needs if role not in frame]:
        raise DataError(
            f"{path}: no column for the {missing[0]}; the columns are: {', '.join(frame.columns)}\n"
            f"it may be called: {', '.join(NAMES[missing[0]])}"
        )
    if frame.empty:
        raise DataError(f"{path}: no {what} in it")
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    frame = pd.read_parquet(path)
    frame.columns = pd.Index(_named([str(name) for name in frame.columns], path))
    frame.index = pd.RangeIndex(1, len(frame) + 1, name="row")
    return frame


def _read_text(path: Path, what: str, needs: Sequence[str], layouts: Mapping[int, tuple[str, ...]]) -> pd.DataFrame:
    with path.open(encoding="utf-8-sig", newline="") as file:
        text = file.read()
    found = re.search(r"^.*\S.*$", text, re.MULTILINE)
    if found is None:
        raise DataError(f"{path}: no {what} in it; the file is empty")
    first = found[0].rstrip("\r")
    tab = "\t" if "\t" in first else None
    cells = _split(first, tab)
    separator = max(SEPARATORS, key=lambda each: _known(_header(first, each)))
    roles = {ROLES.get(_plain(name)) for name in _header(first, separator)}
    if len(cells) in layouts and (_fits(cells, layouts[len(cells)]) or not roles >= {*needs}):
        names = list(layouts[len(cells)])
        rows: Iterator[tuple[int, list[str]]] = (
            (line, _split(row, tab)) for line, row in enumerate(text.split("\n"), 1)
        )
    elif roles == {None}:
        raise DataError(
            f"{path} holds no {what} that are known: expected a header with a column for the "
            f"{' and the '.join(needs)}, or ASVspoof text of {' or '.join(map(str, layouts))} columns, "
            f"separated by blanks\nthe first line is {first[:80]!r}"
        )
    else:
        rows = _rows(text, separator)
        names = _named(next(row for _, row in rows if any(row)), path)
    return _frame(rows, names, path)


def _frame(rows: Iterator[tuple[int, list[str]]], names: list[str], path: Path) -> pd.DataFrame:
    """Make a table of words, of rows that must be empty or as long as the list of names."""
    lines: list[int] = []
    wrong: list[tuple[int, int]] = []
    columns: list[list[str]] = [[] for _ in names]
    for line, row in rows:
        if not any(row):
            continue
        if len(row) != len(names):
            wrong.append((line, len(row)))
            continue
        lines.append(line)
        for column, cell in zip(columns, row, strict=True):
            column.append(cell)
    if wrong:
        raise DataError(
            f"{path}: {len(wrong)} lines have not {len(names)} columns ({', '.join(names)}), "
            f"the first is line {wrong[0][0]} with {wrong[0][1]}"
        )
    index = pd.Index(lines, name="line", dtype=np.int64)
    cells = {name: pd.Series(column, index, dtype="str") for name, column in zip(names, columns, strict=True)}
    return pd.DataFrame(cells, index)


def _rows(text: str, separator: str | None) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table with a header, each with the number of its last line."""
    if separator is None:
        yield from ((line, row.split()) for line, row in enumerate(text.split("\n"), 1))
    else:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        yield from ((reader.line_num, row) for row in reader)


def _split(line: str, separator: str | None) -> list[str]:
    """The cells of a line of plain text, in which nothing is quoted."""
    return line.split() if separator is None else [cell.strip() for cell in line.split(separator)]


def _header(line: str, separator: str | None) -> list[str]:
    return line.split() if separator is None else next(csv.reader([line], delimiter=separator))


def _plain(name: str) -> str:
    """A column's name as `NAMES` has it."""
    return re.sub(r"[-\s]+", "_", name.strip().lower())


def _known(names: Sequence[str]) -> int:
    return sum(_plain(name) in ROLES for name in names)


def _fits(cells: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a line is a row of a layout: a number for the score, a label word for the label."""
    row = dict(zip(names, cells, strict=True))
    return number_of(row.get("score", "0")) is not None and row.get("label", "spoof").lower() in LABEL_WORDS


def _named(names: list[str], path: Path) -> list[str]:
    """Put the role for the name of every column that has one.

    Raises:
        DataError: if two columns could have the same role, or two have the same name.
    """
    names = [name.strip() for name in names]
    own = next((own for own in OURS if {*own} <= {*names}), ())
    ours = {ROLES[name]: name for name in own}
    found: dict[str, list[str]] = {}
    for name in names:
        role = ROLES.get(_plain(name), name)
        found.setdefault(role if ours.get(role, name) == name else name, []).append(name)
    for role, candidates in found.items():
        if len(candidates) > 1:
            raise DataError(
                f"{path}: columns {' and '.join(map(repr, candidates))} could both be the {role}; "
                "rename one, or leave it out"
            )
    role_of = {name: role for role, (name,) in found.items()}
    return [role_of[name] for name in names]
