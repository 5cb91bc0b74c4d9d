"""Results of a suite, on tables worked by hand, and against what evaluation and a plain loop say of the same scores."""

from __future__ import annotations

import json
from math import inf, nan

import numpy as np
import pandas as pd
import pytest

from dfad.calibrate import Logistic
from dfad.deployed import Deployed
from dfad.errors import DataError
from dfad.evaluation import EvaluationKnobs, evaluate, unit_of
from dfad.metrics.bootstrap import draws
from dfad.robustness.adversaries import ADVERSARIES
from dfad.robustness.conditions import CLEAN, Condition
from dfad.robustness.made import differing, made
from dfad.robustness.results import results_of
from dfad.scores import ScoreTable

IDS = ("r1", "r2", "r3", "s1", "s2", "s3")
NOISE, DEAF = (Condition("laundering", "noise", strength, "dB", "lower") for strength in (10.0, 0.0))
MP3 = Condition("laundering", "mp3", 32.0, "kbit/s", "lower")
PGD = Condition("adversarial", "pgd", 0.001)
AT = Deployed(threshold=0.5)


def table(*scores: float, ids: tuple[str, ...] = IDS, **columns: object) -> ScoreTable:
    """A table of clips; the first letter of an id tells the class, the rest of a spoof's the attack."""
    frame = pd.DataFrame({"id": ids, "score": np.array(scores, np.float32)})
    spoof = frame["id"].str.startswith("s")
    attack = frame["id"].str.slice(1).map({"1": "old", "2": "new", "3": "new"}).where(spoof, "")
    return ScoreTable(frame.assign(label=(~spoof).astype(np.int8), attack=attack, split="test", **columns))


BY_HAND = {
    CLEAN: table(2, 1, 0, -2, -1, 1, snr_db=inf),
    DEAF: table(0, 0, 0, 0, 0, 0, snr_db=0.0),
    NOISE: table(0.4, 0.6, 1, -2, 0.5, -1, snr_db=[9.0, 11.0, 10.0, 10.0, inf, nan]),
    MP3: table(2, 1, 0, -2, -1, 1, snr_db=20.0),
    PGD: table(0, 0, 0, 1, 1, 1, snr_db=40.0, queries=[1, 2, 3, 4, 5, 9]),
}


def by_key(results: dict[str, object]) -> dict[str, dict[str, object]]:
    found = results["conditions"]
    assert isinstance(found, list)
    return {one["key"]: one for one in found}


def value(measured: object) -> float:
    assert isinstance(measured, dict)
    return float(measured["value"])


def test_conditions_by_hand() -> None:
    results = results_of(BY_HAND, AT, resamples=0)
    assert {name: value(results["clean"][name]) for name in ("eer", "miss", "false_alarm")} == pytest.approx(
        {"eer": 1 / 3, "miss": 1 / 3, "false_alarm": 1 / 3}  # r3 is rejected, s3 passes
    )
    expected = {  # EER, miss, false alarm, fake to real of s1 and s2, real to fake of r1 and r2
        "noise@10": (1 / 3, 1 / 3, 1 / 3, 1 / 2, 1 / 2),  # r1 lost and r3 won; s2, at the threshold, passes
        "noise@0": (1 / 2, 1, 0, 0, 1),
        "mp3@32": (1 / 3, 1 / 3, 1 / 3, 0, 0),
        "pgd@0.001": (1, 1, 1, 1, 1),
    }
    found = by_key(results)
    assert list(found) == list(expected)  # the mildest first, whatever their order in the suite
    names = ("eer", "miss", "false_alarm", "fake_to_real", "real_to_fake")
    for key, numbers in expected.items():
        assert [value(found[key][name]) for name in names] == pytest.approx(numbers), key
        assert value(found[key]["eer_added"]) == pytest.approx(numbers[0] - 1 / 3), key
    assert found["noise@0"]["cllr"] == pytest.approx(1)
    assert found["noise@10"]["by_attack"] == {"old": 0, "new": 0.5}
    assert (found["noise@10"]["snr_db"], found["noise@10"]["unchanged"]) == (10, 1)
    assert found["noise@0"]["snr_db"] == 0
    assert found["pgd@0.001"]["queries"] == 4
    # bona fide as they are, 2, 1 and 0, against spoof at 1: one of three is below, and one ties
    assert value(found["pgd@0.001"]["eer_fakes"]) == pytest.approx(1 / 2)
    assert "eer_fakes" not in found["noise@10"]


def test_the_mean_over_strengths_then_over_perturbations() -> None:
    results = results_of(BY_HAND, AT, resamples=0, seen={"mp3": "augment.codec"})
    means = results["means"]
    assert (means["laundering"]["perturbations"], means["laundering"]["conditions"]) == (2, 3)
    noise = (1 / 3 + 1 / 2) / 2
    assert value(means["laundering"]["eer"]) == pytest.approx((noise + 1 / 3) / 2)
    assert value(means["laundering"]["eer_added"]) == pytest.approx(1 / 24)
    assert value(means["laundering"]["eer_times"]) == pytest.approx(9 / 8)
    assert value(means["laundering/seen"]["eer"]) == pytest.approx(1 / 3)
    assert value(means["laundering/unseen"]["eer"]) == pytest.approx(noise)
    assert value(means["adversarial"]["fake_to_real"]) == 1
    assert value(means["adversarial"]["eer_fakes"]) == pytest.approx(1 / 2)
    assert "eer_fakes" not in means["laundering"]
    assert set(results_of(BY_HAND, AT, resamples=0)["means"]) == {"laundering", "adversarial"}
    assert [one["seen"] for one in results["conditions"]] == [False, False, True, False]


def test_an_attack_that_has_changed_is_scored_anew_and_no_other() -> None:
    before = {"format": 2, "seed": 0, "clips": None, "threshold": 0.5}
    for name, said in {"pgd-linf": "", "pgd-eot": "made by another version of dfad"}.items():
        (condition, *_) = ADVERSARIES[name].conditions
        assert differing(before, made(condition, seed=0, clips=None, threshold=0.5, surrogate=None)) == said


def test_the_weakest_clips() -> None:
    weak = results_of(BY_HAND, AT, resamples=0)["weakest"]
    told = [(one["id"], one["wrong"], one["tried"], one["worst"]) for one in weak["laundering"]["bona-fide"]]
    assert told == [("r1", 2, 3, "noise@0"), ("r2", 1, 3, "noise@0")]
    (spoof,) = weak["laundering"]["spoof"]  # s1 is right always, s3 never was
    assert (spoof["id"], spoof["worst"], spoof["score"], spoof["worst_score"]) == ("s2", "noise@10", -1, 0.5)
    assert [one["id"] for one in weak["adversarial"]["spoof"]] == ["s1", "s2"]
    assert results_of(BY_HAND, AT, resamples=0, worst=1)["weakest"]["laundering"]["bona-fide"][0]["id"] == "r1"


def many(seed: int, apart: float, clips: int = 80) -> ScoreTable:
    random = np.random.default_rng(seed)
    ids = tuple(f"{'rs'[row % 2]}{row % 3 + 1}-{row:03}" for row in range(clips))
    scores = random.normal(size=clips) + apart * (np.arange(clips) % 2 == 0)
    found = table(*scores, ids=ids)
    return ScoreTable(found.frame.assign(attack=np.where(found.labels == 0, "tts", ""), snr_db=20.0, speaker=[
        f"speaker {row // 4}" for row in range(clips)
    ]))  # fmt: skip


LARGE = {CLEAN: many(0, 2.0), NOISE: many(1, 1.0), MP3: many(2, 1.5)}
CALIBRATED = Deployed(threshold=0.7, calibrator=Logistic(slope=1.5, offset=-1.0))


def test_values_and_intervals_are_those_of_evaluation() -> None:
    found = by_key(results_of(LARGE, CALIBRATED, resamples=200))
    for condition in (NOISE, MP3):
        alone = evaluate(LARGE[condition], EvaluationKnobs(resamples=200, by=()), CALIBRATED)
        for name, key in {"eer": "eer", "miss": "miss_at_val", "false_alarm": "false_alarm_at_val"}.items():
            assert found[condition.key][name] == {"value": alone.values[key], "interval": list(alone.intervals[key])}
        assert found[condition.key]["cllr"] == alone.values["cllr_calibrated"]


def test_intervals_are_paired_and_those_of_a_plain_loop() -> None:
    results = results_of(LARGE, CALIBRATED, resamples=300)
    assert results["bootstrap"] == {"unit": "speaker", "count": 20, "resamples": 300}
    clean, noise = LARGE[CLEAN], LARGE[NOISE]
    unit, real = unit_of(clean), clean.labels == 1
    lost, turned = [], []
    for weights in draws(real, unit.clusters, resamples=300, seed=0):
        for weight in weights:
            before, now = (
                sum(weight[row] for row in range(80) if real[row] and each.scores[row] < 0.7) / weight[real].sum()
                for each in (clean, noise)
            )
            lost.append(now - before)
            right = [row for row in range(80) if not real[row] and clean.scores[row] < 0.7]
            turned.append(
                sum(weight[row] for row in right if noise.scores[row] >= 0.7) / sum(weight[row] for row in right)
            )
    found = by_key(results)["noise@10"]
    for key, drawn in {"miss_added": lost, "fake_to_real": turned}.items():
        (low, high), spread = found[key]["interval"], np.quantile(drawn, [0.025, 0.975])  # type: ignore[index]
        assert low <= spread[0] + 1e-12, key  # the interval is expanded for few clusters, by little
        assert high >= spread[1] - 1e-12, key
        assert high - low < 1.2 * (spread[1] - spread[0]), key
    low, high = results["means"]["laundering"]["eer"]["interval"]
    assert low < results["means"]["laundering"]["eer"]["value"] < high


def test_the_order_of_clips_and_of_tables_is_nothing() -> None:
    shuffled = {
        condition: ScoreTable(found.frame.sample(frac=1, random_state=seed) if condition != CLEAN else found.frame)
        for seed, (condition, found) in enumerate(reversed(LARGE.items()))
    }
    first, second = (results_of(tables, CALIBRATED, resamples=50) for tables in (LARGE, shuffled))
    second["conditions"].sort(key=lambda one: [each["key"] for each in first["conditions"]].index(one["key"]))
    assert first == second


def test_a_condition_of_the_same_scores_changes_nothing() -> None:
    found = by_key(results_of({**LARGE, NOISE: LARGE[CLEAN]}, CALIBRATED, resamples=50))["noise@10"]
    assert found["eer_added"] == {"value": 0, "interval": [0, 0]}
    assert value(found["fake_to_real"]) == value(found["real_to_fake"]) == 0
    low, high = found["fake_to_real"]["interval"]  # type: ignore[index]
    assert low == 0
    assert 0.05 < high < 0.3  # none of some twenty speakers is no proof that there are none


def test_fewer_clips_are_compared_with_just_these() -> None:
    few = ScoreTable(LARGE[NOISE].frame.iloc[:40])
    results = results_of({**LARGE, PGD: few}, CALIBRATED, resamples=50)
    found = by_key(results)["pgd@0.001"]
    assert found["clips"] == {"spoof": 20, "bona-fide": 20}
    clean = evaluate(ScoreTable(LARGE[CLEAN].frame.iloc[:40]), EvaluationKnobs(resamples=0), CALIBRATED).values
    now = evaluate(few, EvaluationKnobs(resamples=0), CALIBRATED).values
    assert value(found["eer_added"]) == now["eer"] - clean["eer"]
    assert "pgd: tried on fewer clips, and compared with just these as they are" in results["notes"]


def test_what_is_not_defined_is_null_and_noted() -> None:
    broken = table(nan, 1, 0, -2, -1, 1, snr_db=20.0)
    results = results_of({**BY_HAND, MP3: broken}, Deployed(), resamples=20)
    found = by_key(results)["mp3@32"]
    assert value_or_none(found["eer"]) is None
    assert value_or_none(found["fake_to_real"]) is None
    notes = " | ".join(results["notes"])
    assert "mp3 32 kbit/s: 1 of 6 scores are NaN" in notes
    assert "validation has chosen no threshold: decisions are at 0" in notes
    json.dumps(results, allow_nan=False)


def value_or_none(measured: object) -> object:
    assert isinstance(measured, dict)
    return measured["value"]


def test_fakes_only() -> None:
    tables = {one: ScoreTable(found.frame[found.labels == 0]) for one, found in BY_HAND.items()}
    found = by_key(results_of(tables, AT, resamples=20))["noise@10"]
    assert (value_or_none(found["eer"]), value_or_none(found["real_to_fake"])) == (None, None)
    assert value(found["fake_to_real"]) == 1 / 2
    assert value(found["false_alarm"]) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (table(0, 0, ids=("r1", "r9"), snr_db=0.0), "noise 10 dB: 1 clips have no clean score, the first: r9"),
        (ScoreTable(BY_HAND[NOISE].frame.assign(label=1)), "noise 10 dB: s1 has another label as it is"),
    ],
)
def test_tables_of_another_suite(other: ScoreTable, said: str) -> None:
    with pytest.raises(DataError, match=said):
        results_of({**BY_HAND, NOISE: other}, AT)


def test_skips_and_masking_are_said() -> None:
    checks = [
        {"name": "PGD ≥ FGSM", "passed": True, "words": "…"},
        {"name": "huge ε → 100 %", "passed": False, "words": "…"},
    ]
    results = results_of(BY_HAND, AT, resamples=0, skipped={"aac": "pip install 'dfad[formats]'"}, checks=checks)
    notes = " | ".join(results["notes"])
    assert "1 left out: aac: pip install 'dfad[formats]'" in notes
    assert "1 of 2 checks for a masked gradient failed (huge ε → 100 %): attacks may be weaker" in notes
    assert "≥ FGSM" not in notes
