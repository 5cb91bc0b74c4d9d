"""What an audit by intervention says of detectors whose scores follow from a level and from evidence, as made here."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dfad.audit.intervention import Intervened, intervened
from dfad.audit.intervention_json import results_of
from dfad.audit.reliance import VERDICTS, Verdict, verdicts
from dfad.audit.traits import TRAITS
from dfad.audit.treatments import GROUPS, Neutral
from dfad.calibrate import CALIBRATORS
from dfad.deployed import Deployed
from dfad.errors import ConfigError, MetricError
from dfad.frontends import FrontendKnobs, LogMelKnobs, LogSpecKnobs, RawKnobs
from dfad.metrics import auroc, cllr, decisions, eer
from dfad.report import intervention as report
from dfad.report.page import Page, render
from dfad.report.style import png
from dfad.scores import ScoreTable

CLIPS, TURNS = 400, (1, 2, 3)
LABELS = np.arange(CLIPS) % 2
NEUTRAL = Neutral(speech_s=1.5, rms_db=-26.0, cutoff_hz=6000.0, floor=np.zeros(257), floor_db=-35.0, bits=16)
HEARS_LEVEL = LogMelKnobs(level="none")
LOUD = np.where(LABELS == 1, -30.0, -22.0) + np.random.default_rng(1).normal(size=CLIPS)  # spoof is louder
EVEN = -26.0 + 3 * np.random.default_rng(2).normal(size=CLIPS)
EVIDENCE = 1.5 * LABELS + np.random.default_rng(3).normal(size=CLIPS)
LITTLE = 0.3 * LABELS + np.random.default_rng(4).normal(size=CLIPS)

Detector = Callable[[np.ndarray], np.ndarray]  # the clips' levels → their scores


def table(detector: Detector, levels: np.ndarray, *, same: float = -26.0) -> ScoreTable:
    """Scores as the clips are, at the same level, and with levels dealt; no other trait varies or matters."""
    scores = detector(levels)
    frame = pd.DataFrame({"id": [f"{row}" for row in range(CLIPS)], "score": scores, "label": LABELS})
    frame = frame.assign(attack="", split="test", speaker=[f"s{row % 40}" for row in range(CLIPS)])
    for group, traits in TRAITS.items():
        of_level = group == "level"
        for trait in traits:
            frame[f"trait:{trait}"] = levels if of_level else 1.0
        frame[f"score:{group}"] = detector(np.full(CLIPS, same)) if of_level else scores
        for turn in TURNS:
            dealt = np.random.default_rng(turn).permutation(levels)
            frame[f"score:{group}:{turn}"] = detector(dealt) if of_level else scores
    return ScoreTable(frame)


def audited(of: ScoreTable, *, training: np.ndarray = LOUD, **more: Any) -> Intervened:
    return intervened(of, table(lambda level: level, training), ("level",), **{"resamples": 200, **more})


def judged(
    detector: Detector, *, levels: np.ndarray = LOUD, training: np.ndarray = LOUD, frontend: FrontendKnobs = HEARS_LEVEL
) -> Verdict:
    (found,) = verdicts(audited(table(detector, levels), training=training), NEUTRAL, frontend)
    return found


def test_a_detector_of_the_level_loses_its_separation_with_it() -> None:
    found = judged(lambda level: -level + 1e-3 * EVIDENCE)
    same, swap = found.finding.same, found.finding.swap
    assert found.kind == "learnt"
    assert swap.share.value == pytest.approx(1, abs=0.1)
    assert same.values["auroc"].value == pytest.approx(auroc(EVIDENCE, LABELS))
    assert same.shift[0] > 3.5
    assert same.shift[1] < -3.5
    assert "spoof is louder, AUROC 1.00 in training, 1.00 here" in found.words
    assert found.words.endswith("train with frontend.level=rms")


@pytest.mark.parametrize(
    ("weight", "evidence", "words"),
    [
        (5.0, LITTLE, "it had learnt the level"),
        (5.0, EVIDENCE, "it leans on the level"),
        (5.0, 0.6 * LABELS + LITTLE, "much of what it had learnt is the level"),
        (0.1, EVIDENCE, "it leans on the level"),
    ],
)
def test_how_much_was_learnt_is_graded(weight: float, evidence: np.ndarray, words: str) -> None:
    found = judged(lambda level: -weight * level + evidence)
    assert found.kind == "learnt"
    assert words in found.words, found.words


def test_a_detector_of_evidence_loses_nothing() -> None:
    found = judged(lambda level: EVIDENCE)
    assert (found.kind, found.remedy) == ("none", "")
    assert found.words == "scores every clip as before when every clip has the same level of −26.0 dBFS"
    slight = judged(lambda level: EVIDENCE + 0.01 * level, levels=EVEN, training=EVEN)
    assert slight.kind == "none"
    assert slight.words.startswith("loses no more than chance when")


@pytest.mark.parametrize("seed", range(20))
def test_a_level_that_the_classes_share_is_not_accused(seed: int) -> None:
    """The detector hears the level, but it says nothing of the label: what is lost is lost by chance."""
    levels = -26.0 + 3 * np.random.default_rng(100 + seed).normal(size=CLIPS)
    found = judged(lambda level: EVIDENCE - 0.1 * level, levels=levels, training=levels[::-1])
    assert found.kind in ("none", "disturbed")
    assert found.finding.swap.share.value == pytest.approx(0, abs=0.06)


def test_a_treatment_that_hurts_is_no_proof() -> None:
    def deaf_at(level: np.ndarray) -> np.ndarray:
        return np.where(level == -26.0, 0.3, 1.0) * EVIDENCE + np.where(level == -26.0, 1.0, 0.0) * EVEN

    found = judged(deaf_at, levels=EVEN, training=EVEN)
    assert found.kind == "hurt"
    assert "alone does not tell the classes apart" in found.words
    assert found.words.endswith("the treatment hurts; train with frontend.level=rms and compare")
    found = judged(deaf_at)
    assert found.kind == "hurt"  # the level tells the classes, but dealt levels cost nothing
    assert "but no more than chance when values are dealt at random" in found.words


def test_a_detector_that_does_not_need_what_it_hears() -> None:
    """At the usual level of its class, and at the common one, it goes by evidence; elsewhere it is wrong."""

    def hears(level: np.ndarray) -> np.ndarray:
        other = (np.abs(level - LOUD) > 4) & (level != -26)
        return EVIDENCE - 8.0 * other * (2 * LABELS - 1)

    found = judged(hears)
    assert found.kind == "sensitive"
    assert "nothing shows that it needs the level" in found.words


def test_a_level_that_stands_against_the_label_disturbs() -> None:
    found = judged(lambda level: EVIDENCE + 0.08 * level)
    assert found.kind == "disturbed"
    assert found.finding.same.share.value < -0.05


def test_a_frontend_that_scales_every_clip_cannot_hear_its_level() -> None:
    for level, word in (("rms", "RMS"), ("peak", "peak")):
        found = judged(lambda level: EVIDENCE, frontend=LogMelKnobs(level=level))
        assert found.kind == "blind"
        assert (
            found.words
            == f"cannot use the level: the frontend scales every clip to one {word} (frontend.level={level})"
        )
    assert judged(lambda level: -level, frontend=LogMelKnobs(level="rms")).kind == "learnt"  # if it does, it is told


def test_without_separation_nothing_is_said() -> None:
    found = judged(lambda level: EVEN)
    assert found.kind == "open"
    assert np.isnan(found.finding.same.share.value)
    assert "does not separate these clips by more than chance" in found.words


def test_every_number_is_that_of_the_metrics() -> None:
    of = table(lambda level: -0.2 * level + EVIDENCE, LOUD)
    calibrator = CALIBRATORS["logistic"].fit(of.scores, LABELS)
    found = audited(of, deployed=Deployed(threshold=5.0, calibrator=calibrator))
    (finding,) = found.findings
    for values, columns in (
        (found.clean, ["score"]),
        (finding.same.values, ["score:level"]),
        (finding.swap.values, [f"score:level:{turn}" for turn in TURNS]),
    ):
        every = [of.frame[column].to_numpy() for column in columns]
        wanted = {
            "auroc": np.mean([auroc(scores, LABELS) for scores in every]),
            "eer": np.mean([eer(scores, LABELS)[0] for scores in every]),
            "cllr": np.mean([cllr(calibrator(scores), LABELS) for scores in every]),
            "miss": np.mean([decisions(scores, LABELS, 5.0)["miss"] for scores in every]),
            "false_alarm": np.mean([decisions(scores, LABELS, 5.0)["false_alarm"] for scores in every]),
        }
        assert {name: each.value for name, each in values.items()} == pytest.approx(wanted)
        assert all(each.interval.low <= each.value <= each.interval.high for each in values.values())
    clean, treated = found.clean["auroc"].value, finding.same.values["auroc"].value
    assert finding.same.share.value == pytest.approx((clean - treated) / (clean - 0.5))
    assert finding.same.changes["auroc"].value == pytest.approx(treated - clean)
    assert finding.alone.scored.value == pytest.approx(auroc(-LOUD, LABELS))


def test_the_same_clips_are_drawn_before_and_after() -> None:
    """A change that is the same for every clip has an interval without width, however wide those of its ends are."""
    (finding,) = audited(table(lambda level: EVIDENCE + (level == -26.0), LOUD)).findings
    assert finding.same.changes["auroc"].interval == (0, 0)
    assert finding.same.values["auroc"].interval.high - finding.same.values["auroc"].interval.low > 0.02


def test_clusters_are_drawn_as_a_whole() -> None:
    of = table(lambda level: -level + EVIDENCE, LOUD)
    assert audited(of).unit.name == "speaker"
    assert audited(of, cluster="clip").unit.name == "clip"
    with pytest.raises(ConfigError, match="did you mean 'speaker'"):
        audited(of, cluster="speker")


def test_one_class_is_an_error() -> None:
    of = table(lambda level: -level, LOUD)
    with pytest.raises(MetricError, match="one class only"):
        audited(ScoreTable(of.frame[LABELS == 1]))


@pytest.mark.parametrize("frontend", [LogMelKnobs(), LogSpecKnobs(), RawKnobs()], ids=lambda knobs: knobs.name)
def test_a_remedy_suits_the_frontend(frontend: FrontendKnobs) -> None:
    of = table(lambda level: -level, LOUD)
    found = intervened(of, of, tuple(GROUPS), resamples=50)
    worst = [
        replace(each, alone=found.findings[1].alone, same=found.findings[1].same, swap=found.findings[1].swap)
        for each in found.findings
    ]
    said = verdicts(replace(found, findings=worst), NEUTRAL, frontend)
    assert {one.kind for one in said} == {"learnt"}
    band = next(one for one in said if one.finding.group == "band")
    assert band.remedy == ("" if frontend.name == "logmel" else "frontend=logmel ") + "frontend.f_max=6000"


# --- what is stored, and the page -------------------------------------------------------------------


@pytest.fixture(scope="module", params=["learnt", "open"])
def results(request: pytest.FixtureRequest) -> tuple[dict[str, Any], ScoreTable]:
    of = table((lambda level: -level + LITTLE) if request.param == "learnt" else (lambda level: EVEN), LOUD)
    found = intervened(of, of, tuple(GROUPS), resamples=50)
    about = {
        "run": "runs/cnn-logmel-x-1",
        "split": "test",
        "skipped": {"a<b>.wav": "a<b>.wav: no audio"},
        "threshold": 26.0,
        "training": {"clips": 10, "of": 20},
        "swaps": 3,
    }
    return results_of(found, verdicts(found, NEUTRAL, HEARS_LEVEL), NEUTRAL, about=about, notes=["a note"]), of


def test_results_are_plain_data_with_the_worst_group_first(results: tuple[dict[str, Any], ScoreTable]) -> None:
    found, _ = results
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    order = list(VERDICTS)
    assert [order.index(group["verdict"]) for group in found["groups"]] == sorted(
        order.index(group["verdict"]) for group in found["groups"]
    )
    assert {group["group"] for group in found["groups"]} == set(GROUPS)
    first = found["groups"][0]
    if first["verdict"] == "learnt":
        assert first["group"] == "level"
        assert first["share"]["value"] > 0.5
        assert first["alone"]["trait"] == "rms_db"
        assert first["alone"]["more"] == "spoof"
    else:
        assert {group["share"]["value"] for group in found["groups"]} == {None}


def test_the_page_tells_what_the_results_hold(results: tuple[dict[str, Any], ScoreTable]) -> None:
    found, of = results
    parts = report.sections(found, of)
    html = render(Page("t", sections=parts))
    titles = [part.title for part in parts]
    assert titles[0] == "What the separation is owed to"
    learnt = found["groups"][0]["verdict"] == "learnt"
    assert ("Level: learnt" in titles) == learnt
    assert html.count("<img") == 1 + learnt
    for group in found["groups"]:
        assert group["words"].split("(")[0] in html.replace("&lt;", "<")
    assert "a&lt;b&gt;.wav: no audio" in html
    assert len(report.rows(found)) == 1 + len(GROUPS)
    assert {len(row) for row in report.rows(found)} == {len(report.HEADER)}


@pytest.mark.parametrize("count", [1, 6])
def test_any_number_of_groups_is_drawn(count: int, results: tuple[dict[str, Any], ScoreTable]) -> None:
    assert png(report.forest(results[0]["groups"][:count])).startswith(b"\x89PNG")
