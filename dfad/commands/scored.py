"""Scores as a user names them: a run, one of its evaluations, or a file of any system."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from dfad.deployed import Deployed
from dfad.errors import ConfigError, RunError
from dfad.score_files import read_scores
from dfad.scores import ScoreTable

Polarity = Literal["bona-fide", "spoof"]


@dataclass(frozen=True)
class Scored:
    """A table of scores, and what is known of it.

    Attributes:
        name: short, for people.
        table: of the scores.
        validation: scores of the same detector on validation, if there are any.
        deployed: what the run chose, if it is one.
        options: that a run was judged with.
    """

    name: str
    table: ScoreTable
    validation: ScoreTable | None = None
    deployed: Deployed | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def scored(
    place: Path,
    *,
    labels: Path | None = None,
    polarity: Polarity = "bona-fide",
    validation: Path | None = None,
) -> Scored:
    """Read scores.

    Args:
        place: a finished run (its test clips), a folder of its `evals/`, or a file.
        labels: of the clips, for a file that lacks them.
        polarity: the class for which the scores of a file are high.
        validation: file with validation scores of the same system, in the same polarity.

    Raises:
        ConfigError: for an option that a folder cannot have.
        RunError: if a folder is neither.
        DataError: if scores are damaged.
    """
    if not place.is_dir():
        table = read_scores(place, labels=labels, polarity=polarity)
        return Scored(place.stem, table, read_scores(validation, polarity=polarity) if validation else None)
    if labels or validation or polarity != "bona-fide":
        raise ConfigError(f"{place} is a folder of dfad: --labels, --validation and --polarity are for score files")
    for scores, run in ((place / "scores" / "test.csv", place), (place / "scores.csv", place.parent.parent)):
        if scores.is_file():
            name = place.name if run == place else f"{run.name}/{place.name}"
            chosen = run / "scores" / "val.csv"
            same = chosen.is_file() and (run == place or _of_best(place))
            if (beside := place / "validation" / "scores.csv").is_file():  # of an imported network
                chosen, same = beside, True
            return Scored(
                name,
                ScoreTable.read(scores),
                ScoreTable.read(chosen) if same else None,
                Deployed.of_run(place),
                json.loads((place / "metrics.json").read_text())["options"],
            )
    raise RunError(f"{place} holds no scores: give a finished run, a folder of its evals/, or a file of scores")


def _of_best(place: Path) -> bool:
    """Whether an evaluation is of the checkpoint that the run's validation scores are of."""
    try:
        checkpoint = Path(yaml.safe_load((place / "config.yaml").read_text())["checkpoint"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        raise RunError(
            f"{place / 'config.yaml'} is damaged or missing; type the command of the evaluation again"
        ) from None
    return checkpoint.parts[-2:] == ("checkpoints", "best.ckpt")
