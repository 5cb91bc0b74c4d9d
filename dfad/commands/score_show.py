"""Where the rows of `dfad score` go: a table for people, lines for programs, one Parquet file, or a file that grows."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from rich.text import Text

from dfad.commands.console import CONSOLE
from dfad.commands.guard import writing
from dfad.commands.score_rows import Row, as_csv, as_json, heading
from dfad.errors import DataError, GateError

Sink = Callable[[Row], None]
_SHORTEST, _OTHERS = 24, 60  # characters that the names of files have at least, and that the other columns take
_CALLED = {"bona-fide": "bona-fide", "spoof": "spoof", "error": "not scored"}
_STYLES = {"spoof": "red", "bona-fide": "green", "error": "yellow"}


class Lines:
    """A line for each file, as soon as it is known.

    Args:
        paths: all that are to come, so that the columns fit.
    """

    def __init__(self, paths: list[str]) -> None:
        longest = max((len(printable(path)) for path in paths), default=0)
        room = max(_SHORTEST, CONSOLE.width - _OTHERS) if CONSOLE.is_terminal else longest  # nothing is cut in a file
        self.width = max(4, min(room, longest))
        CONSOLE.print(f"{'file':{self.width}}  {'verdict':9}  P(spoof)    score  duration  warnings", markup=False)

    def __call__(self, row: Row) -> None:
        """Print a row."""
        name, verdict = printable(row["path"]), row["verdict"] or "error"
        name = name if len(name) <= self.width else f"…{name[1 - self.width :]}"
        line = Text(f"{name:{self.width}}  ")
        line.append(f"{verdict:9}", style=_STYLES[verdict])
        if row["error"]:
            line.append(f"  {printable(row['error'])}")
        else:
            chance = "–" if row["p_spoof"] is None else f"{row['p_spoof']:.4f}"
            score = "–" if row["score"] is None else f"{row['score']:.3f}"
            names = ", ".join(warning.partition(":")[0] for warning in row["warnings"])
            line.append(f"  {chance:>8}  {score:>7}  {duration(row['duration_s']):>8}  {names}".rstrip())
        CONSOLE.print(line)


class Counts:
    """How many files were what.

    Args:
        limit: of P(spoof), above which a file fails the command.
    """

    def __init__(self, limit: float | None) -> None:
        self.limit, self.above, self.by = limit, 0, Counter[str]()

    def __call__(self, row: Row) -> None:
        """Count a row."""
        self.by["error" if row["error"] else row["verdict"]] += 1
        self.above += self.limit is not None and not row["error"] and row["p_spoof"] > self.limit

    def __str__(self) -> str:
        total = self.by.total()
        counts = ", ".join(f"{self.by[name]:,} {called}" for name, called in _CALLED.items())
        return f"{total:,} file{'s' * (total != 1)}: {counts}"

    def judge(self) -> None:
        """End the command with an error if files failed.

        Raises:
            GateError: if P(spoof) of a file is above the limit.
            DataError: if a file could not be scored.
        """
        wrong = f"{self.by['error']:,} of {self.by.total():,} files could not be scored; their rows say why"
        if self.above:
            also = f"\n{wrong}" if self.by["error"] else ""
            raise GateError(f"P(spoof) of {self.above:,} of {self.by.total():,} files is above {self.limit:g}{also}")
        if self.by["error"]:
            raise DataError(wrong)


@contextmanager
def json_lines() -> Iterator[Sink]:
    """Write JSON lines to stdout."""
    yield lambda row: print(as_json(row), flush=True)


@contextmanager
def csv_lines() -> Iterator[Sink]:
    """Write CSV to stdout."""
    print(heading())
    yield lambda row: print(as_csv(row), flush=True)


@contextmanager
def parquet(path: Path) -> Iterator[Sink]:
    """Write one Parquet file at the end, whole or not at all."""
    rows: list[Row] = []
    yield rows.append
    with writing(path):
        part = path.with_name(path.name + ".part")
        pd.DataFrame(rows).to_parquet(part, index=False)
        part.replace(path)
    print(f"{len(rows)} rows in {path}", file=sys.stderr)


def printable(text: str) -> str:
    r"""A text of a stranger's as a terminal can show it: on one line, without control codes.

    >>> printable("a\nb\x1b[2J")
    'a\\nb\\x1b[2J'
    """
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def duration(seconds: float) -> str:
    """Seconds as a person reads them.

    >>> duration(4.56), duration(75.2), duration(7325.0)
    ('4.6 s', '1:15', '2:02:05')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
