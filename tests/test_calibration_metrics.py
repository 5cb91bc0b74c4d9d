"""Reliability and the cost at every prior, against brute force and what must hold."""

from __future__ import annotations

from math import exp, inf, log
from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from dfad.errors import MetricError
from dfad.metrics.calibration import cost_over_prior, reliability
from dfad.metrics.det import act_dcf, min_dcf

# On shared cores a deadline would time the machine; the same examples every time keep a red test red.
settings.register_profile("dfad", deadline=None, derandomize=True, database=None)
settings.load_profile("dfad")

RNG = np.random.default_rng(0)
SCORE = st.one_of(st.integers(-4, 4).map(float), st.floats(-30, 30), st.sampled_from([inf, -inf]))
PRIORS = st.lists(st.floats(-8, 8), min_size=1, max_size=5)


@st.composite
def two_classes(draw):
    real = draw(st.lists(SCORE, min_size=1, max_size=12))
    spoof = draw(st.lists(SCORE, min_size=1, max_size=12))
    return np.array(real + spoof), np.repeat([1, 0], [len(real), len(spoof)])


def cost(scores, labels, log_odds: float, threshold: float) -> float:
    prior = 1 / (1 + exp(-log_odds))
    miss, false_alarm = np.mean(scores[labels == 1] < threshold), np.mean(scores[labels == 0] >= threshold)
    return (prior * miss + (1 - prior) * false_alarm) / min(prior, 1 - prior)


@given(two_classes(), PRIORS)
def test_costs_are_those_of_trying_every_threshold(clips, priors):
    scores, labels = clips
    found = cost_over_prior(scores, labels, priors)
    every = [*np.unique(scores), np.nextafter(inf, 0), inf]
    for at, prior in enumerate(priors):
        assert found.actual[at] == pytest.approx(cost(scores, labels, prior, -prior), rel=1e-9, abs=1e-9)
        tried = [cost(scores, labels, prior, threshold) for threshold in every]
        tried.append(exp(max(prior, 0)))  # rejecting every clip, infinite scores too
        assert found.minimum[at] == pytest.approx(min(tried), rel=1e-9, abs=1e-9)


@given(two_classes(), PRIORS)
def test_the_minimum_is_never_above_the_actual_cost_nor_above_guessing(clips, priors):
    _, actual, minimum = cost_over_prior(*clips, priors)
    assert (minimum <= actual + 1e-12).all()
    assert (minimum <= 1 + 1e-12).all()


@given(two_classes(), st.floats(0.5, 20), st.floats(0.5, 20), st.floats(0.01, 0.99))
def test_costs_and_prior_of_an_application_are_one_effective_prior(clips, c_miss, c_fa, p_spoof):
    odds = log(c_miss * (1 - p_spoof) / (c_fa * p_spoof))
    _, actual, minimum = cost_over_prior(*clips, [odds])
    costs = {"c_miss": c_miss, "c_fa": c_fa, "p_spoof": p_spoof}
    assert minimum[0] == pytest.approx(min_dcf(*clips, **costs)[0], rel=1e-9, abs=1e-9)
    # A score exactly at the threshold may fall on either side of it by rounding.
    if not np.isclose(clips[0], -odds, rtol=1e-9, atol=1e-9).any():
        assert actual[0] == pytest.approx(act_dcf(*clips, **costs), rel=1e-9, abs=1e-9)


def test_the_costs_of_asvspoof_5_lie_on_the_curve():
    labels = RNG.random(5_000) < 0.1
    scores = np.append(RNG.normal(size=4_999) + 3 * labels[:-1] - 1, -log(1.9))  # one exactly at the threshold
    _, actual, minimum = cost_over_prior(scores, labels, [log(1.9)])
    assert actual[0] == pytest.approx(act_dcf(scores, labels), rel=1e-14)
    assert minimum[0] == pytest.approx(min_dcf(scores, labels)[0], rel=1e-14)


def test_a_million_scores_at_61_priors_take_less_than_a_second():
    labels = np.arange(1_000_000) % 10 == 0
    scores = RNG.normal(size=labels.size) + 2 * labels
    begun = process_time()
    cost_over_prior(scores, labels, np.linspace(-6, 6, 61))
    assert process_time() - begun < 1


@given(two_classes(), st.floats(0.01, 0.99), st.integers(1, 12))
def test_reliability_is_that_of_a_loop_over_clips(clips, p_spoof, bins):
    scores, labels = clips
    cells: dict[int, list[tuple[float, float, int]]] = {}
    for score, label in zip(scores, labels, strict=True):
        odds = exp(min(score, 600)) * (1 - p_spoof) / p_spoof
        stated = 1 / (1 + odds)
        if abs(stated * bins - round(stated * bins)) < 1e-9 and 0 < stated < 1:
            return  # on an edge between bins: rounding decides
        weight = (1 - p_spoof) / sum(labels == 1) if label else p_spoof / sum(labels == 0)
        cells.setdefault(min(int(stated * bins), bins - 1), []).append((weight, stated, int(label == 0)))
    found = reliability(scores, labels, p_spoof=p_spoof, bins=bins)
    assert len(found.clips) == len(cells)
    ece = 0.0
    for at, (_, cell) in enumerate(sorted(cells.items())):
        total = sum(weight for weight, _, _ in cell)
        predicted = sum(weight * stated for weight, stated, _ in cell) / total
        observed = sum(weight * spoof for weight, _, spoof in cell) / total
        assert found.clips[at] == len(cell)
        assert found.predicted[at] == pytest.approx(predicted, abs=1e-9)
        assert found.observed[at] == pytest.approx(observed, abs=1e-9)
        ece += total * abs(observed - predicted)
    assert found.ece == pytest.approx(ece, abs=1e-9)


@given(two_classes(), st.floats(0.01, 0.99))
def test_reliability_stays_in_its_range(clips, p_spoof):
    found = reliability(*clips, p_spoof=p_spoof)
    assert found.clips.sum() == len(clips[0])
    assert (found.clips > 0).all()
    for values in (found.predicted, found.observed, np.array([found.ece])):
        assert (values >= -1e-12).all()
        assert (values <= 1 + 1e-12).all()


@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize("p_spoof", [0.5, 0.05, 0.9])
def test_a_calibrated_detector_lies_on_the_diagonal_whatever_the_balance(share, p_spoof):
    sizes = int(400_000 * share), int(400_000 * (1 - share))
    grids = [norm.ppf((np.arange(size) + 0.5) / size) for size in sizes]  # no sampling error
    scores = 2 * np.concatenate((grids[0] + 1, grids[1] - 1))  # the log ratio of N(1, 1) to N(-1, 1)
    labels = np.repeat([1, 0], sizes)
    found = reliability(scores, labels, p_spoof=p_spoof)
    assert found.observed == pytest.approx(found.predicted, abs=0.01)
    assert found.ece < 0.002
    assert reliability(3 * scores, labels, p_spoof=0.5).ece > 0.03  # three times too sure


def test_bins_without_a_clip_are_left_out():
    found = reliability([9.0, -9.0], [1, 0])
    assert found.clips.tolist() == [1, 1]
    assert found.observed.tolist() == [0, 1]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: reliability([1.0], [1]),
        lambda: reliability([1.0, np.nan], [1, 0]),
        lambda: reliability([1.0, 0.0], [1, 0], p_spoof=1),
        lambda: reliability([1.0, 0.0], [1, 0], bins=0),
        lambda: cost_over_prior([], [], [0.0]),
        lambda: cost_over_prior([1.0, 0.0], [1, 0], [inf]),
        lambda: cost_over_prior([1.0, 0.0], [1, 0], [np.nan]),
        lambda: cost_over_prior([1.0, 0.0], [1, 0], 0.0),
    ],
)
def test_what_cannot_be_measured_is_said(wrong):
    with pytest.raises(MetricError):
        wrong()


def test_no_priors_give_no_costs():
    assert cost_over_prior([1.0, 0.0], [1, 0], []).actual.size == 0
