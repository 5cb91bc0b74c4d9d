"""AUROC with an interval from ranks: oracles, cases by hand, and how often the interval holds the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from dfad.errors import MetricError
from dfad.metrics.area import area

CASES = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=4, max_size=40).filter(
    lambda pairs: 1 < sum(label for _, label in pairs) < len(pairs) - 1
)


@given(CASES)
def test_the_value_is_that_of_scikit_learn_and_lies_in_the_interval(pairs: list[tuple[int, bool]]) -> None:
    scores, labels = map(np.array, zip(*pairs, strict=True))
    value, (low, high) = area(scores, labels)
    assert value == pytest.approx(roc_auc_score(labels, scores))
    assert 0 <= low <= value <= high <= 1


@given(CASES)
def test_turning_the_scores_turns_the_interval(pairs: list[tuple[int, bool]]) -> None:
    scores, labels = map(np.array, zip(*pairs, strict=True))
    value, (low, high) = area(scores, labels)
    turned, (turned_low, turned_high) = area(-scores, labels)
    assert (turned, turned_low, turned_high) == pytest.approx((1 - value, 1 - high, 1 - low))


def test_every_clip_a_cluster_is_no_cluster() -> None:
    random = np.random.default_rng(0)
    scores, labels = random.normal(size=60), np.arange(60) % 2
    assert area(scores, labels, np.arange(60)) == area(scores, labels)


def test_copies_of_clips_add_nothing_if_they_are_a_cluster() -> None:
    random = np.random.default_rng(1)
    scores, labels = random.normal(size=300), np.arange(300) % 2
    once = area(scores, labels)
    rows = np.repeat(np.arange(300), 5)
    copied = area(scores[rows], labels[rows], rows)
    assert copied.value == pytest.approx(once.value)
    assert np.subtract(*copied.interval) == pytest.approx(np.subtract(*once.interval), rel=0.03)
    assert np.subtract(*area(scores[rows], labels[rows]).interval) > 0.6 * np.subtract(*once.interval)


@pytest.mark.parametrize("truth", [0.5, 0.7, 0.9, 0.99])
def test_95_of_100_intervals_hold_the_truth(truth: float) -> None:
    random = np.random.default_rng(2)
    labels = np.repeat([1, 0], (50, 200))
    held = 0
    for _ in range(400):
        scores = random.normal(size=250) + labels * norm.ppf(truth) * np.sqrt(2)
        low, high = area(scores, labels).interval
        held += low <= truth <= high
    assert held >= 370  # of 380 expected


def test_speakers_of_one_class_each_are_not_taken_for_the_class() -> None:
    random = np.random.default_rng(3)
    speakers = np.repeat(np.arange(24), 20)
    labels = (speakers < 12).astype(int)
    wrong = {"clips": 0, "speakers": 0}
    for _ in range(200):
        scores = random.normal(size=24)[speakers] + 0.3 * random.normal(size=480)
        for name, clusters in (("clips", None), ("speakers", speakers)):
            low, high = area(scores, labels, clusters).interval
            wrong[name] += not low <= 0.5 <= high
    assert wrong["speakers"] <= 14  # 5 % of 200 are 10
    assert wrong["clips"] > 100


def test_a_word_that_one_class_never_has_is_no_proof_if_the_class_is_small() -> None:
    """15 of 15 without it, 40 of 200 with it: by Fisher's exact test p is about 0.08."""
    scores = np.concatenate((np.zeros(15), np.ones(40), np.zeros(160)))
    labels = np.arange(215) < 15
    assert area(scores, labels).interval.high > 0.5
    many = area(np.concatenate((np.zeros(300), scores)), np.concatenate((np.ones(300, bool), labels)))
    assert many.interval.high < 0.5


def test_what_is_not_defined() -> None:
    assert np.isnan(area([1.0, 2.0, 3.0], [1, 0, 0]).interval.low)  # one bona fide clip
    with pytest.raises(MetricError, match="one class only"):
        area([1.0, 2.0], [1, 1])
