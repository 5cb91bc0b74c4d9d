"""Columns of many million cells: what is asked of them without a Python object for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

_SLICE = 1 << 16  # cells at a time
_BASE = 0x9E3779B97F4A7C15  # of the hash: any large odd number
_WORD = 1 << 64


def translated(words: pd.Series, of: Callable[[str], Any]) -> pd.Series:
    """Give each cell what a function makes of its word; it is asked once for each different one, and None is missing.

    >>> translated(pd.Series(["a", "bc", "a"]), len).tolist()
    [1, 2, 1]
    """
    codes, values = pd.factorize(words)
    found = pd.Series([of(value) for value in values]).take(codes)
    return found.set_axis(words.index)


def repeated(words: pd.Series) -> np.ndarray:
    """Which cells hold the word of an earlier one. Shape: words -> (cells,) bool.

    Hashes are compared, and the words only where two are the same.

    >>> repeated(pd.Series(["a", "b", "a"])).tolist()
    [False, False, True]
    """
    hashes = np.concatenate([np.empty(0, np.uint64), *(_hashes(part) for part in _slices(words))])
    ordered = np.sort(hashes)
    several = ordered[1:][ordered[1:] == ordered[:-1]]
    found = np.zeros(len(words), bool)
    if len(several):
        rows = np.flatnonzero(np.isin(hashes, several))
        found[rows] = words.iloc[rows].duplicated()
    return found


def numbers(cells: pd.Series) -> np.ndarray:
    """Read cells as numbers, NaN where there is nothing or no number. Shape: cells -> (cells,) float64.

    >>> numbers(pd.Series(["1.5", "", "long"])).tolist()
    [1.5, nan, nan]
    """
    if not isinstance(cells.dtype, pd.StringDtype):
        return pd.to_numeric(cells.replace("", np.nan), errors="coerce").to_numpy(np.float64, na_value=np.nan)
    found = [np.empty(0), *(_numbers(part) for part in _slices(cells))]
    return np.concatenate(found)


def joined(cells: pd.Series, separator: str) -> Iterator[bytes]:
    """Give the text of all cells with a separator between them, piece by piece; a missing cell is empty.

    >>> list(joined(pd.Series([1.0, None, 0.5]), ","))
    [b'1.0,,0.5']
    """
    numeric = pd.api.types.is_numeric_dtype(cells)
    texts = cells if numeric else cells.astype(str).fillna("")  # a number's text depends on nothing but itself
    for at, part in enumerate(_slices(texts)):
        arrow = _arrow(part.astype(str).fillna("") if numeric else part)
        whole = pa.ListArray.from_arrays(pa.array([0, len(arrow)], pa.int32()), arrow.cast(pa.string()))
        yield (separator if at else "").encode() + pc.binary_join(whole, separator)[0].as_buffer().to_pybytes()


def _slices(cells: pd.Series) -> Iterator[pd.Series]:
    return (cells.iloc[start : start + _SLICE] for start in range(0, len(cells), _SLICE))


def _arrow(words: pd.Series) -> pa.Array:
    """The words in one piece of Arrow memory."""
    found = pa.array(words, pa.large_string())
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _numbers(words: pd.Series) -> np.ndarray:
    arrow = _arrow(words)
    try:
        told = pc.if_else(pc.equal(arrow, ""), None, arrow)
        return pc.cast(told, pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:  # no number, or one with blanks around it
        return pd.to_numeric(words.replace("", np.nan), errors="coerce").to_numpy(np.float64, na_value=np.nan)


def _hashes(words: pd.Series) -> np.ndarray:
    """A 64-bit hash of each word: the sum of byte i times the i-th power of a number. Shape: (cells,) uint64.

    The sums of all words come from one running sum over their bytes, in which a word that begins at byte k has k powers
    too many; they are divided out, which for an odd number works modulo 2^64.
    """
    arrow = _arrow(words)
    _, offsets, data = arrow.buffers()
    ends = np.frombuffer(offsets, np.int64)[arrow.offset : arrow.offset + len(arrow) + 1]
    taken = np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]]
    ends = ends - ends[0]
    sums = np.zeros(len(taken) + 1, np.uint64)
    np.cumsum(_powers(_BASE, len(taken)) * taken, out=sums[1:])
    return (sums[ends[1:]] - sums[ends[:-1]]) * _powers(pow(_BASE, -1, _WORD), len(taken) + 1)[ends[:-1]]


def _powers(base: int, count: int) -> np.ndarray:
    """Powers of a number from 0 on, modulo 2^64."""
    found = np.full(count, base, np.uint64)
    found[:1] = 1
    return np.cumprod(found, out=found)
