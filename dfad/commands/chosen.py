"""The run that a command works with, the one named or the latest that is finished, and its detector."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfad.errors import ConfigError
from dfad.scoring.options import ScoringKnobs

if TYPE_CHECKING:
    from dfad.scorer import Scorer

DEMO = "Trained on the demo corpus of synthetic voices: what it says of a real recording proves nothing."


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


def detector(run: Path, device: str | None, prior: float | None = None) -> Scorer:
    """Load the detector of a run, checkpoint or exported file onto a device; without a name a GPU if there is one.

    Args:
        run: that is loaded.
        device: as torch calls it.
        prior: share of spoof that P(spoof) expects, instead of the run's.

    Raises:
        ConfigError: for a device that there is not.
    """
    import torch  # here, as it takes seconds, and --help needs none of it

    from dfad.scorer import load_scorer

    try:
        gpu = torch.cuda.is_available() and run.suffix != ".onnx"  # graphs are run on the CPU
        own = f"cuda:{beside()[0] % torch.cuda.device_count()}" if gpu else "cpu"  # of several processes on a host
        scorer = load_scorer(run, device=device or own)
    except (RuntimeError, AssertionError) as error:  # as torch says it
        raise ConfigError(f"--device {device}: {str(error).splitlines()[0].lower()}") from None
    if prior is not None:
        scorer.deployed = scorer.deployed.model_copy(update={"prior": prior})
    return scorer


def beside() -> tuple[int, int]:
    """Which of the processes of this host this is, and how many a launcher such as torchrun or srun has started."""
    for local, count in (("LOCAL_RANK", "LOCAL_WORLD_SIZE"), ("SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE")):
        if local in os.environ and count in os.environ:
            return int(os.environ[local]), int(os.environ[count].split("(")[0].split(",")[0])
    return 0, 1


def scored_by(run: Path, scorer: Scorer, options: ScoringKnobs, windows: bool) -> str:
    """The run and a hash of all that makes its scores, so that no file holds two kinds."""
    with scorer.path.open("rb") as file:
        weights = hashlib.file_digest(file, "sha256").hexdigest()
    how = [weights, scorer.deployed.plain(), options.plain(), windows]
    return f"{run.resolve().name}/{hashlib.sha256(json.dumps(how, sort_keys=True).encode()).hexdigest()[:8]}"


def of_demo(run: Path) -> bool:
    """Whether a run was trained on the demo corpus."""
    from dfad.corpora.demo import NOTE  # here, as torch comes with it

    return NOTE in results_of(run).get("notes", [])


def results_of(run: Path) -> dict[str, Any]:
    """The results of a finished run; empty if there are none."""
    try:
        results = json.loads((run / "metrics.json").read_text())
    except (OSError, ValueError):
        return {}
    return results if isinstance(results, dict) else {}
