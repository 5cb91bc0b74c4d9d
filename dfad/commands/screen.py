"""What training and evaluation show on the screen."""

from __future__ import annotations

import logging
import sys

from rich.text import Text

from dfad.commands.console import CONSOLE, Bar
from dfad.training.scoring import Screen


def screen() -> Screen:
    """The screen of a command that a person runs; what it says is logged too."""
    Bar.end()  # one that an earlier job of a sweep left as it failed
    log = logging.getLogger("dfad")
    log.setLevel(logging.INFO)

    def say(line: str) -> None:
        CONSOLE.print(line)
        log.info(Text.from_markup(line).plain)

    return Screen(say, Bar, progress=sys.stdout.isatty())
