"""Score averaging as a defence: several detectors hear the same laundered clip, and the mean of their scores decides.

What fools one detector need not fool another. Attacks are left out: each was made against one detector alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dfad.deployed import Deployed
from dfad.errors import DataError
from dfad.evaluation import EvaluationKnobs, deploy
from dfad.evaluation.thresholds import parse_rule
from dfad.robustness.conditions import CLEAN, Condition
from dfad.scores import ScoreTable


@dataclass(frozen=True)
class Member:
    """One of the detectors.

    Attributes:
        name: for people.
        validation: its scores on clean validation.
        deployed: what these chose.
        tables: `CLEAN`, and one per condition.
    """

    name: str
    validation: ScoreTable
    deployed: Deployed
    tables: Mapping[Condition, ScoreTable]


def averaged(members: Sequence[Member], options: EvaluationKnobs) -> tuple[dict[Condition, ScoreTable], Deployed]:
    """The mean score of each clip under each laundering that all members have met, and what clean validation chooses.

    Means are of log-likelihood ratios where every member has a calibrator, else of scores as they stand. Threshold and
    calibrator of the mean are chosen on its own clean validation scores.

    Args:
        members: two or more.
        options: by which threshold and calibrator are chosen.

    Raises:
        DataError: if they share no laundering, were scored on other clips, or have a threshold given by hand.
    """
    if parse_rule(options.threshold)[0] == "number":
        raise DataError(
            f"the threshold {options.threshold} was given by hand for single scores, and says nothing of their mean; "
            "judge the runs again with eval.threshold=eer"
        )
    shared = [
        condition
        for condition in members[0].tables
        if condition.family == "laundering" and all(condition in member.tables for member in members)
    ]
    if shared in ([], [CLEAN]):
        raise DataError("these runs share no laundering: score them with eval.py run=… robustness=laundering")
    calibrated = all(member.deployed.calibrator for member in members)
    validation = _mean([_scored(member, member.validation, calibrated) for member in members], "validation", members)
    tables = {
        condition: _mean(
            [_scored(member, member.tables[condition], calibrated) for member in members], str(condition), members
        )
        for condition in shared
    }
    return tables, deploy(validation, options)


def _scored(member: Member, table: ScoreTable, calibrated: bool) -> ScoreTable:
    """The table with the scores that are averaged."""
    calibrator = member.deployed.calibrator
    scores = calibrator(table.scores) if calibrated and calibrator else table.scores
    return ScoreTable(table.frame.assign(score=scores))


def _mean(tables: Sequence[ScoreTable], what: str, members: Sequence[Member]) -> ScoreTable:
    """The mean of the scores of the same clips, with all else as the first table has it."""
    first = tables[0]
    every = [first.scores]
    for table, member in zip(tables[1:], members[1:], strict=True):
        if sorted(table.frame["id"]) != sorted(first.frame["id"]):
            raise DataError(
                f"{what}: {members[0].name} has {len(first)} clips and {member.name} {len(table)}, and they are not "
                "the same: only scores of the same clips can be averaged"
            )
        every.append(table.frame.set_index("id")["score"].loc[first.frame["id"]].to_numpy(np.float64))
    return ScoreTable(first.frame.assign(score=np.mean(every, axis=0)))
