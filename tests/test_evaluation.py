"""Evaluation of a score table: slices worked by hand, and tables for which a metric is not defined."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf, isfinite, isnan, nan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfad import metrics as m
from dfad.calibrate import Isotonic, Logistic
from dfad.deployed import FILE, Deployed
from dfad.errors import ConfigError, MetricError, RunError
from dfad.evaluation import (
    EvaluationKnobs,
    breakdown,
    choose_threshold,
    deploy,
    evaluate,
    results_of,
    unit_of,
    worst,
)
from dfad.evaluation.attacks import mixed
from dfad.evaluation.thresholds import parse_rule
from dfad.evaluation.worst import wrong
from dfad.labels import Label
from dfad.metrics import summary
from dfad.metrics.bootstrap import zero_errors_bound
from dfad.report.tables import other_unit
from dfad.scores import ScoreTable

# On shared cores a deadline would time the machine; the same examples every time keep a red test red.
settings.register_profile("dfad", deadline=None, derandomize=True, database=None)
settings.load_profile("dfad")

SOME = EvaluationKnobs(resamples=100)


def table(*rows: tuple[float, str]) -> ScoreTable:
    """A table of (score, attack); no attack is bona fide."""
    frame = pd.DataFrame(rows, columns=["score", "attack"])
    frame["id"] = [f"{row}.wav" for row in range(len(frame))]
    return ScoreTable(frame.assign(label=(frame["attack"] == "").astype(np.int8), split="test"))


def many(real: int, spoof: int, *, apart: float = 2.0, seed: int = 0, **columns: object) -> ScoreTable:
    """A table of normal scores; columns are given for bona fide clips first."""
    random = np.random.default_rng(seed)
    scores = random.normal(size=real + spoof) + apart * (np.arange(real + spoof) < real)
    found = table(*((score, "" if row < real else "tts") for row, score in enumerate(scores)))
    return ScoreTable(found.frame.assign(**columns))


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


# --- thresholds ----------------------------------------------------------------------------------

SCORE = st.one_of(st.integers(-3, 3).map(float), st.floats(-30, 30))


@st.composite
def both_classes(draw):
    real, spoof = (draw(st.lists(SCORE, min_size=1, max_size=15)) for _ in range(2))
    return np.array(real + spoof), np.repeat([1, 0], [len(real), len(spoof)])


@given(both_classes(), st.one_of(st.floats(0.001, 0.999), st.integers(1, 14)))
def test_the_promised_false_alarms_are_kept_by_the_lowest_threshold_that_can(clips, share):
    scores, labels = clips
    spoof = scores[labels == 0]
    most = share if isinstance(share, float) else share / (len(spoof) + share)  # k of n, exactly, too
    found = choose_threshold(f"fa@{most!r}", scores, labels)
    levels = [*np.unique(scores), inf]
    lowest = next(at for at, level in enumerate(levels) if np.mean(spoof >= level) <= most)
    assert np.mean(spoof >= found) <= most
    assert ((scores >= found) == (scores >= levels[lowest])).all()
    if 0 < lowest < len(levels) - 1:
        assert levels[lowest - 1] < found <= levels[lowest]
        assert found == pytest.approx((levels[lowest - 1] + levels[lowest]) / 2)


@pytest.mark.parametrize("passing", range(1, 20))
def test_a_promise_of_a_whole_number_of_clips_is_used_up(passing):
    scores, labels = np.arange(40.0), np.arange(40) % 2
    found = choose_threshold(f"fa@{passing / 20}", scores, labels)
    assert np.sum(scores[labels == 0] >= found) == passing


@given(both_classes())
def test_rules_find_the_least_of_what_they_promise(clips):
    scores, labels = clips

    def errors(at):
        return np.mean(scores[labels == 1] < at), np.mean(scores[labels == 0] >= at)

    def gap(at):
        return abs(errors(at)[0] - errors(at)[1])

    def cost(at):
        return 1.9 * errors(at)[0] + errors(at)[1]

    every = [*np.unique(scores), inf]
    assert gap(choose_threshold("eer", scores, labels)) == pytest.approx(min(map(gap, every)), abs=1e-12)
    assert cost(choose_threshold("min_dcf", scores, labels)) == pytest.approx(min(map(cost, every)), abs=1e-12)
    assert choose_threshold(0.25, scores, labels) == choose_threshold("0.25", [], []) == 0.25


@pytest.mark.parametrize(
    "rule", ["", "best", "fa@", "fa@0", "fa@1", "fa@nan", "fa@-0.1", "@0.1", "miss@0.1", "nan", inf]
)
def test_what_is_no_rule_is_refused(rule):
    with pytest.raises(MetricError, match=r"use eer, min_dcf, fa@0\.01 or a number"):
        parse_rule(rule)
    with pytest.raises(ConfigError, match="threshold"):
        EvaluationKnobs.read({"threshold": rule})


# --- what is deployed ----------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["eer", "min_dcf", "fa@0.1", "0.75", -1.5])
@pytest.mark.parametrize("calibrator", ["logistic", "isotonic", "none"])
def test_validation_alone_chooses(rule, calibrator):
    validation, test = many(60, 90), many(50, 50, seed=1)
    options = EvaluationKnobs(threshold=rule, calibrator=calibrator, prior=0.1, resamples=0)
    found = deploy(validation, options)
    assert found.threshold == choose_threshold(rule, validation.scores, validation.labels)
    kind = {"logistic": Logistic, "isotonic": Isotonic}.get(calibrator)
    assert found.calibrator == (kind and kind.fit(validation.scores, validation.labels))
    assert (found.rule, found.prior, found.notes) == (rule, 0.1, ())
    assert Deployed.read(found.plain()) == found
    values = evaluate(test, options, found).values
    assert values["threshold_at_val"] == found.threshold
    assert values["false_alarm_at_val"] == m.decisions(test.scores, test.labels, found.threshold)["false_alarm"]
    if found.calibrator:
        assert values["cllr_calibrated"] == m.cllr(found.calibrator(test.scores), test.labels)
    else:
        assert "cllr_calibrated" not in values


@pytest.mark.parametrize("rule", ["eer", "fa@0.1"])
@pytest.mark.parametrize(
    ("validation", "words"),
    [
        (table((1.0, ""), (2.0, "")), "one class only: every clip is bona fide"),
        (table((1.0, "a"), (2.0, "a")), "one class only: every clip is spoof"),
        (table((nan, "a"), (2.0, "")), "NaN"),
        (MIXED.where(np.zeros(6, bool)), "no scores"),
    ],
)
def test_a_validation_that_cannot_choose_leaves_nothing_and_says_why(rule, validation, words):
    found = deploy(validation, EvaluationKnobs(threshold=rule))
    assert (found.threshold, found.calibrator) == (None, None)
    assert [words in note for note in found.notes] == [True, True]
    assert found.notes[0].startswith("no threshold could be chosen on validation")
    assert found.notes[1].startswith("no calibrator could be fitted on validation")


def test_an_infinite_threshold_is_none():
    found = deploy(table((inf, ""), (0.0, "a")), EvaluationKnobs())
    assert (found.threshold, found.calibrator) == (None, None)
    assert "rejecting or accepting every clip is best" in found.notes[0]
    assert "infinite score" in found.notes[1]
    never = deploy(table((0.0, ""), (1.0, "a")), EvaluationKnobs(threshold="fa@0.01", calibrator="none"))
    assert never.threshold is None
    assert never.notes == (
        "no threshold could be chosen on validation: by fa@0.01, rejecting or accepting every clip is best",
    )


def test_scores_that_are_the_wrong_way_round_leave_a_threshold_but_no_calibrator():
    found = deploy(many(50, 50, apart=-2), EvaluationKnobs())
    assert found.threshold is not None
    assert found.calibrator is None
    assert "do not rise" in found.notes[0]


@pytest.mark.parametrize(("rule", "threshold"), [("eer", None), ("fa@0.01", None), (0.5, 0.5), ("0.5", 0.5)])
def test_without_validation_a_number_is_all_there_is(rule, threshold):
    found = deploy(None, EvaluationKnobs(threshold=rule))
    assert (found.threshold, found.calibrator, found.notes) == (threshold, None, ())


def test_what_a_run_has_stored(tmp_path):
    assert Deployed.of_run(tmp_path) is None
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(RunError, match="damaged or missing"):
        Deployed.of_run(tmp_path)
    found = deploy(many(30, 30), EvaluationKnobs())
    (tmp_path / FILE).write_text(json.dumps(found.plain(), allow_nan=False))
    assert Deployed.of_run(tmp_path) == found
    for broken in ("{", "[]", '{"threshold": NaN}', '{"calibrator": {"name": "logistic", "slope": -1, "offset": 0}}'):
        (tmp_path / FILE).write_text(broken)
        with pytest.raises(RunError, match="damaged or missing"):
            Deployed.of_run(tmp_path)


# --- units ---------------------------------------------------------------------------------------


def test_speakers_are_drawn_before_sources_and_sources_before_clips():
    speakers, sources = np.arange(60) % 12, np.char.add("s", (np.arange(60) % 15).astype(str))
    both = many(30, 30, speaker=speakers, source=sources)
    assert (unit_of(both).name, unit_of(both).count, unit_of(both).note) == ("speaker", 12, "")
    assert (unit_of(both, "source").name, unit_of(both, "source").count) == ("source", 15)
    unknown = many(30, 30, speaker=["unknown"] * 60, source=sources)
    assert unit_of(unknown).name == "source"
    neither = unit_of(many(30, 20))
    assert (neither.name, neither.clusters, neither.count, neither.note) == ("clip", None, 20, "")
    assert unit_of(both, "clip") == replace(neither, count=30)


def test_a_speaker_who_is_known_of_one_class_only_is_not_drawn():
    half = many(30, 30, speaker=[*(np.arange(30) % 12).astype(str), *["-"] * 30])
    assert unit_of(half).name == "clip"
    assert unit_of(half, "speaker").name == "speaker"  # unless one asks for it


def test_with_fewer_than_ten_clusters_clips_are_drawn_and_a_note_says_so():
    few = unit_of(many(40, 40, speaker=np.arange(80) % 9))
    assert (few.name, few.clusters, few.count) == ("clip", None, 40)
    assert few.note.startswith("only 9 known values of speaker in the class that has fewer")
    assert few.note in evaluate(many(40, 40, speaker=np.arange(80) % 9), SOME).notes
    assert unit_of(many(40, 40, speaker=np.arange(80) % 10)).name == "speaker"
    lopsided = unit_of(many(40, 40, speaker=[*np.arange(40) % 20, *np.arange(40) % 3]))
    assert (lopsided.name, "only 3 known values" in lopsided.note) == ("clip", True)


@pytest.mark.parametrize("unknown", ["", "-", "unknown", " N/A ", nan, None])
def test_a_clip_of_an_unknown_speaker_is_a_cluster_of_its_own(unknown):
    speakers = pd.Series([str(row % 12) for row in range(60)], dtype=object)
    speakers[[3, 15, 40]] = unknown
    found = unit_of(many(30, 30, speaker=speakers))
    assert found.note == "3 of 60 clips have no known speaker, each counts as its own"
    assert found.count == 13  # twelve of each class, and one or two of their own
    clusters = found.clusters.tolist()
    assert [clusters.count(clusters[row]) for row in (3, 15, 40, 0)] == [1, 1, 1, 5]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("spoof", [0, 48])
def test_speakers_are_drawn_of_a_table_of_one_class_too(spoof):
    found = unit_of(many(48 - spoof, spoof, speaker=np.arange(48) % 12))
    assert (found.name, found.count) == ("speaker", 12)


def test_a_column_that_is_not_there_is_an_error_that_says_what_to_type():
    with pytest.raises(ConfigError, match=r"no column 'speeker' to draw as a whole; did you mean 'speaker'\?"):
        unit_of(many(3, 3, speaker="ann"), "speeker")
    with pytest.raises(ConfigError, match=r"no column 'codek'.*did you mean 'codec'"):
        breakdown(many(3, 3, codec="mp3"), "codek")
    with pytest.raises(ConfigError, match="no column 'codek'"):
        evaluate(many(3, 3, codec="mp3"), EvaluationKnobs(resamples=0, by=("codek",)))


# --- breakdowns ----------------------------------------------------------------------------------


def test_an_attack_stands_against_every_bona_fide_clip():
    old, new = sorted(breakdown(MIXED, "attack", threshold=0.5), key=lambda found: found.value, reverse=True)
    assert (old.value, old.n_bona_fide, old.n_spoof, old.eer, old.miss, old.false_alarm) == ("old", 2, 2, 0, 0, 0)
    assert (new.value, new.n_bona_fide, new.n_spoof, new.eer, new.miss, new.false_alarm) == ("new", 2, 2, 0.5, 0, 1)


CORPORA = ScoreTable(MIXED.frame.assign(corpus=["x", "y", "x", "y", "x", "y"]))


def test_an_attack_stands_against_the_bona_fide_clips_of_its_corpus_and_has_its_name():
    found = {part.value: part for part in breakdown(CORPORA, "attack", threshold=0.5)}
    assert set(found) == {"x/old", "x/new", "y/old", "y/new"}
    for value, part in found.items():
        corpus, attack = value.split("/")
        frame = CORPORA.frame[CORPORA.frame["corpus"] == corpus]
        alone = ScoreTable(frame[frame["attack"].isin(["", attack])])
        assert (part.n_bona_fide, part.n_spoof, part.eer) == (1, 1, m.eer(alone.scores, alone.labels)[0])
    values = evaluate(CORPORA, EvaluationKnobs(resamples=0), known_attacks=["x/old", "y/new"]).values
    assert {name for name in values if name.startswith("eer/")} == {
        f"eer/{name}" for name in (*found, "seen", "unseen")
    }
    known = ["x/old", "x/new"]  # so what training had is all of x, against the bona fide clips of x alone
    values = evaluate(CORPORA, EvaluationKnobs(resamples=0), known_attacks=known).values
    of_x = CORPORA.where(CORPORA.frame["corpus"] == "x")
    assert values["eer/seen"] == m.eer(of_x.scores, of_x.labels)[0]


def test_clips_of_no_known_corpus_are_a_corpus_of_their_own():
    some = ScoreTable(MIXED.frame.assign(corpus=["x", None, "x", "", "x", None]))
    found = {part.value: (part.n_bona_fide, part.n_spoof) for part in breakdown(some, "attack")}
    assert found == {"x/old": (1, 1), "x/new": (1, 1), "old": (1, 1), "new": (1, 1)}


def test_a_corpus_without_bona_fide_clips_has_no_eer_of_its_attacks():
    real = CORPORA.frame["label"] == 1
    one = ScoreTable(CORPORA.frame.assign(corpus=CORPORA.frame["corpus"].mask(real, "x")))
    assert {part.value: part.note for part in breakdown(one, "attack")} == {
        "x/old": "", "x/new": "", "y/old": "one class only", "y/new": "one class only"
    }  # fmt: skip


def test_several_corpora_are_told():
    (note,) = mixed(CORPORA)
    assert note.startswith("clips of 2 corpora are judged together (x, y): ")
    many_corpora = ScoreTable(many(20, 20).frame.assign(corpus=[f"c{row % 10}" for row in range(40)]))
    assert "judged together (c0, c1, c2, c3, c4, c5, c6, c7, … (2 more))" in mixed(many_corpora)[0]
    assert mixed(MIXED) == mixed(ScoreTable(MIXED.frame.assign(corpus="x"))) == []


def test_spoof_of_any_other_value_stands_against_bona_fide_of_the_same():
    by_codec = ScoreTable(MIXED.frame.assign(codec=["mp3", "ogg", "mp3", "ogg", "ogg", "mp3"]))
    found = {part.value: part for part in breakdown(by_codec, "codec", threshold=0.5)}
    for value in ("mp3", "ogg"):
        alone = by_codec.where(by_codec.frame["codec"] == value)
        rates = m.decisions(alone.scores, alone.labels, 0.5)
        assert found[value].eer == m.eer(alone.scores, alone.labels)[0]
        assert (found[value].miss, found[value].false_alarm) == (rates["miss"], rates["false_alarm"])
        assert (found[value].n_bona_fide, found[value].n_spoof) == (1, 2)


def test_the_worst_slice_comes_first_and_what_has_no_eer_last():
    random = np.random.default_rng(0)
    frame = many(150, 150, apart=1.0).frame.assign(language=random.choice(list("abcdef"), 300))
    frame.loc[frame["language"] == "c", "label"] = 0  # no bona fide of it
    frame.loc[frame["language"] == "d", "label"] = 1
    found = breakdown(ScoreTable(frame), "language")
    rates = [part.eer for part in found]
    assert rates[:4] == sorted(rates[:4], reverse=True)
    assert [isnan(rate) for rate in rates] == [False] * 4 + [True] * 2
    for part in found[4:]:
        assert part.note == "one class only"
        assert isnan(part.miss) == (part.value == "c")
        assert isnan(part.false_alarm) == (part.value == "d")
    errors = [max(rate for rate in (part.miss, part.false_alarm) if not isnan(rate)) for part in found[4:]]
    assert errors == sorted(errors, reverse=True)


def test_values_that_are_missing_are_a_slice_of_their_own():
    frame = many(20, 20).frame.assign(codec=[nan, None, "", "mp3"] * 10)
    assert {part.value: part.n_bona_fide + part.n_spoof for part in breakdown(ScoreTable(frame), "codec")} == {
        "(none)": 30,
        "mp3": 10,
    }


def test_intervals_of_slices_are_of_the_unit_and_of_the_hundred_worst_only():
    frame = many(600, 600, speaker=np.arange(1200) % 40).frame
    frame["attack"] = np.where(frame["label"] == 1, "", np.char.add("a", (np.arange(1200) % 120).astype(str)))
    attacks = ScoreTable(frame)
    unit = unit_of(attacks)
    assert unit.name == "speaker"
    found = breakdown(attacks, "attack", unit=unit, resamples=20)
    assert len(found) == 120
    assert [isfinite(part.interval.low) for part in found] == [True] * 100 + [False] * 20
    assert {part.unit for part in found[:100]} == {"clip"}  # an attack is of one speaker here
    halves = ScoreTable(frame.assign(codec=np.arange(1200) // 40 % 2))
    assert [part.unit for part in breakdown(halves, "codec", unit=unit, resamples=20)] == ["speaker"] * 2
    assert all(isnan(part.interval.low) for part in breakdown(halves, "codec", unit=unit))


def test_slices_without_an_error_end_where_none_would_still_be_likely():
    (found,) = breakdown(many(40, 30, apart=50), "attack", unit=unit_of(many(40, 30)), resamples=20)
    assert (found.eer, found.interval) == (0, (0, zero_errors_bound(30)))


# --- intervals and warnings ----------------------------------------------------------------------


WITH_INTERVAL = ("eer", "auroc", "min_dcf", "act_dcf", "cllr", "min_cllr", *m.DECISION_KEYS)


def test_intervals_hold_the_values():
    data = many(400, 500, speaker=np.arange(900) % 45)
    deployed = deploy(many(100, 100, seed=5), EvaluationKnobs())
    found = evaluate(data, EvaluationKnobs(resamples=300), deployed, known_attacks=["other"])
    assert (found.unit.name, found.unit.count) == ("speaker", 45)
    named = {*WITH_INTERVAL, *(f"{key}_at_val" for key in m.DECISION_KEYS)}
    assert set(found.intervals) == {*named, "cllr_calibrated", "act_dcf_calibrated", "eer/tts", "eer/unseen"}
    for name, (low, high) in found.intervals.items():
        assert low < high, name
        assert low <= found.values[name] <= high, name


def test_without_resamples_there_is_neither_interval_nor_unit():
    found = evaluate(many(40, 40), EvaluationKnobs(resamples=0))
    assert (found.intervals, found.unit) == ({}, None)


def test_the_same_evaluation_gives_the_same_intervals():
    assert evaluate(many(40, 40), SOME) == evaluate(many(40, 40), SOME)


def test_intervals_at_no_error_and_at_nothing_but_errors():
    found = evaluate(ScoreTable(many(50, 70, apart=60).frame.eval("score = score - 30")), SOME, Deployed(threshold=-90))
    bound = zero_errors_bound(50)
    for name in ("eer", "miss", "false_alarm", "miss_at_val", "eer/tts"):
        assert (found.values[name], found.intervals[name]) == (0, (0, bound)), name
    assert found.intervals["accuracy"] == found.intervals["balanced_accuracy"] == (1 - bound, 1)
    assert (found.values["false_alarm_at_val"], found.intervals["false_alarm_at_val"]) == (1, (1 - bound, 1))
    assert all(map(isnan, found.intervals["min_dcf"]))
    assert any(note.startswith("not one error") for note in found.notes)


@pytest.mark.parametrize(
    ("data", "deployed", "words"),
    [
        (many(29, 200), Deployed(), "only 29 bona-fide clips: another sample"),
        (many(200, 5), Deployed(), "only 5 spoof clips: another sample"),
        (many(200, 200), Deployed(threshold=3.0), "does not carry over: 8"),
        (many(200, 200), Deployed(threshold=1.0, rule="fa@0.01"), "promised that 0.01 of spoof clips pass, here it is"),
        (ScoreTable(many(200, 200).frame.round({"score": 0})), Deployed(), "of the scores are tied"),
        (many(200, 200, apart=-2), Deployed(), "below chance: scores may be the other way round"),
        (many(20, 20, apart=0), Deployed(), "chance alone could give that"),
    ],
)
def test_what_a_reader_should_know_is_said_in_words(data, deployed, words):
    off = EvaluationKnobs(resamples=0)
    assert any(words in note for note in evaluate(data, off, deployed).notes)
    good = Deployed(threshold=2.0, rule="fa@0.3")
    assert evaluate(many(200, 200, apart=4), off, good).notes == ()


def test_an_infinite_cost_is_explained():
    found = evaluate(table((-inf, ""), (1.0, ""), (0.0, "a"), (-2.0, "a")), SOME)
    assert found.values["cllr"] == inf
    assert all(map(isnan, found.intervals["cllr"]))
    assert "cllr is infinite: a clip with an infinite score is on the wrong side" in found.notes


# --- tables that are odd -------------------------------------------------------------------------

DEPLOYED = Deployed(threshold=0.5, calibrator=Logistic(slope=2.0, offset=-1.0), rule="fa@0.01")
ODD = {
    "bona fide only": table((1.0, ""), (0.0, "")),
    "spoof only": table((1.0, "a"), (0.0, "b")),
    "one clip": table((1.0, "")),
    "one of each": table((1.0, ""), (0.0, "a")),
    "nothing": MIXED.where(np.zeros(6, bool)),
    "NaN": table((nan, ""), (1.0, ""), (0.0, "a")),
    "all NaN": table((nan, ""), (nan, "a")),
    "all tied": table(*[(1.0, ""), (1.0, "a")] * 20),
    "infinite": table((inf, ""), (-inf, "a"), (inf, ""), (-inf, "b")),
    "infinitely wrong": table((-inf, ""), (inf, "a"), (-inf, ""), (inf, "b")),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("speakers", [False, True])
@pytest.mark.parametrize("kind", ODD)
def test_nothing_crashes_and_what_is_not_defined_is_nan_with_a_reason(kind, speakers):
    data = ODD[kind]
    if speakers:
        data = ScoreTable(data.frame.assign(speaker=data.frame["id"], language="en"))
    options = EvaluationKnobs(resamples=30, by=("attack", "language") if speakers else None)
    chosen = deploy(data, options)
    assert chosen.notes or (chosen.threshold is not None and chosen.calibrator)
    for deployed in (Deployed(), DEPLOYED, chosen):
        found = evaluate(data, options, deployed, known_attacks=["a"])
        undefined = [name for name in m.SCORE_KEYS if isnan(found.values[name])]
        assert undefined in ([], list(m.SCORE_KEYS))
        assert any("one class" in note or "NaN" in note or "no scores" in note for note in found.notes) == bool(
            undefined
        )
        for parts in found.breakdowns.values():
            assert all(part.note for part in parts if isnan(part.eer))
        results = results_of({"test": found}, options, deployed)
        assert json.loads(json.dumps(results, allow_nan=False)) == results
    if len(data):
        assert unit_of(data).name == ("speaker" if speakers and kind == "all tied" else "clip")
    for at in (0.0, 1.0):
        assert len(worst(data, threshold=at, most=3)) == min(3, len(data))
        assert all(len(wrong(data, label, threshold=at)) <= len(data) for label in Label)


WEIRD = st.one_of(st.integers(-2, 2).map(float), st.sampled_from([inf, -inf, nan]), st.floats(-9, 9))


@pytest.mark.filterwarnings("error")
@settings(max_examples=60)
@given(st.lists(st.tuples(WEIRD, st.sampled_from(["", "", "old", "new"])), min_size=1, max_size=12))
def test_any_table_is_evaluated(rows):
    data = table(*rows)
    found = evaluate(data, EvaluationKnobs(resamples=5), DEPLOYED, known_attacks=["old"])
    expected = summary(data.scores, data.labels, threshold=0.5).values
    assert {name: found.values[name] for name in expected} == pytest.approx(expected, nan_ok=True, abs=0)
    json.dumps(results_of({"test": found}, SOME, DEPLOYED), allow_nan=False)


def test_golden_values_pass_through(reference: Path):
    frame = pd.read_csv(reference / "reference" / "asvspoof5_dev_scores.csv")
    data = ScoreTable(
        pd.DataFrame(
            {
                "id": np.arange(len(frame)).astype(str),
                "score": frame["cm_score"],
                "label": (frame["label"] == "bona-fide").astype(np.int8),
                "attack": np.where(frame["label"] == "bona-fide", "", "all"),
                "split": "val",
            }
        )
    )
    found = evaluate(data, EvaluationKnobs(resamples=20))
    golden = {
        "eer_asvspoof": 0.00619731789960915,
        "min_dcf": 0.01631981160660231,
        "act_dcf": 0.018024153192537015,
        "cllr": 0.028190618341414547,
        "min_cllr": 0.024536919510082834,
        "n_bona_fide": 7252,
        "n_spoof": 22296,
    }
    assert {name: found.values[name] for name in golden} == pytest.approx(golden, rel=0, abs=1e-12)
    assert found.values["eer/all"] == found.values["eer"] == pytest.approx(0.0062052, abs=5e-8)
    for name in ("eer", "cllr", "act_dcf", "auroc"):
        low, high = found.intervals[name]
        assert low < found.values[name] < high


# --- results -------------------------------------------------------------------------------------


def test_results_are_plain_data():
    data = many(60, 60, language=np.where(np.arange(120) % 3, "en", "de"))
    options = EvaluationKnobs(resamples=20, by=("language",))
    deployed = deploy(many(40, 40, seed=3), options).model_copy(update={"notes": ("of validation",)})
    found = evaluate(data, options, deployed)
    one = evaluate(table((1.0, ""), (nan, "a")), options.model_copy(update={"by": ()}), deployed)
    results = results_of({"val": one, "test": found}, options, deployed, notes=["of the corpus"])
    assert json.loads(json.dumps(results, allow_nan=False)) == results
    assert (results["format"], results["options"], results["threshold"]) == (2, options.plain(), deployed.threshold)
    assert results["values"]["test/eer"] == found.values["eer"]
    assert results["values"]["val/eer"] is None
    assert results["values"]["test/n_spoof"] == 60
    assert isinstance(results["values"]["test/n_spoof"], int)
    assert results["intervals"]["test/eer"] == list(found.intervals["eer"])
    assert results["bootstrap"] == {"test": {"unit": "clip", "count": 60, "resamples": 20}}
    assert [part["value"] for part in results["breakdowns"]["test"]["language"]] == [
        part.value for part in found.breakdowns["language"]
    ]
    assert results["notes"][:2] == ["of the corpus", "of validation"]
    assert "val: 1 of 2 scores are NaN: find those clips in the score table" in results["notes"]


# --- what is said --------------------------------------------------------------------------------


def overlapping(**columns: object) -> ScoreTable:
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
    found = evaluate(overlapping(), EvaluationKnobs(resamples=0), Deployed(threshold=9.0, rule=rule))
    assert any("does not carry over" in note for note in found.notes) == warned


def test_slices_over_clips_are_told_where_the_whole_is_over_speakers() -> None:
    table = overlapping(speaker=[f"s{row % 20}" for row in range(120)], codec=["a", "b"] * 60)
    options = EvaluationKnobs(resamples=50, by=("attack", "speaker"))
    results = results_of({"test": evaluate(table, options)}, options, Deployed())
    parts = results["breakdowns"]["test"]
    assert other_unit(results, "test", parts["attack"]) == ""
    assert "single clips" in other_unit(results, "test", parts["speaker"])


@pytest.mark.parametrize("resamples", [0, 50])
def test_notes_speak_of_intervals_only_where_there_are_some(resamples: int) -> None:
    notes = evaluate(table((1.0, ""), (2.0, ""), (-1.0, "A"), (-2.0, "A")), EvaluationKnobs(resamples=resamples)).notes
    assert any("interval" in note for note in notes) == bool(resamples)
    assert any("only 2 spoof clips" in note for note in notes)
