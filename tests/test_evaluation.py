"""Evaluation of a score table: slices worked by hand, and tables for which a metric is not defined."""

from __future__ import annotations

import json
from math import isnan

import numpy as np
import pandas as pd
import pytest

from dfad.deployed import Deployed
from dfad.evaluation import EvaluationKnobs, evaluate, results_of
from dfad.evaluation.compare import compare, in_words
from dfad.metrics import summary
from dfad.report.tables import other_unit
from dfad.scores import ScoreTable


def table(*rows: tuple[float, str]) -> ScoreTable:
    """A table of (score, attack); no attack is bona fide."""
    frame = pd.DataFrame(rows, columns=["score", "attack"])
    frame["id"] = [f"{row}.wav" for row in range(len(frame))]
    return ScoreTable(frame.assign(label=(frame["attack"] == "").astype(np.int8), split="test"))


MIXED = table((1.0, ""), (3.0, ""), (0.0, "old"), (-1.0, "old"), (2.0, "new"), (0.5, "new"))


def test_attacks_against_all_bona_fide() -> None:
    values = evaluate(MIXED).values
    assert values["eer/old"] == 0  # both are below both bona fide clips
    assert values["eer/new"] == 0.5  # one of two spoofs above one of two bona fide clips
    assert {key for key in values if key.startswith("eer/")} == {"eer/old", "eer/new"}


def test_seen_and_unseen() -> None:
    values = evaluate(MIXED, known_attacks=["old", "never tested"]).values
    assert (values["eer/seen"], values["eer/unseen"]) == (0.0, 0.5)
    assert evaluate(MIXED, known_attacks=["x"]).values["eer/unseen"] == values["eer"]
    assert "eer/unseen" not in evaluate(MIXED, known_attacks=["old", "new"]).values


def test_the_whole_is_the_summary() -> None:
    found = evaluate(MIXED, EvaluationKnobs(resamples=0), Deployed(threshold=0.7))
    expected = summary(MIXED.scores, MIXED.labels, threshold=0.7)
    assert {key: found.values[key] for key in expected.values} == expected.values
    assert found.values["accuracy_at_val"] == pytest.approx(5 / 6)
    assert set(expected.notes) < set(found.notes)


def test_order_does_not_matter() -> None:
    assert evaluate(ScoreTable(MIXED.frame[::-1])) == evaluate(MIXED)


def test_spoofs_without_an_attack_are_in_no_slice() -> None:
    frame = MIXED.frame.assign(attack="")
    values = evaluate(ScoreTable(frame), known_attacks=["old"]).values
    assert not [key for key in values if key.startswith("eer/")]
    assert values["n_spoof"] == 4


@pytest.mark.parametrize("attack", ["", "old"])
def test_one_class_gives_nan_and_a_note(attack: str) -> None:
    found = evaluate(table((1.0, attack), (2.0, attack)), known_attacks=["old"])
    assert isnan(found.values["eer"])
    assert isnan(found.values.get("eer/seen", np.nan))
    assert "one class only" in " ".join(found.notes)


def test_nan_scores_give_nan_and_a_note() -> None:
    found = evaluate(table((np.nan, ""), (1.0, ""), (0.0, "old"), (0.5, "new")), known_attacks=["old"])
    assert isnan(found.values["eer"])
    assert isnan(found.values["eer/seen"])
    assert "NaN" in " ".join(found.notes)


def test_empty_table() -> None:
    found = evaluate(MIXED.where(np.zeros(6, bool)), known_attacks=["old"])
    assert isnan(found.values["eer"])
    assert found.notes


def many(**columns: object) -> ScoreTable:
    """Scores of 60 clips of either class that overlap."""
    labels = np.repeat([1, 0], 60)
    scores = np.random.default_rng(0).normal(2.0 * labels)
    frame = pd.DataFrame({"id": range(120), "score": scores, "label": labels, "attack": "", "split": "test"})
    return ScoreTable(frame.astype({"id": str}).assign(attack=np.where(labels, "", "A"), **columns))  # type: ignore[arg-type]


def test_attacks_called_seen_or_unseen_take_no_others_place() -> None:
    renamed = MIXED.frame.replace({"attack": {"old": "unseen"}})
    found = evaluate(ScoreTable(renamed), EvaluationKnobs(resamples=0), known_attacks=["unseen"])
    assert (found.values["eer/seen"], found.values["eer/unseen"]) == (0.0, 0.5)
    assert [piece.value for piece in found.breakdowns["attack"]] == ["new", "unseen"]
    assert "eer/unseen" not in evaluate(ScoreTable(renamed)).values  # nobody knows what training had


@pytest.mark.parametrize(("rule", "warned"), [("eer", True), ("fa@0.01", False), (9.0, False)])
def test_only_equal_errors_can_fail_to_carry_over(rule: str | float, warned: bool) -> None:
    found = evaluate(many(), EvaluationKnobs(resamples=0), Deployed(threshold=9.0, rule=rule))
    assert any("does not carry over" in note for note in found.notes) == warned


def test_a_slice_whose_resamples_all_agree_has_no_interval_but_at_zero() -> None:
    frame = many().frame
    for sign, high in ((1, pytest.approx(0.0596, abs=1e-4)), (-1, None)):
        table = ScoreTable(frame.assign(score=sign * frame["label"]))
        (piece,) = evaluate(table, EvaluationKnobs(resamples=50)).breakdowns["attack"]
        assert (None if isnan(piece.interval.high) else piece.interval.high) == high


def test_an_infinite_cost_is_null_with_a_note() -> None:
    frame = many().frame
    frame.loc[0, "score"] = -np.inf
    options = EvaluationKnobs(resamples=0)
    results = results_of({"test": evaluate(ScoreTable(frame), options)}, options, Deployed())
    assert json.loads(json.dumps(results, allow_nan=False))["values"]["test/cllr"] is None
    assert any("infinite" in note and "cllr" in note for note in results["notes"])


def test_slices_over_clips_are_told_where_the_whole_is_over_speakers() -> None:
    table = many(speaker=[f"s{row % 20}" for row in range(120)], codec=["a", "b"] * 60)
    options = EvaluationKnobs(resamples=50, by=("attack", "speaker"))
    results = results_of({"test": evaluate(table, options)}, options, Deployed())
    parts = results["breakdowns"]["test"]
    assert other_unit(results, "test", parts["attack"]) == ""
    assert "single clips" in other_unit(results, "test", parts["speaker"])


@pytest.mark.filterwarnings("error")
def test_one_class_has_intervals_of_its_errors_over_its_speakers() -> None:
    scores = np.random.default_rng(0).normal(size=200)
    frame = pd.DataFrame({"id": [f"{row}" for row in range(200)], "score": scores, "label": 0, "attack": "a"})
    speakers = [f"s{row % 20}" for row in range(200)]
    found = evaluate(
        ScoreTable(frame.assign(split="test", speaker=speakers)),
        EvaluationKnobs(resamples=100),
        Deployed(threshold=0.3),
    )
    assert found.unit is not None
    assert (found.unit.name, found.unit.count) == ("speaker", 20)
    low, high = found.intervals["false_alarm_at_val"]
    assert 0 < low < found.values["false_alarm_at_val"] < high
    assert isnan(found.intervals["miss_at_val"].low)


def test_one_clip_of_a_class_shows_no_difference_and_says_why() -> None:
    table = many()
    few = table.where(np.arange(120) >= 59)
    other = ScoreTable(few.frame.assign(score=-few.frame["score"]))
    found = compare(few, other, resamples=50)
    assert not found.differs
    words = " ".join(in_words(found, ("A", "B")))
    assert "single cluster" in words
    assert "holds 0" not in words
    assert "nan" not in words


@pytest.mark.parametrize("resamples", [0, 50])
def test_notes_speak_of_intervals_only_where_there_are_some(resamples: int) -> None:
    notes = evaluate(table((1.0, ""), (2.0, ""), (-1.0, "A"), (-2.0, "A")), EvaluationKnobs(resamples=resamples)).notes
    assert any("interval" in note for note in notes) == bool(resamples)
    assert any("only 2 spoof clips" in note for note in notes)
