"""Suites shown: rows, curves and heat maps hold the numbers of robustness.json; runs beside each other; their mean."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml

from dfad.calibrate import Logistic
from dfad.commands import robustness as robustness_command
from dfad.commands.robust_sounds import weak_sounds
from dfad.commands.robustness import main
from dfad.deployed import FILE, Deployed
from dfad.errors import DataError
from dfad.evaluation import EvaluationKnobs, deploy
from dfad.frontends import FRONTENDS
from dfad.report import robust_tables as rows
from dfad.report import robustness
from dfad.report.page import Page, render
from dfad.report.robust_figures import Curve, curves
from dfad.report.robust_runs import cells, grid, long
from dfad.robustness.average import Member, averaged
from dfad.robustness.conditions import CLEAN, Condition
from dfad.robustness.given import Given, keys_of
from dfad.robustness.perturbations import LAUNDERING
from dfad.robustness.results import results_of
from dfad.robustness.tables import Tables
from dfad.scores import ScoreTable
from tests.test_robustness_results import AT, BY_HAND, DEAF, LARGE, MP3, NOISE, PGD, many, table, value

CHECKS = ({"name": "PGD ≥ FGSM", "passed": True, "words": "PGD turns 3 clips, FGSM 2"},)
RESULTS = results_of(BY_HAND, AT, resamples=20, seen={"mp3": "augment.codec"}, checks=CHECKS)
MEMBERS = (  # ratios: score + 1, and twice the score
    Member("a", table(1, 1, 0, -1, -1, 0), Deployed(calibrator=Logistic(slope=1, offset=1)), BY_HAND),
    Member(
        "b",
        table(0, 1, 1, 0, -2, -1),
        Deployed(calibrator=Logistic(slope=2, offset=0)),
        {CLEAN: table(1, 1, 1, -1, -1, -1, snr_db=inf), NOISE: table(0, 0, 2, 0, 0, 0, snr_db=10.0), PGD: BY_HAND[PGD]},
    ),
)


def test_rows_of_perturbations() -> None:
    assert rows.laundering_rows(RESULTS) == [
        ("noise", "10 · 0 dB", "33.3 · 50.0", "41.67 %", "+8.3", "66.67 %", "16.67 %"),
        ("mp3 *", "32 kbit/s", "33.3", "33.33 %", "0.0", "33.33 %", "33.33 %"),
    ]
    assert rows.adversarial_rows(RESULTS) == [("pgd", "0.001", "100", "100", "50.0", "40", "4")]
    first, noise, *_ = rows.condition_rows(RESULTS, "laundering")
    assert first[:3] == ("as they are", "", "33.3")
    assert (noise[0], noise[1], noise[7]) == ("noise 10 dB", "10.0", "50.0")
    assert {len(row) for row in rows.condition_rows(RESULTS, "laundering")} == {len(rows.CONDITIONS)}
    assert [row[0] for row in rows.mean_rows(RESULTS)] == [
        "clips as they are",
        "laundering: 3 conditions",
        "… training had the like: 1 condition",
        "… training had not: 2 conditions",
        "attacks: 1 condition",
    ]
    assert {len(row) for row in rows.mean_rows(RESULTS)} == {len(rows.MEANS)}
    assert rows.check_lines(RESULTS) == ["holds: PGD ≥ FGSM (PGD turns 3 clips, FGSM 2)"]


def test_curves_go_from_clean_to_the_hardest() -> None:
    drawn = curves([Curve("EER", RESULTS, "eer"), Curve("fakes", RESULTS, "fake_to_real")], "laundering")
    (panel,) = [axes for axes in drawn.axes if axes.get_visible()]  # mp3 has one strength
    assert panel.get_title(loc="left") == "noise (dB)"
    assert [label.get_text() for label in panel.get_xticklabels()] == ["clean", "10", "0"]
    eer, fakes = panel.lines
    assert np.asarray(eer.get_ydata()) == pytest.approx([1 / 3, 1 / 3, 1 / 2])
    assert np.asarray(fakes.get_ydata()) == pytest.approx([0, 1 / 2, 0])


def test_runs_with_other_strengths_share_the_axis() -> None:
    """A point stands where its strength stands, whatever the strengths of the other runs."""
    softer, softest = (Condition("laundering", "noise", snr, "dB", "lower") for snr in (20.0, 30.0))
    tables = {CLEAN: BY_HAND[CLEAN], softest: BY_HAND[DEAF], softer: BY_HAND[MP3], DEAF: BY_HAND[DEAF]}
    lines = [Curve(name, found, "miss") for name, found in (("a", RESULTS), ("b", results_of(tables, AT, resamples=0)))]
    for order in (lines, lines[::-1]):
        (panel,) = [axes for axes in curves(order, "laundering").axes if axes.get_visible()]
        assert [label.get_text() for label in panel.get_xticklabels()] == ["clean", "30", "20", "10", "0"]
        assert panel.get_xlim()[0] < 0 < 4 < panel.get_xlim()[1]
        found = {line.get_label(): line for line in panel.lines}
        assert [found[name].get_xdata().tolist() for name in "ab"] == [[0, 3, 4], [0, 1, 2, 4]]
        assert np.asarray(found["b"].get_ydata()) == pytest.approx([1 / 3, 1, 1 / 3, 1])


def test_sections_say_what_was_found() -> None:
    page = Page("x", robustness.headline(RESULTS), sections=robustness.sections(
        robustness.Robust(RESULTS, {}), robustness.draw(RESULTS)
    ))  # fmt: skip
    text = render(page)
    for words in (
        "41.67 %",
        "mp3 (augment.codec)",
        "PGD turns 3 clips",
        "fakes that pass, attacked",
        "r1",
        "EER, fakes attacked",
        "checks for a masked gradient passed",
        "which clean validation chose",
    ):
        assert words in text, words
    assert robustness.sections(robustness.Robust(results_of({CLEAN: BY_HAND[CLEAN]}, AT), {}), {}) == []


def test_a_threshold_that_was_given_by_hand_is_called_so() -> None:
    results = results_of(BY_HAND, Deployed(threshold=0.25, rule=0.25), resamples=0)
    first = robustness.sections(robustness.Robust(results, {}), robustness.draw(results))[0]
    assert "at the threshold 0.25, given by hand" in first.caption


def test_results_without_a_value_can_be_shown() -> None:
    spoof = {one: ScoreTable(found.frame[found.labels == 0]) for one, found in BY_HAND.items()}
    results = results_of(spoof, Deployed(), resamples=20)
    found = robustness.Robust(results, {})
    assert "threshold 0. " in robustness.sections(found, robustness.draw(results))[0].caption
    assert "n/a" in render(Page("x", robustness.headline(results), sections=robustness.sections(
        found, robustness.draw(results)
    )))  # fmt: skip


def test_grid_and_long_table() -> None:
    other = results_of({CLEAN: BY_HAND[CLEAN], NOISE: BY_HAND[NOISE]}, AT, resamples=0)
    lines, values, seen = grid({"a": RESULTS, "b": other}, "fake_to_real")
    told = {line: row for line, *row in zip(lines, values, seen, strict=True)}
    assert lines[0] == "as they are"
    assert told["noise 10 dB"] == [[0.5, 0.5], [False, False]]
    assert told["pgd 0.001"][0][0] == 1
    assert np.isnan(told["pgd 0.001"][0][1])
    assert told["mp3 32 kbit/s"][1] == [True, False]
    shown = {line: row for line, *row in cells({"a": RESULTS, "b": other}, "eer")}
    assert shown["mp3 32 kbit/s"] == ["33.3*", "–"]
    assert shown["mean, laundering"] == ["37.5", "33.3"]
    assert {line: row for line, *row in cells({"a": RESULTS}, "eer_fakes")} == {
        "as they are": ["33.3"],
        "noise 10 dB": ["–"],
        "noise 0 dB": ["–"],
        "mp3 32 kbit/s": ["–"],
        "pgd 0.001": ["50.0"],
        "mean, laundering": ["–"],
        "mean, training had like": ["–"],
        "mean, training had not": ["–"],
        "mean, attacks": ["50.0"],
    }
    frame = long({"a": RESULTS}).set_index("key")
    assert frame.loc["noise@0", "eer"] == 0.5
    assert frame.loc["mean/laundering", "eer"] == pytest.approx(3 / 8)
    assert frame.loc["noise@10", "eer low"] == RESULTS["conditions"][0]["eer"]["interval"][0]


def test_the_mean_of_scores_by_hand() -> None:
    tables, deployed = averaged(MEMBERS, EvaluationKnobs())
    assert list(tables) == [CLEAN, NOISE]  # mp3 has one of them only, and pgd was made against each alone
    # ratios of a: 3 2 1 -1 0 2; of b: 2 2 2 -2 -2 -2
    assert tables[CLEAN].scores == pytest.approx([2.5, 2, 1.5, -1.5, -1, 0])
    # of a: 1.4 1.6 2 -1 1.5 0; of b: 0 0 4 0 0 0
    assert tables[NOISE].scores == pytest.approx([0.7, 0.8, 3, -0.5, 0.75, 0])
    validation = table(1, 2, 1.5, 0, -2, -0.5)  # of a: 2 2 1 0 0 1; of b: 0 2 2 0 -4 -2
    assert deployed == deploy(validation, EvaluationKnobs())
    raw = Member("c", MEMBERS[1].validation, Deployed(), MEMBERS[1].tables)
    assert averaged([MEMBERS[0], raw], EvaluationKnobs())[0][CLEAN].scores == pytest.approx([1.5, 1, 0.5, -1.5, -1, 0])


def test_the_mean_of_one_detector_with_itself_is_that_detector() -> None:
    one = Member("a", many(5, 2.0), deploy(many(5, 2.0), EvaluationKnobs()), LARGE)
    tables, deployed = averaged([one, one], EvaluationKnobs())
    alone, both = results_of(LARGE, one.deployed, resamples=0), results_of(tables, deployed, resamples=0)
    for before, after in zip(alone["conditions"], both["conditions"], strict=True):
        assert [value(after[name]) for name in ("eer", "miss", "false_alarm")] == pytest.approx(
            [value(before[name]) for name in ("eer", "miss", "false_alarm")]
        )


@pytest.mark.parametrize(
    ("other", "options", "said"),
    [
        ({CLEAN: many(0, 1.0), NOISE: many(0, 1.0)}, {}, "only scores of the same clips can be averaged"),
        ({CLEAN: BY_HAND[CLEAN]}, {}, "share no laundering"),
        (BY_HAND, {"threshold": 0.3}, "says nothing of their mean"),
    ],
)
def test_what_cannot_be_averaged(other: dict[Condition, ScoreTable], options: dict[str, Any], said: str) -> None:
    member = Member("b", BY_HAND[CLEAN], AT, other)
    with pytest.raises(DataError, match=said):
        averaged([Member("a", BY_HAND[CLEAN], AT, BY_HAND), member], EvaluationKnobs.read(options))


def write_suite(home: Path, name: str, member: Member, *, seed: int = 0, corpus: str = "x") -> Path:
    """A run with a stored suite, as eval.py leaves it."""
    run = home / name
    place = run / "evals" / f"{corpus}-00000000"
    (run / "scores").mkdir(parents=True, exist_ok=True)
    member.validation.write(run / "scores" / "val.csv")
    tables = Tables(place / "robustness")
    tables.begin({condition: {"seed": seed} for condition in member.tables})
    for condition, scores in member.tables.items():
        tables.write(condition, scores)
    member.tables[CLEAN].write(place / "scores.csv")
    config = {"checkpoint": str(run / "checkpoints" / "best.ckpt")}
    (place / "config.yaml").write_text(yaml.safe_dump(config))
    (place / FILE).write_text(json.dumps(member.deployed.plain()))
    (place / "metrics.json").write_text(json.dumps({"options": EvaluationKnobs(resamples=20).plain()}))
    about = {"by": {"made": tables.made}}
    results = results_of(member.tables, member.deployed, resamples=20, seen={"mp3": "augment.codec"}, about=about)
    (place / "robustness.json").write_text(json.dumps(results))
    return run


Shown = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shown:
    """Call `dfad robustness` on two runs in this process; gives exit code, stdout and stderr."""
    for member in MEMBERS:
        write_suite(tmp_path, member.name, member)
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dfad robustness", *words])
        with pytest.raises(SystemExit) as leave:
            main()
        said = capsys.readouterr()
        return int(leave.value.code or 0), said.out, said.err

    return call


def test_runs_beside_each_other(shown: Shown) -> None:
    code, out, err = shown("a", "b", "--average", "--metric", "miss")
    assert not code, err
    words = {line.split("  ")[0].strip(): line.split()[-3:] for line in out.splitlines()}
    assert words["miss, %"] == ["mean", "of", "2"]
    assert words["noise 10 dB"][-1] == cells_of(averaged(MEMBERS, EvaluationKnobs()), "noise@10")
    assert words["noise 0 dB"][1:] == ["–", "–"]
    assert words["pgd 0.001"][-1] == "–"
    assert "* training had the like" in out


def cells_of(mean: tuple[dict[Condition, ScoreTable], Deployed], key: str) -> str:
    found = results_of(*mean, resamples=0)["conditions"]
    return f"{100 * value(next(one for one in found if one['key'] == key)['miss']):.1f}"


def test_numbers_for_programs_are_those_that_are_stored(shown: Shown, tmp_path: Path) -> None:
    _, out, _ = shown("a", "b", "--csv", "--names", "first,second")
    lines = {(row["run"], row["key"]): row for row in csv.DictReader(io.StringIO(out))}
    for name, run in {"first": "a", "second": "b"}.items():
        stored = json.loads((tmp_path / run / "evals" / "x-00000000" / "robustness.json").read_text())
        for one in stored["conditions"]:
            row = lines[name, one["key"]]
            assert float(row["eer"]) == one["eer"]["value"]
            assert float(row["eer_added high"]) == one["eer_added"]["interval"][1]
            assert row["seen"] == str(one["seen"])
    _, out, _ = shown("a", "--json")
    assert {row["key"] for row in json.loads(out)} >= {"clean", "noise@10", "pgd@0.001", "mean/laundering"}


def test_picture_and_page(shown: Shown, tmp_path: Path) -> None:
    code, _, err = shown("a", "b", "--average", "--png", "heat.png", "--html", "page.html")
    assert not code, err
    assert (tmp_path / "heat.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "page.html").read_text()
    assert "Robustness of a, b, mean of 2" in page
    assert page.count("<img") == 2  # curves over the strength of noise, and the heat map; pgd has one strength


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("none",), 2, "there is no folder none; dfad runs lists"),
        (
            ("a/scores",),
            2,
            "a/scores has no suite yet; score it with python eval.py run=a/scores robustness=laundering",
        ),
        (("a", "a"), 2, "2 runs and the names a/x-00000000, a/x-00000000: give every run once"),
        (("a", "b", "--names", "one"), 2, "2 runs and the names one"),
        (("a", "--average"), 2, "--average: give two runs or more"),
        (("a", "--metric", "err"), 2, "--metric err: there is none of that name; did you mean 'eer'?"),
        (("a", "--png", "heat.jpg"), 2, "--png heat.jpg: give a name that ends in .png"),
        (("a", "--csv", "--json"), 2, "--csv and --json: choose one"),
    ],
)
def test_what_is_wrong_is_said(shown: Shown, words: tuple[str, ...], code: int, said: str) -> None:
    found, out, err = shown(*words)
    assert said in " ".join(err.split()), err
    assert found == code
    assert out == ""


def test_suites_that_differ(shown: Shown, tmp_path: Path) -> None:
    write_suite(tmp_path, "late", MEMBERS[1], seed=1)
    code, _, err = shown("a", "late", "--average")
    assert (code, "scored with other seeds" in err) == (2, True), err
    write_suite(tmp_path, "a", MEMBERS[0], corpus="y")
    assert "suites on several corpora; give one of a/evals/x-00000000, a/evals/y-00000000" in shown("a")[2]
    assert shown("a/evals/x-00000000", "a/evals/y-00000000")[0] == 0
    large = Member("large", LARGE[CLEAN], AT, LARGE)
    write_suite(tmp_path, "large", large)
    assert "not of the same clips (bona fide + spoof: b 3 + 3, large 40 + 40)" in shown("b", "large")[2]
    (tmp_path / "b" / "evals" / "x-00000000" / "robustness.json").write_text("{")
    assert "robustness.json is damaged" in shown("b")[2]


def test_suites_are_compared_on_what_they_share(shown: Shown, tmp_path: Path) -> None:
    write_suite(tmp_path, "late", MEMBERS[1], seed=1)
    code, out, err = shown("a", "late", "--json", "--names", "first,late")
    assert code == 0
    said = " ".join(err.split())
    assert "these suites have other seeds (first 0, late 1): noises, rooms and starts are others" in said
    assert "not every suite has noise 0 dB, mp3 32 kbit/s: means are over the 2 conditions that all have" in said
    found = {(row["run"], row["key"]): row for row in json.loads(out)}
    assert found["first", "mean/laundering"]["eer"] == found["first", "noise@10"]["eer"]
    assert ("first", "mean/laundering/seen") not in found  # only mp3 was
    alone = {(row["run"], row["key"]): row for row in json.loads(shown("a", "--json")[1])}
    assert alone["a", "mean/laundering"]["eer"] == pytest.approx(3 / 8)


@pytest.mark.parametrize("words", [("a", "b"), ("a", "b", "--average")])
def test_tables_that_were_scored_anew_are_not_taken_for_those_that_were_judged(
    words: tuple[str, ...], shown: Shown, tmp_path: Path
) -> None:
    """As a suite leaves them that is killed after another seed has replaced some of its tables."""
    tables = Tables(tmp_path / "a" / "evals" / "x-00000000" / "robustness")
    assert tables.begin({NOISE: {"seed": 1}}) == ["noise@10"]
    code, out, err = shown(*words)
    assert (code, out) == (2, "")
    said = " ".join(err.split())
    assert "a/evals/x-00000000/robustness lacks noise 10 dB; type eval.py run=a robustness=… to score" in said
    tables.write(NOISE, MEMBERS[0].tables[NOISE])
    code, out, err = shown(*words)
    assert (code, out) == (2, "")
    assert "robustness.json is not of the scores of noise 10 dB that lie there now" in " ".join(err.split())


def test_as_many_other_clips_are_not_the_same_clips(shown: Shown, tmp_path: Path) -> None:
    ids = ("r1", "r2", "r4", "s1", "s2", "s3")
    tables = {one: ScoreTable(found.frame.assign(id=ids)) for one, found in MEMBERS[1].tables.items()}
    write_suite(tmp_path, "other", Member("other", MEMBERS[1].validation, MEMBERS[1].deployed, tables))
    assert "these suites are not of the same clips (bona fide + spoof: b 3 + 3, other 3 + 3)" in shown("b", "other")[2]


def test_what_is_not_known_of_one_is_not_known_of_the_mean(shown: Shown, tmp_path: Path) -> None:
    path = tmp_path / "b" / "evals" / "x-00000000" / "robustness.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "seen": None}))
    suites = [robustness_command._suite(tmp_path / name) for name in "ab"]
    assert robustness_command._average(suites, ["a", "b"])["seen"] is None


def test_results_of_another_format_are_refused(shown: Shown, tmp_path: Path) -> None:
    path = tmp_path / "b" / "evals" / "x-00000000" / "robustness.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 1}))
    code, _, err = shown("b")
    assert code == 2
    assert "is of another dfad; judge it again with python eval.py run=b robustness=laundering" in " ".join(err.split())


def test_the_weakest_clips_are_heard_as_they_were_laundered(tmp_path: Path) -> None:
    frontend = FRONTENDS["logmel"](crop_s=0.5)
    wave = (0.3 * np.random.default_rng(0).normal(size=frontend.crop_samples)).clip(-1, 1)
    gain = LAUNDERING["gain"].condition(-20.0)
    ids = ("r1.wav", "r2.wav", "s1.wav", "s2.wav")
    tables = {CLEAN: table(2, 1, -1, -2, ids=ids), gain: table(-1, 2, 3, -2, ids=ids)}
    for id in ids[:3]:
        soundfile.write(tmp_path / id, wave, frontend.sample_rate, subtype="PCM_16")
    results = results_of(tables, AT, resamples=0)
    plain, quiet, *others = weak_sounds(results, tmp_path, frontend, {gain.key: 7})["laundering"]
    assert [sound.title for sound in (plain, quiet, *others)] == ["s1.wav", "s1.wav", "r1.wav", "r1.wav"]
    stored, rate = soundfile.read(tmp_path / "s1.wav", dtype="float32")
    assert rate == frontend.sample_rate
    given = Given(7, torch.from_numpy(keys_of(["s1.wav"])))
    expected = LAUNDERING["gain"](torch.from_numpy(stored[None]), rate, -20.0, given)
    assert soundfile.read(io.BytesIO(plain.audio))[0] == pytest.approx(stored, abs=2**-15)
    assert soundfile.read(io.BytesIO(quiet.audio))[0] == pytest.approx(expected[0].numpy(), abs=2**-15)
