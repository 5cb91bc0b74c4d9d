"""A stored suite judged again: what was made for something else does not count, what was made anew is judged anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfad.augment import AugmentKnobs
from dfad.clips import Manifest
from dfad.corpora import CORPORA
from dfad.deployed import Deployed
from dfad.evaluation import EvaluationKnobs
from dfad.robustness import made
from dfad.robustness.conditions import CLEAN, Condition
from dfad.robustness.options import RobustnessKnobs
from dfad.scores import ScoreTable
from dfad.training import robust
from dfad.training.robust import Robust, Suite
from dfad.training.runs import Run
from dfad.training.scoring import SILENT, Screen

OPTIONS = EvaluationKnobs(resamples=0)
LAUNDERING = {"families": ("laundering",), "only": ("gsm", "low-pass"), "strengths": {"low-pass": (4000.0,)}}
ADVERSARIAL = {"families": ("adversarial",), "only": ("query",), "strengths": {"query": (5.0,)}}
NONE: dict[str, Any] = {}
CHECK = {"name": "PGD is no weaker than FGSM", "passed": True, "words": "…"}


class Scored:
    """Scores clips at random, other ones every time, and counts how often."""

    def __init__(self, place: Path, manifest: Manifest, threshold: float) -> None:
        self.place, self.manifest, self.threshold = place, manifest, threshold
        self.random, self.under, self.checks = np.random.default_rng(0), list[str](), CHECK
        self.clean = self.table().scores
        self.table(self.clean).write(place / "scores.csv")

    def table(self, scores: np.ndarray | None = None) -> ScoreTable:
        labels = self.manifest.labels
        if scores is None:
            scores = self.random.normal(size=len(labels)) + 2 * labels
        frame = self.manifest.frame.assign(score=np.float32(scores), label=labels, snr_db=inf)
        return ScoreTable(frame)

    def usable(self) -> Manifest:
        return self.manifest

    def score_under(self, conditions: Sequence[Condition], store: Callable[[Condition, ScoreTable], None]) -> None:
        for condition in conditions:
            self.under.append(condition.key)
            store(condition, self.table(self.clean if condition == CLEAN else None))

    def check_gradients(self) -> list[dict[str, Any]]:
        self.under.append("checks")
        return [self.checks]


@pytest.fixture
def task(manifest_csv: Path, tmp_path: Path) -> Scored:
    return Scored(tmp_path, CORPORA["manifest"](path=manifest_csv).manifest(), 0.5)


def judged(
    task: Scored, options: dict[str, Any], *, said: list[str] | None = None, augment: AugmentKnobs | None = None
) -> Robust:
    """Forget what was scored and judge."""
    task.under.clear()
    screen = SILENT if said is None else Screen(said.append, SILENT.watch, False)
    suite = Suite(Run(task.place), RobustnessKnobs(**options), task, screen)
    return suite.judged(OPTIONS, Deployed(threshold=task.threshold), augment)


def keys(found: Robust) -> list[str]:
    assert found.results is not None
    return [one["key"] for one in found.results["conditions"]]


def test_the_same_again_is_neither_scored_nor_judged(task: Scored) -> None:
    first = judged(task, LAUNDERING)
    assert task.under == ["clean", "low-pass@4000", "gsm"]
    assert first.new
    assert judged(task, LAUNDERING) == judged(task, NONE) == Robust(first.results, new=False)
    assert task.under == []


def test_tables_that_were_made_anew_are_judged_anew(task: Scored, monkeypatch: pytest.MonkeyPatch) -> None:
    first = judged(task, LAUNDERING)
    for module in (made, robust):
        monkeypatch.setattr(module, "FORMAT", made.FORMAT + 1)
    second = judged(task, LAUNDERING)
    assert task.under == ["clean", "low-pass@4000", "gsm"]
    assert second.new
    assert first.results is not None
    assert second.results is not None
    assert second.results["conditions"] != first.results["conditions"]


def test_attacks_count_for_their_own_threshold_only(task: Scored) -> None:
    judged(task, LAUNDERING)
    first = judged(task, ADVERSARIAL)
    task.threshold = 0.25
    other = judged(task, NONE)
    assert task.under == []
    assert keys(other) == ["low-pass@4000", "gsm"]
    assert other.results is not None
    note = "1 attack was made for the threshold 0.5: left out; type robustness=adversarial for new ones"
    assert note in other.results["notes"]
    assert other.results["checks"] == []
    task.threshold = 0.5  # nothing is lost by that
    assert judged(task, NONE).results == first.results
    task.threshold = 0.25
    judged(task, NONE)
    new = judged(task, ADVERSARIAL)
    assert task.under == ["query@5", "checks"]
    assert keys(new) == ["low-pass@4000", "gsm", "query@5"]
    task.threshold = 0.5
    again = judged(task, ADVERSARIAL)
    assert again.new
    assert again.results is not None
    assert first.results is not None
    assert again.results["conditions"][-1] != first.results["conditions"][-1]


def test_kinds_that_are_not_asked_for_stay_and_those_that_are_replace_their_own(task: Scored) -> None:
    judged(task, LAUNDERING)
    both = judged(task, ADVERSARIAL)
    assert task.under == ["query@5", "checks"]
    assert keys(both) == ["low-pass@4000", "gsm", "query@5"]
    assert keys(judged(task, {**LAUNDERING, "only": ("gsm",), "strengths": None})) == ["gsm", "query@5"]
    said: list[str] = []
    other = judged(task, {**LAUNDERING, "seed": 1}, said=said)
    assert keys(other) == ["low-pass@4000", "gsm"]
    assert said[0] == "3 conditions scored with other options: scored again"
    assert other.results is not None
    assert any(note.startswith("1 attack was made with another seed: left out") for note in other.results["notes"])


def test_other_checks_and_what_training_had_are_judged_anew(task: Scored) -> None:
    judged(task, ADVERSARIAL)
    path = task.place / "robustness" / "checks.json"
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "checks": [{**CHECK, "passed": False}]}))
    found = judged(task, NONE)
    assert found.new
    assert found.results is not None
    assert found.results["checks"][0]["passed"] is False
    told = judged(task, NONE, augment=AugmentKnobs())
    assert told.new
    assert told.results is not None
    assert told.results["seen"] == {}


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": 1, "conditions": []}', '{"format": 2}'])
def test_results_that_cannot_be_read_are_said_and_made_anew(text: str, task: Scored) -> None:
    judged(task, LAUNDERING)
    (task.place / "robustness.json").write_text(text)
    said: list[str] = []
    assert judged(task, NONE, said=said) == Robust()
    assert said[0].startswith("robustness.json is damaged, or of another dfad (")
    assert keys(judged(task, LAUNDERING)) == ["low-pass@4000", "gsm"]
    assert task.under == []


def test_another_library_of_codecs_makes_other_tables(task: Scored, monkeypatch: pytest.MonkeyPatch) -> None:
    judged(task, LAUNDERING)
    about = json.loads((task.place / "robustness" / "suite.json").read_text())
    assert about["gsm"]["library"].startswith("libsndfile 1.")
    assert "library" not in about["low-pass@4000"]
    monkeypatch.setattr("dfad.effects.codec_sndfile.version", lambda: "libsndfile 9")
    judged(task, LAUNDERING)
    assert task.under == ["gsm"]


@pytest.mark.parametrize(("apart", "told"), [(1e-6, False), (1e-2, True)])
def test_rounding_is_not_worth_a_note(apart: float, told: bool, task: Scored) -> None:
    task.clean = task.clean + apart
    found = judged(task, LAUNDERING).results
    assert found is not None
    assert any("score otherwise than they did before the suite" in note for note in found["notes"]) == told
