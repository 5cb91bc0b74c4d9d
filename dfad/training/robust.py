"""The stored suite of an evaluation: scored once, condition by condition, and judged as often as one likes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from rich.markup import escape

from dfad.augment import AugmentKnobs
from dfad.checkpoint import Checkpoint, best_checkpoint
from dfad.clips import Manifest
from dfad.deployed import Deployed
from dfad.errors import ConfigError
from dfad.evaluation import EvaluationKnobs
from dfad.robustness.before import Before, left_out
from dfad.robustness.conditions import CLEAN, Condition, counted
from dfad.robustness.made import FORMAT, differing, made
from dfad.robustness.options import RobustnessKnobs
from dfad.robustness.results import FAMILIES, results_of
from dfad.robustness.tables import FOLDER, Tables
from dfad.robustness.trained_by import seen_in
from dfad.scores import ScoreTable
from dfad.training.perturbing import lacking
from dfad.training.runs import Run
from dfad.training.scoring import Screen
from dfad.training.suite import chosen_rows

JSON, CHECKS = "robustness.json", "checks.json"
ANEW = "type robustness=… to make it anew"
ROUNDING = 1e-4  # of a score, when other clips were in a batch


def require(knobs: RobustnessKnobs, detector: Path) -> None:
    """Refuse, before any work, a suite that there cannot be.

    Args:
        knobs: what is asked for.
        detector: checkpoint of the detector that is attacked.

    Raises:
        ConfigError: for perturbations or strengths that there are not, a surrogate that there is not, or the detector
            as its own.
        RunError: for a surrogate that is no detector.
    """
    knobs.conditions()
    if knobs.surrogate is not None:
        if not knobs.surrogate.exists():
            raise ConfigError(
                f"robustness.surrogate: no checkpoint at {knobs.surrogate}; dfad runs lists the runs that there are"
            )
        other = Checkpoint.read(_checkpoint_of(knobs.surrogate)).path
        if _hash(other) == _hash(detector):
            raise ConfigError(
                f"robustness.surrogate={knobs.surrogate} is the detector that is attacked: transfer takes another one; "
                "train one with another seed or network"
            )


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


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

        Kinds that were judged before and are not asked for now are judged again beside it, from their stored tables.
        Those of these that were made for something else, such as attacks for another threshold, are left out and named.

        Args:
            options: of the evaluation.
            deployed: threshold and calibrator.
            augment: what the detector was trained with; None if that is not known.
        """
        before = self._before()
        asked, skipped = self.knobs.conditions(), dict(before.skipped)
        drawn = {"seed": self.knobs.seed, "clips": self.knobs.clips} if asked else before.drawn
        if asked:
            asked, now_skipped = self._scored(asked)
            skipped = {name: why for name, why in skipped.items() if name not in self.knobs.table()} | now_skipped
        kept = tuple(one for one in before.conditions if one != CLEAN and one.family not in self.knobs.families)
        if not asked and not kept:
            return Robust()
        about = self.tables.made
        stale = {one: why for one in (CLEAN, *kept) if (why := self._stale(one, about.get(one.key), drawn))}
        if CLEAN in stale:
            self.screen.say(f"the stored suite is left out: its clips as they are were {stale[CLEAN]}; {ANEW}")
            return Robust()
        others = sorted([*asked[1:], *kept], key=lambda one: FAMILIES.index(one.family))
        wanted = (CLEAN, *others)
        conditions = [one for one in wanted if one not in stale]
        checks = self._checks(conditions, drawn)
        seen = seen_in(augment) if augment else None
        by = {
            **{"eval": options.plain(), "deployed": deployed.plain(), "seen": seen, "checks": checks},
            **drawn,
            "conditions": [asdict(one) for one in wanted],
            "made": {one.key: about[one.key] for one in conditions},
            "left_out": {one.key: why for one, why in stale.items()},
        }
        if before.results and (before.results["by"], before.results["skipped"]) == (by, skipped):
            return Robust(before.results)
        tables = self.tables.read(conditions)
        results = results_of(
            tables,
            deployed,
            seen=seen,
            skipped=skipped,
            checks=checks,
            about={"by": by},
            notes=[*left_out(stale), *self._notes(tables[CLEAN])],
            cluster=options.cluster,
            resamples=options.resamples,
            worst=options.worst,
            progress=self.screen.watch("judging conditions", "resamples"),
        )
        (self.place.folder / "report.html").unlink(missing_ok=True)  # it shows others
        self.place.write_json(JSON, results)
        return Robust(results, new=True)

    def _before(self) -> Before:
        """The results that are stored; where they cannot be read they are nothing, and that is said."""
        try:
            return Before.of(self.place.read_json(JSON))
        except ValueError as error:
            self.screen.say(f"{JSON} is damaged, or of another dfad ({escape(str(error))}); {ANEW}")
            return Before()

    def _stale(self, condition: Condition, stored: Any, drawn: Mapping[str, Any]) -> str:
        """Why the stored table of a condition is not what would be made now; empty if it is."""
        if not self.tables.path(condition).is_file() or not isinstance(stored, dict):
            return "not scored"
        surrogate = stored.get("surrogate")
        if self.knobs.surrogate is not None:
            surrogate = self._surrogate
        return differing(stored, made(condition, **drawn, threshold=self.task.threshold, surrogate=surrogate))

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
            say(f"{counted(len(gone), 'condition')} scored with other options: scored again")
        if todo := self.tables.lacking(able):
            if len(todo) < len(able):
                say(f"scored already: {len(able) - len(todo)} of {counted(len(able), 'condition')}")
            self.task.score_under(todo, self.tables.write)
        return able, skipped

    def _about(self, condition: Condition) -> dict[str, Any]:
        """What the table of a condition hangs on beside its name."""
        knobs, threshold = self.knobs, self.task.threshold
        return made(condition, seed=knobs.seed, clips=knobs.clips, threshold=threshold, surrogate=self._surrogate)

    @cached_property
    def _surrogate(self) -> str | None:
        """A hash of the other detector."""
        path = self.knobs.surrogate
        return None if path is None else _hash(_checkpoint_of(path))

    def _checks(self, conditions: Sequence[Condition], drawn: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What is found of masked gradients, from the file if it is of the same suite; nothing without adversaries.

        They are made anew only where adversaries are asked for.
        """
        if all(condition.family != "adversarial" for condition in conditions):
            return []
        name, asked = f"{FOLDER}/{CHECKS}", "adversarial" in self.knobs.families
        about = {"format": FORMAT, **drawn, "threshold": self.task.threshold, "surrogate": self._surrogate}
        try:
            stored = self.place.read_json(name)
            there, checks = stored["about"], [dict(check) for check in stored["checks"]]
        except (ValueError, KeyError, TypeError):
            there, checks = {}, []
        if not asked and self.knobs.surrogate is None:
            about["surrogate"] = there.get("surrogate")
        if there == about:
            return checks
        if not asked:
            return []
        checks = self.task.check_gradients()
        self.place.write_json(name, {"about": about, "checks": checks})
        return checks

    def _notes(self, clean: ScoreTable) -> list[str]:
        """What is to be said where clips that nothing was done to do not score as they did."""
        before = ScoreTable.read(self.place.folder / "scores.csv").frame.set_index("id")["score"]
        now = clean.frame.set_index("id")["score"]
        apart = np.abs(now - before.reindex(now.index))
        if not (apart > ROUNDING).any():
            return []
        return [
            f"{int((apart > ROUNDING).sum())} of {len(now)} clips score otherwise than they did before the suite, by "
            f"{apart.max():.2g} at most: their audio has changed, or the machine rounds another way"
        ]
