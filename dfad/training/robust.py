"""The stored suite of an evaluation: scored once, condition by condition, and judged as often as one likes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from rich.markup import escape

from dfad.augment import AugmentKnobs
from dfad.clips import Manifest
from dfad.deployed import Deployed
from dfad.evaluation import EvaluationKnobs
from dfad.robustness.adversaries import ADVERSARIES
from dfad.robustness.conditions import CLEAN, Condition
from dfad.robustness.options import RobustnessKnobs
from dfad.robustness.results import results_of
from dfad.robustness.tables import FOLDER, Tables
from dfad.robustness.trained_by import seen_in
from dfad.scorer import Checkpoint, best_checkpoint
from dfad.scores import ScoreTable
from dfad.training.perturbing import lacking
from dfad.training.runs import Run
from dfad.training.scoring import Screen
from dfad.training.suite import chosen_rows

JSON, CHECKS = "robustness.json", "checks.json"
FORMAT = 1  # of the perturbations: raised when one of them changes, so that tables made before are made again


def require(knobs: RobustnessKnobs) -> None:
    """Refuse, before any work, a suite that there cannot be.

    Raises:
        ConfigError: for perturbations or strengths that there are not.
        RunError: for a surrogate that is no detector.
    """
    knobs.conditions()
    if knobs.surrogate is not None:
        Checkpoint.read(_checkpoint_of(knobs.surrogate))


def _checkpoint_of(run: Path) -> Path:
    return best_checkpoint(run) if run.is_dir() else run


@dataclass(frozen=True)
class Robust:
    """What a suite found.

    Attributes:
        results: as `robustness.json` holds them; None without a suite.
        new: whether they were judged now.
    """

    results: dict[str, Any] | None = None
    new: bool = False


class Task(Protocol):
    """The work of a suite, for one detector and its clips."""

    @property
    def threshold(self) -> float:
        """The deployed one."""

    def usable(self) -> Manifest:
        """The clips that can be scored."""

    def score_under(self, conditions: Sequence[Condition], store: Callable[[Condition, ScoreTable], None]) -> None:
        """Score the clips under conditions, and give each table away as soon as it is whole."""

    def check_gradients(self) -> list[dict[str, Any]]:
        """Check whether the detector's gradients are masked."""


@dataclass(frozen=True)
class Suite:
    """The suite of an evaluation.

    Attributes:
        place: folder of the evaluation.
        knobs: what is asked for.
        task: does the work.
        screen: where it tells how it goes.
    """

    place: Run
    knobs: RobustnessKnobs
    task: Task
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
        stored = self._read(JSON)
        if conditions := self.knobs.conditions():
            conditions, skipped = self._scored(conditions)
            suite, checks = self.knobs.plain(), self._checks(conditions)
        elif stored and not self.tables.lacking(_of(stored)):
            conditions, skipped = _of(stored), stored["skipped"]
            suite, checks = stored["by"]["suite"], stored["checks"]
        else:
            return Robust()
        keys = [condition.key for condition in conditions]
        by = {"suite": suite, "eval": options.plain(), "deployed": deployed.plain(), "conditions": keys}
        if stored and (stored.get("by"), stored.get("skipped")) == (by, skipped):
            return Robust(stored)
        tables = self.tables.read(conditions)
        results = results_of(
            tables,
            deployed,
            seen=seen_in(augment) if augment else None,
            skipped=skipped,
            checks=checks,
            about={"by": by},
            notes=self._notes(tables[CLEAN]),
            cluster=options.cluster,
            resamples=options.resamples,
            worst=options.worst,
            progress=self.screen.watch("judging conditions", "resamples"),
        )
        (self.place.folder / "report.html").unlink(missing_ok=True)  # it shows others
        self.place.write_json(JSON, results)
        return Robust(results, new=True)

    def _read(self, name: str) -> Any:
        """What is stored; None where there is nothing, or it is damaged and made anew."""
        try:
            return self.place.read_json(name)
        except ValueError:
            return None

    def _scored(self, conditions: Sequence[Condition]) -> tuple[tuple[Condition, ...], dict[str, str]]:
        """Score those conditions that have no table yet.

        Returns:
            The conditions that can be done here, and the names of the others with reasons.
        """
        usable, say = self.task.usable(), self.screen.say
        rows = chosen_rows(usable, self.knobs.clips)
        skipped = lacking(conditions, self.knobs, usable, rows)
        for name, reason in skipped.items():
            say(f"left out {name}: {escape(reason)}")
        able = tuple(condition for condition in conditions if condition.name not in skipped)
        if gone := self.tables.begin({condition: self._about(condition) for condition in able}):
            say(f"{len(gone)} conditions were scored with other options, and are scored again")
        if todo := self.tables.lacking(able):
            if len(todo) < len(able):
                say(f"{len(able) - len(todo)} of {len(able)} conditions are scored already")
            self.task.score_under(todo, self.tables.write)
        return able, skipped

    @property
    def _shared(self) -> dict[str, Any]:
        return {"format": FORMAT, "seed": self.knobs.seed, "clips": self.knobs.clips}

    def _about(self, condition: Condition) -> dict[str, Any]:
        """What the table of a condition hangs on beside its name."""
        about = self._shared
        if condition.family == "adversarial":
            about["threshold"] = self.task.threshold
            if ADVERSARIES[condition.name].needs == "surrogate":
                about["surrogate"] = self._surrogate
        return about

    @cached_property
    def _surrogate(self) -> str | None:
        """A hash of the other detector."""
        path = self.knobs.surrogate
        return None if path is None else hashlib.sha256(_checkpoint_of(path).read_bytes()).hexdigest()

    def _checks(self, conditions: Sequence[Condition]) -> list[dict[str, Any]]:
        """What is found of masked gradients, from the file if it is of the same suite; nothing without adversaries."""
        if all(condition.family != "adversarial" for condition in conditions):
            return []
        about = {**self._shared, "threshold": self.task.threshold, "surrogate": self._surrogate}
        name = f"{FOLDER}/{CHECKS}"
        stored = self._read(name)
        if not stored or stored["about"] != about:
            stored = {"about": about, "checks": self.task.check_gradients()}
            self.place.write_json(name, stored)
        checks: list[dict[str, Any]] = stored["checks"]
        return checks

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
