"""The errors a user can meet: each says what was expected, what was found and what to type next.

Commands print the message without a traceback and exit with the class's `exit_code`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import TypeVar

_Result = TypeVar("_Result")
MOST_LISTED = 20  # words to choose from
STOPPED = 143  # exit code of a process that SIGTERM or SIGUSR1 has ended
IN_RUN = "in run "  # begins the note on an error that names the folder of the run in which it happened


class DfadError(Exception):
    """An error that a user can act on."""

    exit_code = 1


class ConfigError(DfadError):
    """An option, an override or a command line that cannot be used."""

    exit_code = 2


class RunError(DfadError):
    """A run folder or a checkpoint that cannot be used."""

    exit_code = 2


class BusyError(RunError):
    """A run folder, or a file of scores, in which another process works."""


class DataError(DfadError):
    """A corpus, a manifest, a clip or a score file that cannot be used."""

    exit_code = 3


class AudioError(DataError):
    """One clip that cannot be decoded, or should not be."""


class MetricError(DataError):
    """Scores for which a metric is not defined: one class, a NaN, nothing at all."""


class GateError(DfadError):
    """What was asked to be no more than a limit is more."""

    exit_code = 4


class StoppedAt(SystemExit):
    """A signal's end that took a moment to write down how far the work is."""

    def __init__(self, where: str) -> None:
        super().__init__(STOPPED)
        self.where = where


def did_you_mean(word: str, known: Iterable[str], *, prefix: str = "") -> str:
    """Name the known word nearest to `word`, or else list them all; the prefix is put before each.

    >>> did_you_mean("chanels", ["channels", "kernel_size"])
    "did you mean 'channels'?"
    >>> did_you_mean("x", ["b", "a"])
    'choose from: a, b'
    """
    words = sorted(known)
    close = get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{prefix}{close[0]}'?"
    more = f", … ({len(words) - MOST_LISTED} more)" if len(words) > MOST_LISTED else ""
    return f"choose from: {', '.join(prefix + word for word in words[:MOST_LISTED])}{more}"


def stop_behind(error: BaseException) -> BaseException | None:
    """The exception of a signal that ends the process, where another took its place; None if there is none.

    Loader processes that got the same signal make PyTorch raise an error of its own while ours is on its way.
    """
    found: BaseException | None = error
    while found and not (isinstance(found, KeyboardInterrupt) or getattr(found, "code", None) == STOPPED):
        found = found.__context__
    return found


def when_free(work: Callable[[], _Result], *, every_s: float = 1.0) -> _Result:
    """Do work in a run folder, after any other process that works in it: that may be doing the same."""
    while True:
        try:
            return work()
        except BusyError:
            time.sleep(every_s)
