"""Evaluation of a score table: slices worked by hand, and tables for which a metric is not defined."""

from __future__ import annotations

from math import isnan

import numpy as np
import pandas as pd
import pytest

from dfad.deployed import Deployed
from dfad.evaluation import EvaluationKnobs, evaluate
from dfad.metrics import summary
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


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("attack", ["", "old"])
def test_one_class_has_intervals_over_its_speakers(attack: str) -> None:
    frame = table(*[(float(row), attack) for row in range(24)]).frame
    found = evaluate(ScoreTable(frame.assign(speaker=[f"s{row // 2}" for row in range(24)])))
    assert found.unit is not None
    assert (found.unit.name, found.unit.count) == ("speaker", 12)
