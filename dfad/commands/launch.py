"""A command that torchrun or srun has started several times: rank 0 does it, the others follow."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from dfad.commands.guard import guarded

_SIGNS = ("RANK", "SLURM_STEP_NUM_TASKS")  # a process without either was started by nobody's launcher


def launched(work: Callable[[], NoReturn]) -> NoReturn:
    """Do the work of a command, which ends the process, unless this is another rank.

    Args:
        work: what rank 0, or a process that was started alone, does.
    """
    if not any(name in os.environ for name in _SIGNS):
        work()
    from dfad.training.meeting import Meeting, follow, meet

    found: list[Meeting] = []
    code = guarded(lambda: found.extend(filter(None, [meet()])))
    if code:
        sys.exit(code)
    if not found:
        work()
    (here,) = found
    if here.place.number:
        code = follow(here)
        sys.stdout.flush()
        os._exit(code)  # no waiting for rank 0 to take leave of the process group
    code = 1
    try:
        work()
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else int(bool(leave.code))
        raise
    finally:
        here.end(code)
