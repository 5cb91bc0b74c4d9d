"""What the commands show on the screen: progress, lines and the table of results."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import rich
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from dfad.download import readable
from dfad.report import tables
from dfad.report.board import METRICS, metric_cell
from dfad.training.scoring import Screen
from dfad.training.trainer import CONSOLE_OPTIONS

SCREEN_SLICES = 8  # more of them stand in the report and in metrics.json
QUICK_S = 1.0  # work that ends before that shows no bar


rich.reconfigure(**CONSOLE_OPTIONS)
CONSOLE = rich.get_console()  # the one that Lightning's progress bar uses too, so that lines go above the bar


def screen() -> Screen:
    """The screen of a command that a person runs; what it says is logged too."""
    _Bar.end()  # one that an earlier job of a sweep left as it failed
    log = logging.getLogger("dfad")
    log.setLevel(logging.INFO)

    def say(line: str) -> None:
        CONSOLE.print(line)
        log.info(Text.from_markup(line).plain)

    return Screen(say, _Bar, progress=sys.stdout.isatty())


def result_line(results: Mapping[str, Any]) -> str:
    """The few results by which the jobs of a sweep are compared."""
    values: Mapping[str, float | None] = results["values"]
    return "  ".join(f"{key} {metric_cell(value)}" for key in METRICS if (value := values.get(key)) is not None)


def show_results(results: Mapping[str, Any], splits: tuple[str, ...]) -> None:
    """Print metrics with intervals, the three thresholds, the breakdowns of the last split, and the notes."""
    split = splits[-1]
    rows = tables.metric_rows(results, splits)
    told = any(row[-1] for row in rows)
    _print(("", *splits, "95 % interval" if told else ""), rows if told else [row[:-1] for row in rows])
    CONSOLE.print(f"decisions on {split}")
    _print(*tables.threshold_table(results, split))
    asked = results["options"]["by"] or ["attack"]
    for column, parts in results["breakdowns"].get(split, {}).items():
        if column not in asked:
            continue
        CONSOLE.print(f"{split} by {escape(column)}, the worst first")
        _print(tables.BREAKDOWN_HEADER, tables.breakdown_rows(parts[:SCREEN_SLICES]))
        if len(parts) > SCREEN_SLICES:
            CONSOLE.print(f"… and {len(parts) - SCREEN_SLICES} more, in the report and in metrics.json")
    if about := tables.drawn(results, split):
        CONSOLE.print(about)
    for note in results["notes"]:
        CONSOLE.print(f"[yellow]note[/] {escape(note)}")


def _print(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for at, name in enumerate(header[: len(rows[0])] if rows else header):
        table.add_column(escape(name), justify="right" if at else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    CONSOLE.print(table)


class _Bar:
    """Progress of one task: a bar once the work has taken a moment, gone when it is done; in a file, one line."""

    on: ClassVar[Progress | None] = None  # a screen has one at a time

    def __init__(self, name: str, unit: str = "clips") -> None:
        self.name, self.unit, self.began, self.told = name, unit, time.monotonic(), False
        self.bar: Progress | None = None

    @classmethod
    def end(cls) -> None:
        """Take away the bar that is on."""
        if cls.on:
            cls.on.stop()
        cls.on = None

    def __call__(self, done: int, total: int) -> None:
        if not self.told and done < total and time.monotonic() - self.began >= QUICK_S:
            self.told = True
            if CONSOLE.is_terminal:
                count = DownloadColumn() if self.unit == "bytes" else MofNCompleteColumn()
                self.bar = Progress(
                    TextColumn(self.name), BarColumn(), count, TimeRemainingColumn(), console=CONSOLE, transient=True
                )
                self.bar.add_task(self.name)
                self.bar.start()
                _Bar.on = self.bar
            else:
                size = readable(total) if self.unit == "bytes" else f"{total} {self.unit}"
                CONSOLE.print(f"{self.name}: {size}")
        if self.bar:
            self.bar.update(self.bar.task_ids[0], completed=done, total=total)
            if done >= total:
                _Bar.end()
