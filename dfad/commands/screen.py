"""What the commands show on the screen: progress, lines and the table of results."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any, ClassVar

import rich
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from dfad.download import readable
from dfad.report.board import METRICS, metric_cell
from dfad.training.scoring import Screen
from dfad.training.trainer import CONSOLE_OPTIONS

ROWS = {  # key in metrics.json → what people read
    "eer": "EER",
    "auroc": "AUROC",
    "min_dcf": "minDCF",
    "act_dcf": "actDCF",
    "cllr": "Cllr, bits",
    "min_cllr": "min Cllr, bits",
    "accuracy": "accuracy at threshold 0",
    "accuracy_at_val": "accuracy at the validation threshold",
}
GROUPS = {"eer/seen": "EER, attacks seen in training", "eer/unseen": "EER, attacks not seen in training"}
SCREEN_ATTACKS = 8  # more of them stand in the report and in metrics.json
PERCENT = ("eer", "accuracy")
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


def percent(value: float | None) -> str:
    """A share as people read it.

    >>> percent(0.0625)
    '6.25 %'
    """
    return "n/a" if value is None else f"{100 * value:.2f} %"


def shown(key: str, value: float | None) -> str:
    """One metric as people read it."""
    if key.split("/")[0].removesuffix("_at_val") in PERCENT:
        return percent(value)
    return "n/a" if value is None else f"{value:.4f}"


def result_rows(
    values: Mapping[str, float | None], splits: tuple[str, ...], *, most_attacks: int = 1000
) -> list[tuple[str, ...]]:
    """The table of results: a row per metric, a column per split; attacks only if they are no more than so many."""
    rows = [
        (title, *(shown(key, values[f"{split}/{key}"]) if f"{split}/{key}" in values else "" for split in splits))
        for key, title in ROWS.items()
        if any(f"{split}/{key}" in values for split in splits)
    ]
    slices = {key.split("/", 1)[1] for key in values if "/eer/" in key}
    groups = [name for name in GROUPS if name in slices]
    attacks = sorted(slices - set(groups))
    for name in [*groups, *(attacks if len(attacks) <= most_attacks else [])]:
        title = GROUPS.get(name) or f"EER, {escape(name.removeprefix('eer/'))}"
        rows.append((title, *(shown(name, values[f"{s}/{name}"]) if f"{s}/{name}" in values else "" for s in splits)))
    return rows


def result_line(results: Mapping[str, Any]) -> str:
    """The few results by which the jobs of a sweep are compared."""
    values: Mapping[str, float | None] = results["values"]
    return "  ".join(f"{key} {metric_cell(value)}" for key in METRICS if (value := values.get(key)) is not None)


def show_results(results: Mapping[str, Any], splits: tuple[str, ...]) -> None:
    """Print the table of results and its notes."""
    table = Table(title_justify="left")
    table.add_column("")
    for split in splits:
        table.add_column(split, justify="right")
    for row in result_rows(results["values"], splits, most_attacks=SCREEN_ATTACKS):
        table.add_row(*row)
    CONSOLE.print(table)
    attacks = {key.split("/", 1)[1] for key in results["values"] if "/eer/" in key} - set(GROUPS)
    if len(attacks) > SCREEN_ATTACKS:
        CONSOLE.print(f"{len(attacks)} attacks: the EER of each stands in metrics.json and in a run's report")
    for note in results["notes"]:
        CONSOLE.print(f"[yellow]note[/] {escape(note)}")


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
