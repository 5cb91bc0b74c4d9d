"""The run that a command works with, the one named or the latest that is finished, and its detector."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from dfad.errors import ConfigError
from dfad.scorer import Scorer, load_scorer


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


def detector(run: Path, device: str | None) -> Scorer:
    """Load the detector of a run, checkpoint or exported file onto a device; without a name a GPU if there is one.

    Raises:
        ConfigError: for a device that there is not.
    """
    try:
        return load_scorer(run, device=device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except (RuntimeError, AssertionError) as error:  # as torch says it
        raise ConfigError(f"--device {device}: {str(error).splitlines()[0].lower()}") from None
