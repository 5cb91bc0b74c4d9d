"""Tables in CSV or Parquet files, every cell of a CSV as text; large ones are read without an object for each cell."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import csv

_BLOCK = 1 << 24  # bytes that are parsed at a time


def read_table(path: Path) -> pd.DataFrame:
    """Read a file, by its suffix; rows of a CSV without any text are left out.

    Raises:
        ValueError, OSError, pandas.errors.ParserWarning: if it cannot be read.
    """
    if path.suffix == ".parquet":
        return pd.read_parquet(path).reset_index(drop=True)
    frame = read_regular_csv(path)
    return read_any_csv(path) if frame is None else frame


def read_any_csv(path: Path) -> pd.DataFrame:
    """Read a CSV of any form, slowly; the index counts lines, so that empty ones, which are left out, do not shift it.

    Raises:
        ValueError, OSError, pandas.errors.ParserWarning: if it cannot be read, or a row is longer than the header.
    """
    # as strings: a speaker '0012' is no number, an attack 'NA' no gap
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header would be cut
        frame = pd.read_csv(
            path, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False, skip_blank_lines=False
        )
    if not len(frame.columns):
        raise ValueError("its first line is empty")
    return _without_empty_rows(frame)


def read_regular_csv(path: Path) -> pd.DataFrame | None:
    """Read a CSV fast if every row has as many cells as the header; the same table as `read_any_csv` gives.

    Only the index differs: it counts the rows that there are.

    Returns:
        None for any other file.
    """
    try:
        names = list(pd.read_csv(path, nrows=0, encoding="utf-8-sig", index_col=False).columns)
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(block_size=_BLOCK),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, pa.large_string())),
        )
    except ValueError:  # of either library
        return None
    if table.column_names != names or _ends_in_an_open_quote(path, table):
        return None
    columns = {}
    for name in names:  # one by one, as each is there twice while its pieces are joined
        columns[name] = pd.array(table.column(0).combine_chunks(), dtype="str")
        table = table.remove_column(0)
    return _without_empty_rows(pd.DataFrame(columns))


def _without_empty_rows(frame: pd.DataFrame) -> pd.DataFrame:
    empty = frame.index[frame.iloc[:, 0].fillna("") == ""]
    return frame.drop(empty[(frame.loc[empty].fillna("") == "").all(axis=1)]) if len(empty) else frame


def _ends_in_an_open_quote(path: Path, table: pa.Table) -> bool:
    """Whether the last cell may be one whose quotes never end: Arrow would take all that follows as its text."""
    if not table.num_rows:
        return False
    rest = ('"' + table.column(table.num_columns - 1)[-1].as_py().replace('"', '""')).encode()
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(rest)))
        return file.read() == rest
