"""Scores as a user names them: a run, one of its evaluations, or a file of any system."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dfad.deployed import Deployed
from dfad.errors import RunError
from dfad.scores import ScoreTable


@dataclass(frozen=True)
class Scored:
    """A table of scores, and what is known of it.

    Attributes:
        name: short, for people.
        table: of the scores.
        deployed: threshold and calibrator; None if nothing chose any.
        folder: of the run or evaluation; None for a file.
    """

    name: str
    table: ScoreTable
    deployed: Deployed | None
    folder: Path | None


def scored_folder(folder: Path) -> Scored:
    """The test scores of a finished run, or those of an evaluation in its `evals/`.

    Raises:
        RunError: if the folder is neither.
        DataError: if the scores are damaged.
    """
    for scores in (folder / "scores" / "test.csv", folder / "scores.csv"):
        if scores.is_file():
            name = folder.name if scores.parent != folder else f"{folder.parents[1].name}/{folder.name}"
            return Scored(name, ScoreTable.read(scores), Deployed.of_run(folder), folder)
    raise RunError(f"{folder} holds no scores: give a finished run, a folder of its evals/, or a file of scores")
