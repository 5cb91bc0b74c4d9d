"""The run that a command works with: the one named, or the latest that is finished."""

from __future__ import annotations

import sys
from pathlib import Path

from dfad.errors import ConfigError


def chosen(run: Path | None, folder: Path = Path("runs")) -> Path:
    """The run, checkpoint or exported file that was named; without a name the latest finished run, which is told.

    Raises:
        ConfigError: if none was named and none is finished.
    """
    if run is not None:
        return run
    finished = [results.parent for results in folder.glob("*/metrics.json")]
    if not finished:
        raise ConfigError(
            f"no finished run in {folder}; `dfad train` makes one on a corpus of its own in two minutes, "
            "`dfad import aasist` brings a published detector, --run names one that is elsewhere"
        )
    latest = max(finished, key=lambda each: (each / "metrics.json").stat().st_mtime_ns)
    print(f"run {latest} (the latest that is finished; --run names another)", file=sys.stderr)
    return latest
