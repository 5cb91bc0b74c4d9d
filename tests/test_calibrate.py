"""Calibrators against closed forms, scikit-learn and what must hold of any of them."""

from __future__ import annotations

import json
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import norm
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from dfad.calibrate import CALIBRATORS, Isotonic, Logistic, Temperature, p_spoof, read_calibrator
from dfad.errors import ConfigError, MetricError
from dfad.metrics import cllr, pav

# On shared cores a deadline would time the machine; the same examples every time keep a red test red.
settings.register_profile("dfad", deadline=None, derandomize=True, database=None)
settings.load_profile("dfad")

EACH = pytest.mark.parametrize("kind", CALIBRATORS.values(), ids=list(CALIBRATORS))


def ratios_of(d: float, clips: int = 20_001) -> tuple[np.ndarray, np.ndarray]:
    """True log-likelihood ratios, N(±d²/2, d²), on a quantile grid: no sampling error."""
    grid = d * norm.ppf((np.arange(clips) + 0.5) / clips)
    return np.concatenate((grid + d**2 / 2, grid - d**2 / 2)), np.repeat([1, 0], clips)


def noisy(seed: int = 0, real: int = 300, spoof: int = 700) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.repeat([1, 0], [real, spoof])
    return random.normal(size=real + spoof) + 1.5 * labels, labels


@st.composite
def tables(draw):
    """Scores of both classes, of any scale, many of them tied; bona fide tend to score higher."""
    real, spoof = (draw(st.lists(st.integers(-5, 5), min_size=1, max_size=20)) for _ in range(2))
    scale = draw(st.sampled_from([1e-20, 1e-3, 1.0, 1e4, 1e30]))
    scores = scale * np.array([*(score + 3 for score in real), *spoof], np.float64)
    return scores, np.repeat([1, 0], [len(real), len(spoof)])


# --- all of them ---------------------------------------------------------------------------------


@EACH
@given(table=tables())
def test_a_fit_rises_and_is_finite(kind, table):
    scores, labels = table
    try:
        fitted = kind.fit(scores, labels)
    except MetricError:
        return
    reach = np.abs(scores).max()
    ratios = fitted(np.linspace(-2 * reach, 2 * reach, 101))
    assert np.isfinite(ratios).all()
    assert (np.diff(ratios) >= 0).all()
    assert ratios[-1] > ratios[0]
    if kind is not Isotonic:
        assert (np.diff(ratios) > 0).all()


@EACH
@given(table=tables())
def test_a_fit_is_read_from_its_json(kind, table):
    try:
        fitted = kind.fit(*table)
    except MetricError:
        return
    stored = json.dumps(fitted.plain(), allow_nan=False)
    again = read_calibrator(json.loads(stored))
    assert again == fitted
    assert again(table[0]).tolist() == fitted(table[0]).tolist()


@EACH
def test_ratios_have_the_shape_of_the_scores(kind):
    fitted = kind.fit(*noisy())
    assert fitted(np.zeros((2, 3), np.float32)).shape == (2, 3)
    assert fitted([0.0]).dtype == np.float64
    assert fitted([]).shape == (0,)


@EACH
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e30])
def test_classes_that_are_apart_give_finite_ratios(kind, scale):
    scores, labels = np.array([3.0, 2, 1, -1, -2, -3]) * scale, np.array([1, 1, 1, 0, 0, 0])
    ratios = kind.fit(scores, labels)(scores)
    assert np.isfinite(ratios).all()
    assert (ratios[labels == 1] > 0).all()
    assert (ratios[labels == 0] < 0).all()


@EACH
@pytest.mark.parametrize("value", [0.0, 0.1, 0.3, -0.7, 1e30])
@pytest.mark.parametrize("clips", [(10, 10), (17, 3), (3, 17), (1, 1000)])
def test_scores_that_are_all_the_same_are_refused(kind, value, clips):
    labels = np.repeat([1, 0], clips)
    with pytest.raises(MetricError, match="nothing to calibrate"):
        kind.fit(np.full(len(labels), value), labels)


@EACH
def test_scores_that_are_the_wrong_way_round_are_refused_and_not_turned(kind):
    scores, labels = noisy()
    with pytest.raises(MetricError, match="do not rise from spoof to bona fide"):
        kind.fit(-scores, labels)


@EACH
@pytest.mark.parametrize(
    ("scores", "labels", "words"),
    [
        ([1.0, 2.0], [1, 1], "one class only"),
        ([1.0, nan, 0.0], [1, 1, 0], "NaN"),
        ([inf, 0.0], [1, 0], "infinite"),
        ([1.0, -inf], [1, 0], "infinite"),
        ([1e200, -1e200], [1, 0], "beyond"),
        ([], [], "no scores"),
        ([1.0], [1, 0], "1 scores but 2 labels"),
    ],
)
def test_what_cannot_be_fitted_is_an_error_that_says_why(kind, scores, labels, words):
    with pytest.raises(MetricError, match=words):
        kind.fit(scores, labels)


@EACH
@pytest.mark.parametrize("seed", range(3))
def test_a_fit_does_not_cost_more_than_the_scores_did(kind, seed):
    scores, labels = noisy(seed, real=2000, spoof=5000)
    for shift in (0.0, -0.75, 3.0):
        if kind is Temperature and shift > 0:
            continue  # it cannot move the zero
        moved = scores + shift
        for scale in (0.1, 1.0, 5.0):
            assert cllr(kind.fit(scale * moved, labels)(scale * moved), labels) <= cllr(scale * moved, labels) + 1e-5


# --- logistic ------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [0.5, 1.5, 3.0])
@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.02, 1.5), (40.0, -3.0)])
def test_logistic_finds_the_map_that_made_the_scores(d, slope, offset):
    ratios, labels = ratios_of(d)
    fitted = Logistic.fit((ratios - offset) / slope, labels)
    assert fitted.slope == pytest.approx(slope, rel=5e-3)
    np.testing.assert_allclose(fitted((ratios - offset) / slope), ratios, rtol=5e-3, atol=5e-3)


def test_logistic_is_scikit_learns_where_soft_targets_hardly_matter():
    scores, labels = noisy(real=20_000, spoof=60_000)
    fitted = Logistic.fit(scores, labels)
    theirs = LogisticRegression(C=np.inf, class_weight="balanced", tol=1e-10).fit(scores[:, None], labels)
    assert fitted.slope == pytest.approx(theirs.coef_[0, 0], rel=1e-3)
    assert fitted.offset == pytest.approx(theirs.intercept_[0], rel=1e-3)


def test_logistic_is_at_the_least_of_its_loss():
    scores, labels = noisy(real=11, spoof=7)
    fitted = Logistic.fit(scores, labels)
    target, weight = np.where(labels, 12 / 13, 1 / 9), np.where(labels, 0.5 / 11, 0.5 / 7)
    pull = weight * (expit(fitted(scores)) - target)
    assert [pull.sum(), pull @ scores] == pytest.approx([0, 0], abs=1e-8)


@pytest.mark.parametrize("times", [(1, 8), (8, 1)])
def test_logistic_and_temperature_do_not_depend_on_the_share_of_a_class(times):
    scores, labels = noisy(real=5000, spoof=5000)
    often = np.where(labels, times[0], times[1])
    more, of = np.repeat(scores, often), np.repeat(labels, often)
    assert Logistic.fit(more, of).slope == pytest.approx(Logistic.fit(scores, labels).slope, rel=2e-3)
    assert Logistic.fit(more, of).offset == pytest.approx(Logistic.fit(scores, labels).offset, rel=2e-3)
    shifted = Temperature.fit(scores - 0.75, labels)
    assert Temperature.fit(more - 0.75, of).temperature == pytest.approx(shifted.temperature, rel=2e-3)


@given(st.floats(1e-6, 1e6), st.floats(-10, 10))
def test_logistic_does_not_mind_the_units_of_the_scores(scale, shift):
    scores, labels = noisy(real=40, spoof=60)
    moved = scale * (scores + shift)
    np.testing.assert_allclose(Logistic.fit(moved, labels)(moved), Logistic.fit(scores, labels)(scores), atol=1e-5)


# --- temperature ---------------------------------------------------------------------------------


@given(tables(), st.floats(-100, 100))
def test_temperature_keeps_the_sign(table, score):
    try:
        fitted = Temperature.fit(*table)
    except MetricError:
        return
    assert np.sign(fitted([score]))[0] == np.sign(score)


@pytest.mark.parametrize("temperature", [0.01, 1.0, 25.0])
def test_temperature_finds_what_the_ratios_were_divided_by(temperature):
    ratios, labels = ratios_of(1.5)
    assert Temperature.fit(ratios * temperature, labels).temperature == pytest.approx(temperature, rel=5e-3)


# --- isotonic ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [True, False])
def test_isotonic_is_pav_inside_and_finite_at_the_ends(ties):
    scores, labels = noisy(real=400, spoof=400)
    scores = np.round(scores, 1) if ties else scores
    ratios, plain = Isotonic.fit(scores, labels)(scores), pav(scores, labels)
    inside = (ratios > ratios.min()) & (ratios < ratios.max())
    assert inside.sum() > 400
    np.testing.assert_allclose(ratios[inside], plain[inside], atol=1e-12)
    assert not np.isfinite(plain).all()
    assert np.isfinite(ratios).all()


@given(tables())
def test_isotonic_is_scikit_learns_with_a_made_up_clip_at_either_end(table):
    scores, labels = table
    try:
        ratios = Isotonic.fit(scores, labels)(scores)
    except MetricError:
        return
    place = np.unique(scores, return_inverse=True)[1]  # scikit-learn takes nearly equal scores for equal
    more, of = np.array([-1, *place, place.max() + 1]), np.array([1, *labels, 0])
    posterior = IsotonicRegression().fit(more, of).predict(place)
    expected = np.log(posterior) - np.log1p(-posterior) - np.log((of == 1).sum() / (of == 0).sum())
    np.testing.assert_allclose(ratios, expected, rtol=1e-9, atol=1e-9)


def test_isotonic_joins_its_steps_and_is_level_beyond_them():
    fitted = read_calibrator({"name": "isotonic", "scores": [0.0, 1.0, 3.0], "ratios": [-2.0, 0.0, 4.0]})
    assert fitted([-9.0, 0.0, 0.5, 2.0, 3.0, 9.0, inf]).tolist() == [-2, -2, -1, 2, 4, 4, 4]


# --- stored --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"name": "platt", "slope": 1.0, "offset": 0.0},
        {"slope": 1.0, "offset": 0.0},
        {"name": "logistic", "slope": 1.0},
        {"name": "logistic", "slope": 0.0, "offset": 0.0},
        {"name": "logistic", "slope": -1.0, "offset": 0.0},
        {"name": "logistic", "slope": nan, "offset": 0.0},
        {"name": "logistic", "slope": 1.0, "offset": nan},
        {"name": "logistic", "slope": inf, "offset": 0.0},
        {"name": "logistic", "slope": "1.0", "offset": 0.0},
        {"name": "logistic", "slope": 1.0, "offset": 0.0, "temperature": 1.0},
        {"name": "temperature", "temperature": 0.0},
        {"name": "temperature", "temperature": -2.0},
        {"name": "temperature", "temperature": nan},
        {"name": "isotonic", "scores": [], "ratios": []},
        {"name": "isotonic", "scores": [0.0, 1.0], "ratios": [0.0]},
        {"name": "isotonic", "scores": [0.0, 0.0], "ratios": [0.0, 1.0]},
        {"name": "isotonic", "scores": [0.0, 1.0], "ratios": [1.0, 0.0]},
        {"name": "isotonic", "scores": [0.0, nan], "ratios": [0.0, 1.0]},
        {"name": "isotonic", "scores": [0.0, 1.0], "ratios": [0.0, inf]},
    ],
)
def test_nothing_else_is_read(values):
    with pytest.raises(ConfigError, match="calibrator"):
        read_calibrator(values)


# --- probability ---------------------------------------------------------------------------------


@given(st.floats(-30, 30), st.floats(0.001, 0.999))
def test_the_probability_of_spoof_is_by_bayes(ratio, prior):
    bona_fide = (1 - prior) * np.exp(ratio)
    assert p_spoof([ratio], prior)[0] == pytest.approx(prior / (prior + bona_fide), rel=1e-9)


def test_probabilities_at_priors():
    assert p_spoof([0.0]).tolist() == [0.5]
    assert p_spoof([np.log(9)], 0.9)[0] == pytest.approx(0.5)
    assert p_spoof([inf, -inf, 1000.0, -1000.0], 0.01).tolist() == [0, 1, 0, 1]
    assert (np.diff(p_spoof(np.linspace(-5, 5, 50), 0.2)) < 0).all()
    assert p_spoof(np.zeros((2, 3)), 0.25).tolist() == np.full((2, 3), 0.25).tolist()
