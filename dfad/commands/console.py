"""The console of a person who runs a command, and progress of work that takes a while."""

from __future__ import annotations

import os
import time
from typing import ClassVar

import rich
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dfad.download import readable
from dfad.training.quiet import CONSOLE_OPTIONS

QUICK_S = 1.0  # work that ends before that shows no bar

rich.reconfigure(**CONSOLE_OPTIONS)
CONSOLE = rich.get_console()  # the one that Lightning's progress bar uses too, so that lines go above the bar
if not CONSOLE.is_terminal and "COLUMNS" not in os.environ:
    CONSOLE.width = 120  # a file is no narrow window: names are not folded in it


class Bar:
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
        """Show how far the work is."""
        if not self.told and done < total and time.monotonic() - self.began >= QUICK_S:
            self.told = True
            if CONSOLE.is_terminal:
                count = DownloadColumn() if self.unit == "bytes" else MofNCompleteColumn()
                self.bar = Progress(
                    *(TextColumn("{task.description}", markup=False), BarColumn(), count, TimeRemainingColumn()),
                    console=CONSOLE,
                    transient=True,
                )
                self.bar.add_task(self.name)
                self.bar.start()
                Bar.on = self.bar
            else:
                size = readable(total) if self.unit == "bytes" else f"{total} {self.unit}"
                CONSOLE.print(f"{self.name}: {size}", markup=False)
        if self.bar:
            self.bar.update(self.bar.task_ids[0], completed=done, total=total)
            if done >= total:
                Bar.end()
