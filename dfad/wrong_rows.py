"""The wrong rows of a table, told all at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from dfad.errors import DataError

SHOWN = 20


class WrongRows:
    """What is wrong with which row, in row order.

    Rows are numbered by the index of the table: as it stands and by its name (`line`) if it has one, else plus 2, as
    the lines of a CSV file with a header.
    """

    def __init__(self, index: pd.Index) -> None:
        self.index = index
        self.found: list[tuple[int, str]] = []
        self.count = 0

    def add(self, wrong: pd.Series | np.ndarray | Sequence[bool], say: Callable[[int], str]) -> None:
        """Take the rows for which `wrong` is true; `say` gets a row's position and tells what is wrong with it."""
        rows = np.flatnonzero(np.asarray(wrong, bool))
        self.count += len(rows)
        self.found += [(int(row), say(int(row))) for row in rows[:SHOWN]]

    def raise_from(self, source: str) -> None:
        """Go on if nothing was wrong.

        Raises:
            DataError: naming up to 20 rows, and how many there are.
        """
        if not self.count:
            return
        shown = sorted(self.found)[:SHOWN]
        word, first = (self.index.name, 0) if self.index.name else ("row", 2)
        lines = [f"{source}: {self.count} wrong row{'s' if self.count > 1 else ''}"]
        lines += [f"  {word} {self.index[row] + first}: {text}" for row, text in shown]
        if self.count > len(shown):
            lines.append(f"  … and {self.count - len(shown)} more")
        raise DataError("\n".join(lines))
