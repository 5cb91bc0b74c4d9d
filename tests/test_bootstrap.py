"""Weighted metrics against tables in which clips repeat, resamples, and the coverage of the intervals."""

from __future__ import annotations

from collections import Counter
from math import inf, isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binomtest, norm, t

from dfad import metrics as m
from dfad.errors import MetricError
from dfad.metrics import bootstrap
from dfad.metrics.bootstrap import cluster_count, distributions, draws, interval, p_value, zero_errors_bound
from dfad.metrics.weighted import WEIGHTED, Weighted

# On shared cores a deadline would time the machine; the same examples every time keep a red test red.
settings.register_profile("dfad", deadline=None, derandomize=True, database=None)
settings.load_profile("dfad")

SCORE = st.one_of(st.integers(-3, 3).map(float), st.floats(-30, 30), st.sampled_from([inf, -inf]))
THRESHOLDS = {"": 0.0, "_at_val": 1.0, "_low": -inf, "_high": inf, "_between": 0.37}
PLAIN = {
    "eer": lambda s, y: m.eer(s, y)[0],
    "auroc": m.auroc,
    "min_dcf": lambda s, y: m.min_dcf(s, y)[0],
    "act_dcf": m.act_dcf,
    "cllr": m.cllr,
    "min_cllr": m.min_cllr,
}


# --- weighted metrics ----------------------------------------------------------------------------


@st.composite
def weighed(draw):
    """Scores, labels and two rows of whole weights, some of each class above 0."""
    clips = draw(st.lists(st.tuples(SCORE, st.booleans()), min_size=2, max_size=25))
    scores, labels = (np.array(part) for part in zip(*clips, strict=True))
    labels[0], labels[-1] = False, True
    weights = np.array(
        [draw(st.lists(st.integers(0, 4), min_size=len(clips), max_size=len(clips))) for _ in range(2)], np.float64
    )
    weights[:, [0, -1]] += 1
    return scores, labels.astype(int), weights


@given(weighed())
def test_whole_weights_are_clips_that_repeat(example):
    scores, labels, weights = example
    system = Weighted(scores, labels, tuple(WEIGHTED), THRESHOLDS)
    found = system(weights)
    for row, times in enumerate(weights.astype(int)):
        s, y = np.repeat(scores, times), np.repeat(labels, times)
        expected = {name: metric(s, y) for name, metric in PLAIN.items()}
        for suffix, at in THRESHOLDS.items():
            expected |= {f"{name}{suffix}": value for name, value in m.decisions(s, y, at).items()}
        assert list(expected) == list(system.names)
        assert dict(zip(system.names, found[:, row], strict=True)) == pytest.approx(
            expected, rel=1e-12, abs=1e-12, nan_ok=True
        )


def test_a_clip_of_no_weight_is_not_there_even_where_it_would_cost_infinitely_much():
    system = Weighted([inf, -inf, 0.0, 1.0], [0, 1, 1, 0], ("cllr",))
    with np.errstate(all="raise"):
        (found,) = system(np.array([[1.0, 1, 1, 1], [0, 0, 1, 1], [1, 0, 1, 1], [0, 1, 1, 1]]))
    assert found.tolist() == [inf, pytest.approx(m.cllr([0.0, 1.0], [1, 0]), abs=1e-15), inf, inf]


def test_weights_of_one_class_give_its_errors_and_nothing_of_the_other():
    system = Weighted([1.0, -1.0, 2.0], [0, 0, 0], (), {"": 0.0})
    with np.errstate(all="raise"):
        found = dict(zip(system.names, system(np.array([[1.0, 2, 1]]))[:, 0], strict=True))
    assert found == pytest.approx(m.decisions([1.0, -1.0, -1.0, 2.0], [0, 0, 0, 0], 0.0), nan_ok=True)


@pytest.mark.parametrize(("scores", "labels"), [([1.0, 2.0], [1, 1]), ([1.0, np.nan], [1, 0]), ([], [])])
def test_what_has_no_metrics_is_refused(scores, labels):
    with pytest.raises(MetricError):
        Weighted(scores, labels, ("eer",))


# --- draws ---------------------------------------------------------------------------------------


@st.composite
def clustered(draw):
    clips = draw(st.lists(st.tuples(st.booleans(), st.sampled_from("abcde")), min_size=1, max_size=20))
    labels, names = zip(*clips, strict=True)
    return np.array(labels), np.array(names)


def kinds(labels, names) -> Counter:
    """How many clusters have bona fide clips only, spoof only, and both."""
    return Counter(tuple(sorted(set(labels[names == name].tolist()))) for name in set(names))


@given(clustered(), st.sampled_from([2**17, 40, 1]))
def test_whole_clusters_are_drawn_as_many_of_each_kind_as_there_are(table, at_once):
    labels, names = table
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "VALUES_AT_ONCE", at_once)
        weights = np.vstack(list(draws(labels, names, resamples=7, seed=3)))
    assert weights.shape == (7, len(labels))
    expected = kinds(labels, names)
    for row in weights:
        of = {name: row[names == name] for name in set(names)}
        assert all(len(set(times)) == 1 for times in of.values())
        drawn = Counter()
        for name, times in of.items():
            drawn[tuple(sorted(set(labels[names == name].tolist())))] += int(times[0])
        assert drawn == expected
        assert all(row[labels == kind].any() for kind in set(labels.tolist()))


@given(clustered(), st.sampled_from([2**17, 40, 1]))
def test_single_clips_are_drawn_within_their_class(table, at_once):
    labels, _ = table
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "VALUES_AT_ONCE", at_once)
        weights = np.vstack(list(draws(labels, None, resamples=5, seed=0)))
    assert weights.shape == (5, len(labels))
    for side in (labels, ~labels):
        assert (weights[:, side].sum(axis=1) == side.sum()).all()


def test_every_clip_is_drawn_once_on_average_and_as_often_as_any_other():
    labels = np.arange(12) < 5
    weights = np.vstack(list(draws(labels, None, resamples=20_000, seed=0)))
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.03)
    np.testing.assert_allclose(weights.var(axis=0), np.where(labels, 1 - 1 / 5, 1 - 1 / 7), atol=0.03)


def test_the_seed_decides_the_draws():
    labels = np.arange(30) % 2 == 0

    def drawn(seed):
        return np.vstack(list(draws(labels, labels.cumsum() // 3, resamples=20, seed=seed)))

    assert (drawn(1) == drawn(1)).all()
    assert (drawn(1) != drawn(2)).any()


def test_names_of_clusters_may_be_of_any_kind():
    labels = np.arange(12) % 2 == 0
    numbers = np.arange(12) // 2 % 5
    words = np.array(["ann", "ben", "cat", "dan", "eve"], dtype=object)[numbers]
    by_number, by_word = (np.vstack(list(draws(labels, of, resamples=9, seed=0))) for of in (numbers, words))
    assert (by_number == by_word).all()


def test_clusters_of_another_length_are_an_error():
    with pytest.raises(MetricError, match="3 labels but 2 clusters"):
        next(draws(np.array([True, False, True]), ["a", "b"], resamples=1, seed=0))


@given(clustered())
def test_clusters_are_counted_in_the_class_that_has_fewer(table):
    labels, names = table
    each = [len(set(names[side])) for side in (labels, ~labels)]
    assert cluster_count(labels, names) == (min(each) or max(each))
    each = [int(side.sum()) for side in (labels, ~labels)]
    assert cluster_count(labels) == (min(each) or max(each))


def test_distributions_are_paired_and_progress_is_told():
    random = np.random.default_rng(0)
    labels = np.arange(300) % 2
    scores = random.normal(size=300) + labels
    told = []
    system, other = (Weighted(scores, labels, ("eer", "cllr"), {"": 0.0}) for _ in range(2))
    first, second = distributions(
        [system, other], labels, resamples=1000, progress=lambda done, total: told.append((done, total))
    )
    assert list(first) == list(system.names)
    assert {name: values.tolist() for name, values in first.items()} == {k: v.tolist() for k, v in second.items()}
    assert first["eer"].shape == (1000,)
    assert np.unique(first["eer"]).size > 20
    assert told[-1] == (1000, 1000)
    assert told == sorted(told)


# --- intervals -----------------------------------------------------------------------------------


def test_an_interval_of_many_clusters_is_of_percentiles():
    assert interval(np.arange(2001.0), clusters=10**9) == pytest.approx((50, 1950), abs=1e-5)
    assert interval(np.arange(2001.0), clusters=10**9, level=0.9) == pytest.approx((100, 1900), abs=1e-5)


@pytest.mark.parametrize("clusters", [2, 3, 10, 40])
def test_an_interval_of_normal_values_is_students(clusters):
    values = norm.ppf((np.arange(1_000_000) + 0.5) / 1_000_000)
    found = interval(values, clusters)
    width = t.ppf(0.975, clusters - 1) * (clusters / (clusters - 1)) ** 0.5
    assert found == pytest.approx((-min(width, values[-1]), min(width, values[-1])), rel=5e-3)


def test_an_interval_is_wider_the_fewer_clusters_there_are():
    values = np.random.default_rng(0).normal(size=5000)
    widths = [high - low for low, high in (interval(values, clusters) for clusters in (3, 5, 10, 20, 50, 1000))]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > widths[-1] + 1


def test_an_interval_that_is_not_defined_is_nan():
    undefined = (
        (np.arange(5.0), 1),
        (np.arange(5.0), 0),
        (np.array([]), 50),
        (np.full(5, np.nan), 50),
        (np.array([0.0, 1.0, inf]), 50),
    )
    for values, clusters in undefined:
        with np.errstate(all="raise"):
            assert all(map(isnan, interval(values, clusters)))
    assert interval(np.array([np.nan, 3.0, 3.0]), 50) == (3, 3)


@pytest.mark.parametrize("clusters", [1, 2, 10, 100, 5000])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_the_bound_at_zero_errors_is_clopper_and_pearsons(clusters, level):
    found = zero_errors_bound(clusters, level=level)
    assert found == pytest.approx(beta.ppf(1 - (1 - level) / 2, 1, clusters), rel=1e-10)
    exact = binomtest(0, clusters).proportion_ci(level, method="exact")
    assert found == pytest.approx(exact.high, rel=1e-10)


def test_without_clusters_nothing_bounds_an_error_rate():
    assert isnan(zero_errors_bound(0))


def test_p_values_by_hand():
    many = 10**9  # clusters, so that Student's distribution is normal
    assert p_value(np.array([1.0, 2.0, 3.0]), many) == pytest.approx(0.5)  # 2 (0 + 1) / 4
    assert p_value(np.array([-1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]), many) == pytest.approx(0.5)  # 2 (1 + 1) / 8
    assert p_value(np.array([-1.0, 1.0]), many) == 1
    assert p_value(np.zeros(50), many) == 1
    assert p_value(np.full(1999, -0.1), many) == pytest.approx(0.001)
    assert np.isnan(p_value(np.zeros(50), 1))


@pytest.mark.parametrize("clusters", [10, 30, 1000])
def test_a_p_value_below_a_twentieth_means_that_the_interval_does_not_hold_zero(clusters):
    drawn = np.random.default_rng(0).normal(size=4999)
    for shift in np.linspace(1, 4, 40):
        low, _ = interval(drawn + shift, clusters)
        p = p_value(drawn + shift, clusters)
        assert abs(p - 0.05) < 0.01 or (p < 0.05) == (low > 0)


@given(st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=30).map(np.array))
def test_p_values_do_not_know_which_system_came_first(differences):
    assert p_value(differences, 20) == p_value(-differences, 20)
    assert 0 < p_value(differences, 20) <= 1


# --- coverage ------------------------------------------------------------------------------------

TRUTH = norm.cdf(-1 / (1 + 0.7**2) ** 0.5)  # both classes have variance 1 within and 0.7² between speakers


def coverage(simulations: int, resamples: int, *, by_speaker: bool) -> float:
    """The share of 95 % intervals that hold the true EER, of tables of 40 speakers with 20 clips of each class."""
    random = np.random.default_rng(2024)
    speakers, labels = np.tile(np.repeat(np.arange(40), 20), 2), np.repeat([1, 0], 800)
    holds = 0
    for _ in range(simulations):
        of_speaker = random.normal(0, 0.7, (2, 40))[labels, speakers]
        scores = np.where(labels == 1, 1, -1) + of_speaker + random.normal(size=1600)
        clusters = speakers if by_speaker else None
        (drawn,) = distributions([Weighted(scores, labels, ("eer",))], labels, clusters, resamples=resamples)
        low, high = interval(drawn["eer"], cluster_count(labels == 1, clusters))
        holds += low <= TRUTH <= high
    return holds / simulations


def test_intervals_over_speakers_hold_the_truth_and_those_over_clips_do_not():
    assert 0.92 <= coverage(300, 300, by_speaker=True) <= 0.98
    assert coverage(100, 200, by_speaker=False) < 0.8


@pytest.mark.slow
def test_coverage_at_length():
    assert 0.93 <= coverage(1000, 1000, by_speaker=True) <= 0.97
    assert coverage(1000, 1000, by_speaker=False) < 0.75
