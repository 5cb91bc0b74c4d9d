"""Tables of runs on the screen: as many columns as fit, and all of them where nobody's window is too narrow."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dfad.report.board import METRICS, differing, ordered, read_board, text_table
from dfad.report.over import over_seeds

_GAP = 2  # between columns
_MOST_OPTIONS = 6


def print_table(frame: pd.DataFrame, columns: Sequence[str], options: Sequence[str] = ()) -> None:
    """Print columns of a board; those among the options that find no room are left out and named.

    Args:
        frame: of `dfad.report.board`.
        columns: in order.
        options: which of them can be spared, the last ones first.
    """
    console = Console(highlight=False)
    width = _GAP + (console.width if console.is_terminal else 120)  # the last column needs none
    text = text_table(frame, columns)
    need = {name: max([len(name), *text[name].map(len)]) + _GAP for name in columns}
    spared = list(options)
    kept = set(columns) - set(spared[_MOST_OPTIONS:])
    for name in reversed(spared[:_MOST_OPTIONS]):
        if sum(need[name] for name in kept) > width:
            kept.discard(name)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    shown = [name for name in columns if name in kept]
    for name in shown:
        numbers = "/" in name or name in ("seeds", "seed", "epochs")
        table.add_column(name, justify="right" if numbers else "left", no_wrap=not console.is_terminal, overflow="fold")
    for row in text[shown].itertuples(index=False):
        table.add_row(*(Text(value) for value in row))
    if not console.is_terminal:
        console.width = max(width, sum(need[name] for name in shown))  # nothing is cut in a file
    console.print(table)
    if left := [name for name in spared if name not in kept]:
        console.print(f"they differ in {', '.join(left)} too: --columns shows what you name", markup=False)


def export(frame: pd.DataFrame, as_json: bool) -> None:
    """Write to stdout what a program reads: NaN as null or an empty cell, nothing rounded."""
    if as_json:
        rows = [
            {str(key): None if value != value else value for key, value in row.items()}
            for row in frame.to_dict("records")
        ]
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        print(frame.to_csv(index=False, lineterminator="\n"), end="")


def note(text: str) -> None:
    """Say to stderr what a reader of the table should know."""
    print(f"note {text}", file=sys.stderr)


def show_sweep(jobs: Sequence[Mapping[str, Any]], name: str) -> None:
    """Print a row per configuration of a sweep, the best by validation first, and then the jobs that failed."""
    folders = dict.fromkeys(Path(job["run"]) for job in jobs if job["run"] and not job["exit_code"])
    failed = [job for job in jobs if job["exit_code"]]
    console = Console(highlight=False, soft_wrap=True, emoji=False)
    console.print(f"\n{name}: {len(jobs) - len(failed)} of {len(jobs)} jobs done", markup=False)
    if folders:
        table = over_seeds(read_board(folders))
        swept = dict.fromkeys(word.split("=")[0] for job in jobs for word in job["overrides"])
        options = [key for key in swept if key != "seed"]
        if not set(options) <= set(table):  # a group that sets several options has no column of its own
            options = differing(table)
        print_table(ordered(table, METRICS[0]), [*options, "seeds", *METRICS], options)
    for job in failed:
        reason = str(job["error"]).split("\n")[0]
        console.print(f"failed {' '.join(job['overrides'])}: {reason}", markup=False)
