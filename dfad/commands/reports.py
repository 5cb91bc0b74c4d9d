"""Reports of runs and of their evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dfad.commands.robust_sounds import HEARD, weak_sounds
from dfad.commands.sounds import worst_sounds
from dfad.deployed import Deployed
from dfad.frontends import FrontendKnobs
from dfad.report.evaluation import Judged
from dfad.report.inputs import Example
from dfad.report.robustness import Robust
from dfad.report.run import write_report
from dfad.robustness.tables import FOLDER, Tables
from dfad.roots import Root
from dfad.scores import ScoreTable
from dfad.training.runs import Run


def report_of(
    place: Run,
    split: str,
    scores: str,
    *,
    root: Root,
    frontend: FrontendKnobs,
    validation: Path | None = None,
    examples: Sequence[Example] | None = None,
    robust: Mapping[str, Any] | None = None,
) -> Path:
    """Write the report of a run, or of one of its evaluations.

    Args:
        place: its folder, with results in it.
        split: that was scored.
        scores: file in the folder.
        root: folder of the clips.
        frontend: what the detector hears through.
        validation: scores of validation, if there are any.
        examples: clips on their way into the network, of a run.
        robust: what `robustness.json` holds, of an evaluation that has a suite.
    """
    results, table = place.read_json("metrics.json"), ScoreTable.read(place.folder / scores)
    deployed = Deployed.of_run(place.folder) or Deployed()
    most = results["options"]["worst"]
    misses, false_alarms = worst_sounds(table, deployed, root, frontend.sample_rate, crop_s=frontend.crop_s, most=most)
    judged = Judged(
        results,
        split,
        table,
        deployed,
        ScoreTable.read(validation) if validation and validation.is_file() else None,
        misses,
        false_alarms,
    )
    suite = None
    if robust:
        seeds = Tables(place.folder / FOLDER).seeds
        suite = Robust(robust, weak_sounds(robust, root, frontend, seeds, most=min(most, HEARD)))
    return write_report(place.folder, judged, examples=examples, robust=suite)
