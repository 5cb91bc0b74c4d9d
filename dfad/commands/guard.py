"""Doing a command's work: whatever goes wrong becomes one clear line and an exit code."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from dfad.errors import STOPPED as CODE
from dfad.errors import ConfigError, DfadError, StoppedAt, stop_behind

STOPPED = "the same command goes on after the last whole epoch or checkpoint, or condition of a suite"
_TRACEBACK = "DFAD_TRACEBACK"  # environment variable: 1 shows where an error came from


@dataclass(frozen=True)
class Failure:
    """What went wrong, once it has been told."""

    exit_code: int
    text: str


def guarded(work: Callable[[], object], stopped: str = STOPPED) -> int:
    """Do the work, print what a user can act on without a traceback, and give the exit code.

    SIGTERM and SIGUSR1 end it at once, as Ctrl-C does: files are whole or not there at all. A training takes a moment
    to write down where it is.

    Args:
        work: to be done.
        stopped: what to say if a signal ends it.
    """
    before = {number: signal.signal(number, _terminate) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        failure = attempt(work)
    except KeyboardInterrupt:
        return _stopped(130, stopped)
    except SystemExit as leave:
        if isinstance(stop_behind(leave), KeyboardInterrupt):  # Lightning and Typer turn Ctrl-C into a plain exit
            return _stopped(130, stopped)
        if leave.code == CODE:
            return _stopped(CODE, leave.where if isinstance(leave, StoppedAt) else stopped)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
    return failure.exit_code if failure else 0


def attempt(work: Callable[[], object]) -> Failure | None:
    """Do the work, and tell an error; what stops the whole command passes through."""
    try:
        work()
    except DfadError as error:
        if os.environ.get(_TRACEBACK) == "1":
            traceback.print_exc()
        _tell("[bold red]error[/]", str(error))
        return Failure(error.exit_code, str(error))
    except Exception as error:  # a fault of ours: all that is known of it, for a report
        if stop := stop_behind(error):
            raise stop from None
        traceback.print_exc()
        return Failure(1, f"{type(error).__name__}: {error}")
    return None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Make the folder of a file that a user named, and say in a line if the file cannot be written.

    Raises:
        ConfigError: with the reason.
    """
    if path.is_dir():
        raise ConfigError(f"cannot write {path}: it is a folder; give a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None


def _terminate(*_: object) -> NoReturn:
    raise SystemExit(CODE)


def _stopped(code: int, text: str) -> int:
    _tell("[yellow]stopped[/]", text)
    return code


def _tell(what: str, text: str) -> None:
    console = Console(stderr=True, highlight=False, emoji=False)  # speaker:x: is no picture of an x
    console.print(what, end=" ")
    console.print(text, markup=False, soft_wrap=True)
