"""Tables as corpora come with: text whose columns a space, a bar or a comma separates, read strictly, line by line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from dfad.errors import DataError, did_you_mean
from dfad.wrong_rows import WrongRows

_UNTIDY = (b"\t", b"  ", b" \n", b" \r", b"\n ")  # sought one by one, which is ten times faster than a pattern
_BLANK = (b"\n\n", b"\n\r\n")


def read_rows(
    path: Path, *, delimiter: str, columns: Sequence[str] = (), needed: Sequence[str] = (), quoted: bool = False
) -> pd.DataFrame:
    """Read a table; a byte-order mark, line ends of Windows and empty lines do no harm.

    Args:
        path: the file, UTF-8.
        delimiter: between columns; a space stands for any white space.
        columns: their names; without, the first line has them.
        needed: columns that the first line must name.
        quoted: whether quotes embrace a value; else they are characters like others.

    Returns:
        All values as they stand, as strings; the index, named `line`, counts the lines of the file.

    Raises:
        DataError: for a file that cannot be read or is empty, and for lines with too many or too few columns.
    """
    data, lines = _lines(path, tidy=delimiter == " ")
    names, header = list(columns), not columns
    if header:
        first = data.split(b"\n", 1)[0].decode(errors="replace").rstrip("\r")
        names = [name.strip('"' if quoted else "") for name in first.split(delimiter)]
        for name in needed:
            if name not in names:
                hint = did_you_mean(name, names)
                raise DataError(f"{path}: no column {name!r} in its first line, {first[:80]!r}; {hint}")
    keys = [str(number) for number in range(len(names))]
    wrong: list[tuple[int, int]] = []  # line, columns

    def note(row: csv.InvalidRow) -> str:
        wrong.append((row.number, row.actual_columns))
        return "skip"

    try:
        table = csv.read_csv(
            pa.BufferReader(data),
            csv.ReadOptions(column_names=keys, skip_rows=int(header), use_threads=False),
            csv.ParseOptions(delimiter=delimiter, quote_char='"' if quoted else False, invalid_row_handler=note),
            csv.ConvertOptions(column_types=dict.fromkeys(keys, pa.string()), strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is no readable table: {error}") from None
    if wrong:
        errors = WrongRows(pd.Index([lines[number - 1] for number, _ in wrong], name="line"))
        errors.add([True] * len(wrong), lambda row: f"{wrong[row][1]} columns, expected {len(names)}")
        errors.raise_from(str(path))
    frame = table.to_pandas().set_axis(names, axis="columns")
    frame.index = pd.Index(lines[int(header) :], name="line")
    return frame


def read_texts(path: Path, separator: str) -> dict[str, str]:
    """Read what was said in each utterance: its name, a separator, the text, and perhaps further versions of it.

    Returns:
        The text of each utterance as it was written first; quotes are characters like others.

    Raises:
        DataError: for a file that cannot be read, or lines without a separator.
    """
    data, numbers = _lines(path, tidy=False)
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8: {error}") from None
    parts = [line.rstrip("\r").split(separator) for line in lines]
    errors = WrongRows(pd.Index(numbers, name="line"))
    errors.add([len(part) == 1 for part in parts], lambda row: f"no {separator!r} in it")
    errors.raise_from(str(path))
    return {name.strip(): text.strip() for name, text, *_ in parts}


def first_line(path: Path) -> str:
    """The first line of a file, or as much of it as is not longer than a header.

    Raises:
        DataError: for a file that cannot be read.
    """
    try:
        with path.open("rb") as lines:
            return lines.readline(1000).decode("utf-8-sig", errors="replace").rstrip("\r\n")
    except OSError as error:
        raise DataError(f"{path}: {(error.strerror or str(error)).lower()}") from None


def _lines(path: Path, *, tidy: bool) -> tuple[bytes, Sequence[int] | np.ndarray]:
    """The lines of a file that are not empty, and their numbers.

    Args:
        path: the file.
        tidy: put one space wherever there is white space.
    """
    try:
        data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise DataError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    data = data.strip(b" ") if tidy else data
    if tidy and any(mark in data for mark in _UNTIDY):
        data = b"\n".join(b" ".join(line.split()) for line in data.split(b"\n"))
    data = data.rstrip(b"\r\n")
    if not data:
        raise DataError(f"{path} is empty")
    if data[:1] not in (b"\n", b"\r") and not any(mark in data for mark in _BLANK):
        return data, range(1, data.count(b"\n") + 2)
    kept = [(number, line) for number, line in enumerate(data.split(b"\n"), 1) if line.strip()]
    return b"\n".join(line for _, line in kept), [number for number, _ in kept]
