"""The stored suite of an evaluation: scored once, condition by condition, and judged as often as one likes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.markup import escape

from dfad.augment import AugmentKnobs
from dfad.clips import Manifest
from dfad.deployed import Deployed
from dfad.evaluation import EvaluationKnobs
from dfad.robustness.conditions import CLEAN, Condition
from dfad.robustness.options import RobustnessKnobs
from dfad.robustness.results import results_of
from dfad.robustness.tables import FOLDER, Tables
from dfad.robustness.trained_by import seen_in
from dfad.scores import ScoreTable
from dfad.training.runs import Run
from dfad.training.scoring import Screen
from dfad.training.suite import chosen_rows, lacking

JSON = "robustness.json"
FORMAT = 1  # of the perturbations: raised when one of them changes, so that tables made before are made again


@dataclass(frozen=True)
class Robust:
    """What a suite found.

    Attributes:
        results: as `robustness.json` holds them; None without a suite.
        new: whether they were judged now.
    """

    results: dict[str, Any] | None = None
    new: bool = False


@dataclass(frozen=True)
class Suite:
    """The suite of an evaluation.

    Attributes:
        place: folder of the evaluation.
        knobs: what is asked for.
        usable: gives the clips that can be scored.
        score: scores them under conditions, and gives each table to a function as soon as it is whole.
        screen: where it tells how it goes.
    """

    place: Run
    knobs: RobustnessKnobs
    usable: Callable[[], Manifest]
    score: Callable[[Sequence[Condition], Callable[[Condition, ScoreTable], None]], None]
    screen: Screen

    @property
    def tables(self) -> Tables:
        """Its score tables."""
        return Tables(self.place.folder / FOLDER)

    def judged(self, options: EvaluationKnobs, deployed: Deployed, augment: AugmentKnobs | None) -> Robust:
        """Score what is asked for and not stored yet, and judge it by what clean validation chose.

        If no suite is asked for, the last one that was is judged again where other options ask for it.

        Args:
            options: of the evaluation.
            deployed: threshold and calibrator.
            augment: what the detector was trained with; None if that is not known.
        """
        stored = self.place.read_json(JSON)
        if conditions := self.knobs.conditions():
            conditions, skipped = self._scored(conditions)
        elif stored:
            conditions, skipped = _of(stored), stored["skipped"]
        else:
            return Robust()
        by = {"eval": options.plain(), "deployed": deployed.plain(), "conditions": [one.key for one in conditions]}
        if stored and (stored.get("by"), stored.get("skipped")) == (by, skipped):
            return Robust(stored)
        tables = self.tables.read(conditions)
        results = results_of(
            tables,
            deployed,
            seen=seen_in(augment) if augment else None,
            skipped=skipped,
            about={"by": by},
            notes=self._notes(tables[CLEAN]),
            cluster=options.cluster,
            resamples=options.resamples,
            worst=options.worst,
            progress=self.screen.watch("judging conditions", "conditions"),
        )
        self.place.write_json(JSON, results)
        return Robust(results, new=True)

    def _scored(self, conditions: Sequence[Condition]) -> tuple[tuple[Condition, ...], dict[str, str]]:
        """Score those conditions that have no table yet.

        Returns:
            The conditions that can be done here, and the names of the others with reasons.
        """
        usable, say = self.usable(), self.screen.say
        rows = chosen_rows(usable, self.knobs.clips)
        skipped = lacking(conditions, usable, rows)
        for name, reason in skipped.items():
            say(f"left out {name}: {escape(reason)}")
        able = tuple(condition for condition in conditions if condition.name not in skipped)
        about = {"format": FORMAT, "seed": self.knobs.seed, "clips": self.knobs.clips}
        if gone := self.tables.begin(dict.fromkeys(able, about)):
            say(f"{len(gone)} conditions were scored with another seed or other clips, and are scored again")
        if todo := self.tables.lacking(able):
            if len(todo) < len(able):
                say(f"{len(able) - len(todo)} of {len(able)} conditions are scored already")
            self.score(todo, self.tables.write)
        return able, skipped

    def _notes(self, clean: ScoreTable) -> list[str]:
        """What is to be said where clips that nothing was done to do not score as they did."""
        before = ScoreTable.read(self.place.folder / "scores.csv").frame.set_index("id")["score"]
        now = clean.frame.set_index("id")["score"]
        apart = np.abs(now - before.reindex(now.index))
        if not (apart > 0).any():
            return []
        return [
            f"{int((apart > 0).sum())} of {len(now)} clips score otherwise than they did before the suite, by "
            f"{apart.max():.2g} at most: rounding, if other clips were in a batch; else their audio has changed"
        ]


def _of(stored: dict[str, Any]) -> tuple[Condition, ...]:
    """The conditions of stored results."""
    names = ("family", "name", "strength", "unit", "harder")
    return (CLEAN, *(Condition(**{name: one[name] for name in names}) for one in stored["conditions"]))
