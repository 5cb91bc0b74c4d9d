"""Comparison of two detectors: what must be equal, what must differ, and how often chance alone says so."""

from __future__ import annotations

from math import comb, isnan, nan

import numpy as np
import pandas as pd
import pytest

from dfad.errors import ConfigError, DataError, MetricError
from dfad.evaluation.compare import aligned, compare, in_words
from dfad.metrics import eer
from dfad.scores import ScoreTable

LABELS = np.repeat([1, 0], [150, 200])


def table(scores: np.ndarray, labels: np.ndarray = LABELS, **columns: object) -> ScoreTable:
    frame = pd.DataFrame({"score": scores, "label": np.asarray(labels, np.int8), "split": "test"})
    names = [f"{row}.wav" for row in range(len(frame))]
    return ScoreTable(frame.assign(id=names, attack=np.where(frame["label"] == 1, "", "tts"), **columns))


def detector(apart: float, seed: int, labels: np.ndarray = LABELS) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=len(labels)) + apart * (2 * labels - 1) / 2


def test_a_detector_does_not_differ_from_itself():
    same = table(detector(2.0, 0))
    found = compare(same, same, resamples=200)
    assert (found.difference, found.interval, found.p_eer) == (0, (0, 0), 1)
    assert (found.alone, found.p_decisions, found.differs) == ((0, 0), 1, False)
    assert found.eers[0] == found.eers[1] == eer(same.scores, same.labels)[0]
    assert found.clips == 350
    assert (found.unit.name, found.unit.count) == ("clip", 150)


def test_only_the_order_of_the_scores_counts_for_the_eer():
    scores = detector(2.0, 0)
    found = compare(table(scores), table(3 * scores + 7), (0.0, 7.0), resamples=100)
    assert (found.difference, found.interval, found.p_eer, found.alone) == (0, (0, 0), 1, (0, 0))


def test_a_better_detector_is_found_whichever_comes_first():
    good, bad = table(detector(4.0, 0)), table(detector(1.0, 1))
    one, other = compare(good, bad, resamples=500), compare(bad, good, resamples=500)
    assert one.differs
    assert other.differs
    assert one.interval.low < one.difference < one.interval.high < 0
    assert other.interval == pytest.approx((-one.interval.high, -one.interval.low), abs=1e-12)
    assert (other.difference, other.alone, other.eers) == (-one.difference, one.alone[::-1], one.eers[::-1])
    assert one.p_eer == other.p_eer
    assert 2 / 501 < one.p_eer < 0.006  # the least that so many resamples and clusters can say
    assert one.p_decisions == other.p_decisions < 1e-6
    assert "A is better than B" in in_words(one, ("A", "B"))[1]
    assert "B is better than A" in in_words(other, ("A", "B"))[1]
    assert "more often than chance" in in_words(one, ("A", "B"))[2]


def test_a_noisy_copy_does_not_differ():
    scores = detector(2.0, 0)
    copy = scores + np.random.default_rng(9).normal(scale=0.05, size=len(scores))
    found = compare(table(scores), table(copy), resamples=500)
    assert not found.differs
    assert found.interval.low <= 0 <= found.interval.high
    assert found.p_eer > 0.05
    assert "no difference larger than chance" in in_words(found, ("A", "B"))[1]


def test_pairing_makes_the_interval_narrower_than_unlike_detectors_have():
    scores = detector(2.0, 0)
    copy = scores + np.random.default_rng(9).normal(scale=0.05, size=len(scores))
    alike, unlike = (compare(table(scores), table(other), resamples=300) for other in (copy, detector(2.0, 5)))
    assert alike.interval.high - alike.interval.low < (unlike.interval.high - unlike.interval.low) / 2


def test_the_order_of_rows_does_not_matter():
    first, second = table(detector(2.0, 0)), table(detector(1.5, 1))
    order = np.random.default_rng(0).permutation(len(first))
    expected = compare(first, second, (0.1, -0.2), resamples=100)
    assert compare(first, ScoreTable(second.frame.iloc[order]), (0.1, -0.2), resamples=100) == expected
    turned = compare(ScoreTable(first.frame.iloc[order]), second, (0.1, -0.2), resamples=100)
    assert (turned.difference, turned.alone) == (expected.difference, expected.alone)
    assert turned.interval == pytest.approx(expected.interval, abs=0.03)  # other draws
    assert aligned(ScoreTable(second.frame.iloc[order]), second).frame.equals(second.frame)


def test_decisions_by_hand():
    # The first errs on clips 0 and 5; the second, at its threshold of 10, on 1, 2, 3, 4 and 5.
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 1])
    first = table(np.array([-1.0, 1, 1, -1, -1, 1, -1, 1]), labels)
    second = table(np.array([11.0, 9, 9, 11, 10, 11, 9, 10]), labels)
    found = compare(first, second, (0.0, 10.0), resamples=20)
    assert found.alone == (4, 1)
    tail = (comb(5, 0) + comb(5, 1)) / 2**5
    assert found.p_decisions == pytest.approx(2 * tail)
    assert "they decide 5 clips differently: A alone is right on 4, B alone on 1" in in_words(found, ("A", "B"))[2]
    assert "neither is right more often than chance" in in_words(found, ("A", "B"))[2]


def test_speakers_are_drawn_as_a_whole():
    speakers = np.arange(350) % 25
    of_speaker = np.random.default_rng(3).normal(scale=0.8, size=25)[speakers]
    first, second = table(detector(2.0, 0) + of_speaker, speaker=speakers), table(detector(2.0, 1))
    by_speaker, by_clip = compare(first, second, resamples=100), compare(first, second, cluster="clip", resamples=100)
    assert (by_speaker.unit.name, by_speaker.unit.count) == ("speaker", 25)
    assert (by_clip.unit.name, by_clip.unit.count) == ("clip", 150)
    assert by_speaker.interval != by_clip.interval
    with pytest.raises(ConfigError, match="did you mean 'speaker'"):
        compare(first, second, cluster="speakers")


def test_other_clips_are_an_error():
    whole, fewer = table(detector(2.0, 0)), table(detector(2.0, 1)).where(np.arange(350) != 7)
    with pytest.raises(DataError, match=r"1 of 350 clips of the first are not in the second, such as 7\.wav"):
        compare(whole, fewer)
    with pytest.raises(DataError, match=r"1 of 350 clips of the second are not in the first, such as 7\.wav"):
        compare(fewer, whole)


def test_other_labels_are_an_error():
    whole = table(detector(2.0, 0))
    frame = whole.frame.copy()
    frame.loc[3, "label"] = 0
    with pytest.raises(DataError, match=r"1 clips have two labels, such as 3\.wav: bona-fide and spoof"):
        compare(whole, ScoreTable(frame))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("scores", "labels", "words"),
    [
        ([1.0, 2.0], [1, 1], "one class only"),
        ([nan, 2.0], [1, 0], "NaN"),
        ([], [], "no scores"),
    ],
)
def test_what_cannot_be_compared_is_an_error(scores, labels, words, turned):
    odd = table(np.array(scores), np.array(labels))
    fine = table(np.arange(float(len(scores))), np.array(labels))
    with pytest.raises(MetricError, match=words):
        compare(*((fine, odd) if turned else (odd, fine)), resamples=10)


def test_a_single_clip_of_a_class_leaves_the_interval_open():
    found = compare(
        table(np.array([1.0, 0]), np.array([1, 0])), table(np.array([0.0, 1]), np.array([1, 0])), resamples=9
    )
    assert found.difference == -1
    assert isnan(found.interval.low)
    assert not found.differs
    said = in_words(found, ("A", "B"))
    assert "too few clips" in said[1]
    assert "nan" not in " ".join(said)


def test_equal_detectors_rarely_differ():
    labels = np.repeat([1, 0], 100)
    found = [
        compare(*(table(detector(2.0, 2 * at + side, labels), labels) for side in (0, 1)), resamples=300)
        for at in range(200)
    ]
    assert np.mean([each.differs for each in found]) < 0.1
    assert np.mean([each.p_eer < 0.05 for each in found]) < 0.1
    assert np.mean([each.p_decisions < 0.05 for each in found]) < 0.1
