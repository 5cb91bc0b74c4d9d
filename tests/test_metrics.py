"""Metrics against golden values, closed forms, worked examples, brute force and scikit-learn."""

from __future__ import annotations

import csv
from math import inf, isnan, log, nan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm, rankdata
from sklearn import metrics as sk
from sklearn.isotonic import IsotonicRegression

from dfad import metrics as m
from dfad.errors import MetricError

# On shared cores a deadline would time the machine; the same examples every time keep a red test red.
settings.register_profile("dfad", deadline=None, derandomize=True, database=None)
settings.load_profile("dfad")

SIX = np.array([3.0, 2.0, 0.5, 1.0, -1.0, -2.0]), np.array([1, 1, 1, 0, 0, 0])
ON_SCORES = (m.det_curve, m.eer, m.eer_asvspoof, m.auroc, m.min_dcf, m.act_dcf, m.cllr, m.min_cllr, m.pav)
RANK_BASED = (
    lambda s, y: m.eer(s, y)[0],
    lambda s, y: m.eer_asvspoof(s, y)[0],
    lambda s, y: m.min_dcf(s, y)[0],
    m.auroc,
    m.min_cllr,
)


def gaussians(clips: int = 200_001) -> tuple[np.ndarray, np.ndarray]:
    """N(1, 1) bona fide and N(-1, 1) spoof on a quantile grid: no sampling error."""
    grid = norm.ppf((np.arange(clips) + 0.5) / clips)
    return np.concatenate((grid + 1, grid - 1)), np.repeat([1, 0], clips)


def ranks(scores: np.ndarray) -> np.ndarray:
    """Scores for scikit-learn, which takes nearly equal ones for equal."""
    return rankdata(scores, method="dense").astype(float)


@st.composite
def trials(draw: st.DrawFn, *, ties: bool | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels of both classes, many of them tied unless told otherwise."""
    n = draw(st.integers(2, 40))
    tied = draw(st.booleans()) if ties is None else ties
    value = st.integers(-4, 4).map(float) if tied else st.floats(-30, 30, allow_subnormal=False)
    scores = draw(arrays(np.float64, n, elements=value, unique=not tied and ties is not None))
    labels = draw(arrays(np.int64, n, elements=st.integers(0, 1)))
    labels[0], labels[-1] = 0, 1
    return scores, labels


# --- golden values -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def asvspoof5(reference: Path) -> tuple[np.ndarray, np.ndarray]:
    with (reference / "reference" / "asvspoof5_dev_scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    scores = np.array([float(row["cm_score"]) for row in rows])
    return scores, np.array([int(row["label"] == "bona-fide") for row in rows])


def test_golden_values_of_asvspoof5(asvspoof5):
    exact = {"rel": 0, "abs": 1e-12}
    assert np.bincount(asvspoof5[1]).tolist() == [22_296, 7_252]
    rate, threshold = m.eer_asvspoof(*asvspoof5)
    assert rate == pytest.approx(0.00619731789960915, **exact)
    assert threshold == pytest.approx(-0.6093828678131104, **exact)
    assert m.eer(*asvspoof5)[0] == pytest.approx(0.0062052, abs=5e-8)
    assert m.min_dcf(*asvspoof5)[0] == pytest.approx(0.01631981160660231, **exact)
    assert m.act_dcf(*asvspoof5) == pytest.approx(0.018024153192537015, **exact)
    assert m.cllr(*asvspoof5) == pytest.approx(0.028190618341414547, **exact)
    assert m.min_cllr(*asvspoof5) == pytest.approx(0.024536919510082834, **exact)
    assert m.tie_fraction(asvspoof5[0]) == pytest.approx(0.16, abs=0.005)


def test_summary_agrees_with_its_parts_and_warns_of_ties(asvspoof5):
    report = m.summary(*asvspoof5, threshold=-1.0)
    assert report.values["eer"] == m.eer(*asvspoof5)[0]
    assert report.values["min_cllr"] == m.min_cllr(*asvspoof5)
    assert report.values["miss_at_val"] == m.decisions(*asvspoof5, -1.0)["miss"]
    assert len(report.notes) == 1
    assert "tied" in report.notes[0]


# --- closed forms and worked examples ------------------------------------------------------------


def test_gaussians():
    scores, labels = gaussians()
    rate, threshold = m.eer(scores, labels)
    assert rate == pytest.approx(norm.cdf(-1), abs=1e-5)
    assert m.eer_asvspoof(scores, labels)[0] == pytest.approx(norm.cdf(-1), abs=1e-5)
    assert threshold == pytest.approx(0, abs=1e-4)
    assert m.auroc(scores, labels) == pytest.approx(norm.cdf(2**0.5), abs=1e-5)
    # The log-likelihood ratio of these two is 2 s: reading s itself as one is what calibration would mend.
    assert m.cllr(2 * scores, labels) == pytest.approx(m.min_cllr(scores, labels), abs=1e-3)
    assert m.cllr(scores, labels) > m.cllr(2 * scores, labels)


def test_rounding_to_integers_punishes_the_asvspoof_eer_only():
    scores, labels = gaussians()
    rounded = np.round(scores)
    assert m.eer_asvspoof(rounded, labels)[0] == pytest.approx(0.309, abs=5e-4)
    # Straight line between the two points beside the diagonal, at thresholds -1/2 and 1/2 of the unrounded scores.
    assert m.eer(rounded, labels)[0] == pytest.approx((norm.cdf(-1.5) + norm.cdf(-0.5)) / 2, abs=1e-4)
    assert m.eer(rounded, labels)[0] == pytest.approx(1 - m.eer(-rounded, labels)[0], abs=1e-12)


def test_constant_scores():
    labels = np.array([1, 0, 0, 1, 0])
    zeros = np.zeros(5)
    assert m.cllr(zeros, labels) == 1
    assert m.min_cllr(zeros, labels) == pytest.approx(1, abs=1e-15)
    assert m.eer(zeros, labels) == (0.5, 0.0)
    assert m.eer_asvspoof(zeros, labels)[0] == 1
    assert m.auroc(zeros, labels) == 0.5
    assert m.min_dcf(zeros, labels)[0] == 1


def test_six_scores_by_hand():
    # Ascending: -2s -1s .5b 1s 2b 3b. At 1: one of three missed (.5), one of three false (1).
    assert m.eer(*SIX) == (1 / 3, 0.75)
    assert m.eer_asvspoof(*SIX) == (1 / 3, 0.5)
    assert m.auroc(*SIX) == 8 / 9
    # Weights 1.9 and 1: at .5 nothing is missed and one of three false.
    assert m.min_dcf(*SIX) == (pytest.approx(1 / 3), -0.25)
    assert m.act_dcf(*SIX) == pytest.approx(1 / 3)
    # PAV pools .5b with 1s: ratios -inf, -inf, 0, 0, inf, inf, so 1 bit is paid by two of six clips.
    assert m.pav(*SIX).tolist() == [inf, inf, 0, 0, -inf, -inf]
    assert m.min_cllr(*SIX) == pytest.approx(1 / 3)
    assert m.confusion(*SIX, threshold=0.75).tolist() == [[2, 1], [1, 2]]


def test_six_scores_with_ties_by_hand():
    # At 1: a spoof and a bona fide. Rates: t=0 (0, 1), t=1 (1/3, 2/3), t=2 (2/3, 1/3), reject all (1, 0).
    scores, labels = [0.0, 1.0, 2.0, 0.0, 1.0, 2.0], [1, 1, 1, 0, 0, 0]
    curve = m.det_curve(scores, labels)
    assert curve.thresholds.tolist() == [0, 1, 2, inf]
    np.testing.assert_allclose(curve.miss, [0, 1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(curve.false_alarm, [1, 2 / 3, 1 / 3, 0])
    assert m.eer(scores, labels)[0] == pytest.approx(0.5)
    assert m.eer_asvspoof(scores, labels)[0] == pytest.approx(2 / 3)  # 0b 0s 1b | 1s: frr 2/3, far 2/3
    assert m.min_cllr(scores, labels) == pytest.approx(1)


def test_separated_scores_put_the_threshold_mid_gap():
    scores, labels = [5.0, 4.0, -2.0, -9.0], [1, 1, 0, 0]
    assert m.eer(scores, labels) == (0.0, 1.0)
    assert m.min_dcf(scores, labels) == (0.0, 1.0)
    assert m.min_cllr(scores, labels) == 0


def test_bayes_threshold_of_act_dcf():
    edge = -0.6418538861723947
    assert edge == pytest.approx(-log(1.9), abs=1e-15)
    assert m.act_dcf([edge + 1e-9, -9.0], [1, 0]) == 0
    assert m.act_dcf([edge - 1e-9, -9.0], [1, 0]) == pytest.approx(1.9)
    assert m.act_dcf([0.1, -0.1], [1, 0], c_miss=1, c_fa=1, p_spoof=0.5) == 0


# --- oracles -------------------------------------------------------------------------------------


@given(trials())
def test_det_curve_is_a_brute_force_scan(trial):
    scores, labels = trial
    for t, miss, false_alarm in zip(*m.det_curve(scores, labels), strict=True):
        accepted = (scores >= t) & (t < inf)
        assert miss == pytest.approx(np.mean(~accepted[labels == 1]), abs=1e-12)
        assert false_alarm == pytest.approx(np.mean(accepted[labels == 0]), abs=1e-12)


@given(trials())
def test_costs_are_a_brute_force_scan(trial):
    scores, labels = trial

    def cost(t):
        miss, false_alarm = np.mean(scores[labels == 1] < t), np.mean(scores[labels == 0] >= t)
        return (0.95 * miss + 0.5 * false_alarm) / 0.5

    value, threshold = m.min_dcf(scores, labels)
    assert value == pytest.approx(min(cost(t) for t in [*scores, inf]), abs=1e-12)
    assert cost(threshold) == pytest.approx(value, abs=1e-12)
    assert m.act_dcf(scores, labels) == pytest.approx(cost(-log(1.9)), abs=1e-12)


@given(trials())
def test_eer_lies_on_the_roc_of_scikit_learn(trial):
    scores, labels = trial
    false_alarm, hit, _ = sk.roc_curve(labels, ranks(scores), drop_intermediate=False)
    rate, threshold = m.eer(scores, labels)
    # On the joined curve false alarm + hit = 1 at the EER, whichever way its vertical pieces run.
    assert rate == pytest.approx(np.interp(1, false_alarm + hit, false_alarm), abs=1e-12)
    gaps = np.abs(1 - hit - false_alarm)
    at = m.decisions(scores, labels, threshold)
    assert abs(at["miss"] - at["false_alarm"]) == pytest.approx(gaps.min(), abs=1e-12)


@given(trials())
def test_auroc_is_scikit_learns(trial):
    assert m.auroc(*trial) == pytest.approx(sk.roc_auc_score(trial[1], ranks(trial[0])), abs=1e-12)


@given(trials())
def test_asvspoof_eer_is_a_literal_scan(trial):
    scores, labels = trial
    ordered = sorted(zip(scores, 1 - labels, strict=True))  # bona fide first among equals
    n_real, n_spoof = labels.sum(), (1 - labels).sum()
    rates = []
    for rejected in range(1, len(ordered) + 1):
        frr = sum(spoof == 0 for _, spoof in ordered[:rejected]) / n_real
        far = sum(spoof == 1 for _, spoof in ordered[rejected:]) / n_spoof
        rates.append((abs(frr - far), (frr + far) / 2))
    assert m.eer_asvspoof(scores, labels)[0] == min(rates, key=lambda pair: pair[0])[1]


@given(trials(ties=False))
def test_eer_definitions_agree_without_ties(trial):
    scores, labels = trial
    step = 1 / min(labels.sum(), (1 - labels).sum())
    assert abs(m.eer(scores, labels)[0] - m.eer_asvspoof(scores, labels)[0]) <= step / 2 + 1e-12


@given(trials())
def test_pav_is_scikit_learns_isotonic_fit(trial):
    scores, labels = trial
    posterior = IsotonicRegression().fit(ranks(scores), labels).predict(ranks(scores))
    with np.errstate(divide="ignore"):
        expected = np.log(posterior) - np.log1p(-posterior) - log(labels.sum() / (1 - labels).sum())
    np.testing.assert_allclose(m.pav(scores, labels), expected, rtol=1e-9, atol=1e-9)


@given(trials())
def test_calibration_loss_is_never_negative(trial):
    assert 0 <= m.min_cllr(*trial) <= min(1, m.cllr(*trial)) + 1e-12


@given(trials(), st.floats(-5, 5))
def test_decisions_are_scikit_learns(trial, threshold):
    scores, labels = trial
    called = (scores >= threshold).astype(int)
    assert m.confusion(scores, labels, threshold).tolist() == sk.confusion_matrix(labels, called).tolist()
    ours = m.decisions(scores, labels, threshold)
    assert ours["accuracy"] == pytest.approx(sk.accuracy_score(labels, called))
    assert ours["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(labels, called))
    assert ours["f1_spoof"] == pytest.approx(sk.f1_score(labels, called, pos_label=0))
    assert ours["f1_bona_fide"] == pytest.approx(sk.f1_score(labels, called, pos_label=1))


# --- invariance ----------------------------------------------------------------------------------


@given(trials(), st.randoms(use_true_random=False))
def test_order_of_clips_does_not_matter(trial, random):
    scores, labels = trial
    order = random.sample(range(len(scores)), len(scores))
    before, after = m.summary(scores, labels, threshold=0.5), m.summary(scores[order], labels[order], threshold=0.5)
    assert before.notes == after.notes
    assert before.values == pytest.approx(after.values, abs=1e-12)
    assert m.pav(scores, labels)[order].tolist() == m.pav(scores[order], labels[order]).tolist()


@pytest.mark.parametrize("metric", RANK_BASED)
@settings(max_examples=40)
@given(trial=trials(ties=True))
def test_increasing_maps_do_not_matter(metric, trial):
    scores, labels = trial
    for mapped in (3 * scores - 7, np.arctan(scores), np.exp(scores), np.where(scores == 4, inf, scores)):
        assert metric(mapped, labels) == metric(scores, labels)


@given(trials())
def test_other_polarity_mirrors_but_is_never_flipped(trial):
    scores, labels = trial
    assert m.auroc(-scores, labels) == pytest.approx(1 - m.auroc(scores, labels), abs=1e-12)
    assert m.eer(-scores, labels)[0] == pytest.approx(1 - m.eer(scores, labels)[0], abs=1e-12)
    assert m.eer(-scores, 1 - labels)[0] == pytest.approx(m.eer(scores, labels)[0], abs=1e-12)


# --- degenerate input ----------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ON_SCORES)
@pytest.mark.parametrize(
    ("scores", "labels", "words"),
    [
        ([1.0, 2.0], [1, 1], "bona fide"),
        ([1.0, 2.0], [0, 0], "spoof"),
        ([], [], "no scores"),
        ([1.0, nan], [1, 0], "1 of 2 scores are NaN"),
        ([1.0, 2.0, 3.0], [1, 0], "3 scores but 2 labels"),
        ([[1.0, 2.0]], [1, 0], r"shape \(1, 2\)"),
        ([1.0, 2.0], [1, 2], "1 .bona fide. or 0 .spoof."),
        ([1.0, 2.0], ["bona-fide", "spoof"], "1 .bona fide. or 0 .spoof."),
        (["a", "b"], [1, 0], "must be numbers"),
    ],
)
def test_bad_input_is_an_error_that_says_why(metric, scores, labels, words):
    with pytest.raises(MetricError, match=words):
        metric(scores, labels)


@pytest.mark.parametrize(
    ("scores", "labels", "words"),
    [
        ([1.0, 2.0], [1, 1], "one class only: every clip is bona fide"),
        ([1.0, nan], [1, 0], "NaN"),
        ([], [], "no scores"),
        ([1.0], [1, 0], "1 scores but 2 labels"),
        ([1.0, 2.0], [[1], [1, 0]], "one per clip"),
    ],
)
def test_summary_never_crashes_and_never_says_zero(scores, labels, words):
    report = m.summary(scores, labels, threshold=0.3)
    assert all(isnan(report.values[key]) for key in m.SCORE_KEYS)
    assert isnan(report.values["balanced_accuracy_at_val"])
    assert len(report.notes) == 1
    assert words in report.notes[0]


def test_one_class_still_has_the_rates_that_need_one_only():
    values = m.summary([1.0, -1.0, -2.0], [0, 0, 0]).values
    assert values["n_spoof"] == 3
    assert values["false_alarm"] == 1 / 3
    assert values["accuracy"] == 2 / 3
    assert isnan(values["miss"])
    assert isnan(values["f1_bona_fide"])


def test_summary_keys():
    values = m.summary(*SIX).values
    at_oracle = [f"{key}_at_oracle" for key in m.DECISION_KEYS]
    assert list(values) == [*m.SCORE_KEYS, "n_bona_fide", "n_spoof", *m.DECISION_KEYS, *at_oracle]
    assert [values[key] for key in at_oracle] == list(m.decisions(*SIX, values["eer_threshold"]).values())
    assert all(isinstance(value, float) for value in values.values())
    assert f"{m.DECISION_KEYS[0]}_at_val" in m.summary(*SIX, threshold=1.0).values
    assert "threshold chosen on validation is NaN" in m.summary(*SIX, threshold=nan).notes[0]


def test_summary_suspects_a_flipped_polarity():
    labels = np.repeat([1, 0], 50)
    scores = np.random.default_rng(0).normal(size=100) + labels
    assert "the other way round" in m.summary(-scores, labels).notes[0]
    assert m.summary(scores, labels).notes == ()


def test_a_summary_of_few_clips_or_of_noise_says_so():
    assert "chance alone could give that" in m.summary(-SIX[0], SIX[1]).notes[0]
    noise = np.random.default_rng(1).normal(size=1000)
    assert "chance alone could give that" in m.summary(noise, np.arange(1000) % 2).notes[0]


def test_infinite_scores_are_legal():
    scores, labels = [inf, inf, 0.0, 0.0, -inf, -inf], [1, 1, 1, 0, 0, 0]
    assert m.eer(scores, labels)[0] == pytest.approx(1 / 6)
    assert m.auroc(scores, labels) == pytest.approx(17 / 18)
    assert m.min_cllr(scores, labels) == pytest.approx(1 / 3)
    assert m.cllr(scores, labels) == pytest.approx(1 / 3)
    assert m.cllr([-inf, 0.0], [1, 0]) == inf
    assert m.eer([inf, -inf], [1, 0]) == (0.0, inf)


def test_costs_out_of_range_are_errors():
    with pytest.raises(MetricError, match="p_spoof"):
        m.min_dcf(*SIX, p_spoof=1.0)
    with pytest.raises(MetricError, match="NaN"):
        m.confusion(*SIX, threshold=nan)


def test_report_names_the_classes_and_says_what_is_undefined():
    text = m.classification_report(*SIX, threshold=0.75)
    lines = text.splitlines()
    assert lines[1].split() == ["bona-fide", "0.6667", "0.6667", "0.6667", "3"]
    assert lines[2].split() == ["spoof", "0.6667", "0.6667", "0.6667", "3"]
    assert lines[-1] == "threshold 0.75"
    assert m.classification_report([1.0], [0]).splitlines()[1].split() == ["bona-fide", "0.0000", "n/a", "n/a", "0"]
