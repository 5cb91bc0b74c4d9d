"""`dfad evaluate` on files of scores, runs and evaluations: what it prints, writes and refuses."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from dfad.evaluation import choose_threshold
from dfad.score_files import read_scores
from dfad.scores import ScoreTable
from tests.conftest import Called, environment

BY_HAND = """file,score,label,attack,lang
a.wav,3.0,bona-fide,,de
b.wav,1.0,bona-fide,,en
c.wav,0.5,bona-fide,,de
d.wav,-1.0,bona-fide,,en
e.wav,2.0,spoof,A1,de
f.wav,-2.0,spoof,A1,en
g.wav,-3.0,spoof,A2,de
h.wav,-4.0,spoof,A2,en
"""


@pytest.fixture
def evaluate(command: Called) -> Called:
    """Call the command in this process and folder; gives exit code, stdout and stderr."""
    return partial(command, "evaluate")


@pytest.fixture
def hand(tmp_path: Path) -> Path:
    (tmp_path / "hand.csv").write_text(BY_HAND)
    return tmp_path / "hand.csv"


def write_scores(path: Path, *, shift: float = 0.0, sign: float = 1.0, clips: int = 80, seed: int = 0) -> Path:
    """Scores of a fair detector."""
    random = np.random.default_rng(seed)
    rows = ["id,score,label,speaker"]
    for row in range(clips):
        score = sign * (random.normal() + (2.5 if row % 2 else 0) + shift)
        rows.append(f"{row}.wav,{score!r},{('spoof', 'bona-fide')[row % 2]},s{row // 4}".replace("np.float64", ""))
    path.write_text("\n".join(rows).replace("(", "").replace(")", "") + "\n")
    return path


# --- numbers -------------------------------------------------------------------------------------


def test_numbers_by_hand(evaluate: Called, hand: Path) -> None:
    code, out, _ = evaluate(hand, "--json", "--threshold", "0.75", "--by", "lang", "--by", "attack")
    found = json.loads(out)
    assert code == 0
    assert (found["n_bona_fide"], found["n_spoof"]) == (4, 4)
    assert found["eer"] == 0.25
    assert found["auroc"] == 13 / 16  # e.wav stands above three of four bona fide clips
    assert (found["miss"], found["false_alarm"], found["accuracy"]) == (0.25, 0.25, 0.75)
    assert (found["threshold"], found["threshold_at_val"]) == (0.75, 0.75)
    assert (found["miss_at_val"], found["false_alarm_at_val"]) == (0.5, 0.25)
    nats = (
        [np.log2(1 + np.exp(-s)) for s in (3.0, 1.0, 0.5, -1.0)],
        [np.log2(1 + np.exp(s)) for s in (2.0, -2.0, -3.0, -4.0)],
    )
    assert found["cllr"] == pytest.approx((np.mean(nats[0]) + np.mean(nats[1])) / 2)
    attacks = {part["value"]: part for part in found["breakdowns"]["attack"]}
    assert {name: (part["n_bona_fide"], part["n_spoof"]) for name, part in attacks.items()} == {
        "A1": (4, 2),
        "A2": (4, 2),
    }
    assert attacks["A2"]["eer"] == 0
    assert [part["value"] for part in found["breakdowns"]["lang"]] == ["de", "en"]
    german = found["breakdowns"]["lang"][0]
    assert (german["n_bona_fide"], german["miss"], german["false_alarm"]) == (2, 0.5, 0.5)


def test_json_is_all_that_stands_on_stdout(evaluate: Called, hand: Path, tmp_path: Path) -> None:
    report = tmp_path / "deep" / "page.html"
    words = ("--json", "--report", report, "--audio", tmp_path, "--export", tmp_path / "out.txt")
    code, out, err = evaluate(hand, *words)
    found = json.loads(out)
    assert code == 0
    assert {"eer", "eer_asvspoof", "auroc", "min_dcf", "act_dcf", "cllr", "min_cllr"} <= set(found)
    assert {"intervals", "breakdowns", "notes", "bootstrap", "threshold", "options"} <= set(found)
    assert found["bootstrap"] == {"unit": "clip", "count": 4, "resamples": 2000}
    low, high = found["intervals"]["eer"]
    assert 0 <= low <= 0.25 <= high <= 1
    assert "only 4 bona-fide clips: read the intervals, not the values" in found["notes"]
    assert f"report {report}" in err
    assert "not in the report" in err  # e.wav passes, and is no file
    assert "note only 4 bona-fide clips" in err


def test_the_golden_file(evaluate: Called, reference: Path) -> None:
    scores = reference / "reference" / "asvspoof5_dev_scores.csv"
    _, out, _ = evaluate(scores, "--json", "--resamples", "0")
    found = json.loads(out)
    golden = {
        "eer_asvspoof": 0.00619731789960915, "act_dcf": 0.018024153192537015, "min_dcf": 0.01631981160660231,
        "cllr": 0.028190618341414547, "min_cllr": 0.024536919510082834,
    }  # fmt: skip
    assert {name: found[name] for name in golden} == pytest.approx(golden, abs=1e-12)
    assert (found["intervals"], found["bootstrap"]) == ({}, None)


def test_asvspoof_text_takes_its_labels_from_a_protocol(evaluate: Called, tmp_path: Path) -> None:
    (tmp_path / "scores.txt").write_text("LA_1 2.5\nLA_2 -1.0\nLA_3 0.5\nLA_4 1.0\n")
    (tmp_path / "protocol.txt").write_text(
        "S1 LA_1 - - bonafide\nS1 LA_2 - A07 spoof\nS2 LA_3 - A08 spoof\nS2 LA_4 - - bonafide\n"
    )
    _, out, _ = evaluate("scores.txt", "--labels", "protocol.txt", "--json")
    found = json.loads(out)
    assert (found["eer"], found["eer/A07"], found["eer/A08"]) == (0, 0, 0)
    code, _, err = evaluate("scores.txt")
    assert (code, "has no labels; give a manifest or an ASVspoof protocol" in err) == (3, True)


def test_validation_chooses_threshold_and_calibrator(evaluate: Called, tmp_path: Path) -> None:
    test, val = write_scores(tmp_path / "test.csv", shift=3), write_scores(tmp_path / "val.csv", shift=3, seed=1)
    _, out, _ = evaluate(test, "--validation", val, "--json", "--threshold", "fa@0.1", "--prior", "0.2")
    found, table = json.loads(out), read_scores(val)
    assert found["threshold"] == choose_threshold("fa@0.1", table.scores, table.labels)
    assert found["cllr_calibrated"] < found["cllr"]
    assert found["act_dcf_calibrated"] < found["act_dcf"]
    assert (found["options"]["prior"], found["options"]["threshold"]) == (0.2, "fa@0.1")
    _, out, _ = evaluate(test, "--validation", val, "--json", "--calibrator", "none")
    assert "cllr_calibrated" not in json.loads(out)
    _, out, _ = evaluate(test, "--json")
    assert json.loads(out)["threshold"] is None


def test_polarity_is_said_and_never_guessed(evaluate: Called, tmp_path: Path) -> None:
    right, turned = write_scores(tmp_path / "right.csv"), write_scores(tmp_path / "turned.csv", sign=-1)
    _, expected, err = evaluate(right, "--json")
    assert "warning" not in err
    _, out, err = evaluate(turned, "--json", "--polarity", "spoof")
    assert json.loads(out) == json.loads(expected)
    assert "warning" not in err
    _, out, err = evaluate(turned, "--json")
    assert json.loads(out)["auroc"] == pytest.approx(1 - json.loads(expected)["auroc"])
    assert json.loads(out)["eer"] > 0.5
    assert "warning AUROC is" in err
    assert "--polarity spoof" in err
    code, out, err = evaluate(turned)
    assert code == 0
    assert "warning AUROC is" in err
    assert "warning" not in out


def test_polarity_holds_for_validation_too(evaluate: Called, tmp_path: Path) -> None:
    for sign, name in ((1, "right"), (-1, "turned")):
        write_scores(tmp_path / f"{name}.csv", sign=sign)
        write_scores(tmp_path / f"{name}_val.csv", sign=sign, seed=1)
    _, one, _ = evaluate("right.csv", "--validation", "right_val.csv", "--json")
    _, two, _ = evaluate("turned.csv", "--validation", "turned_val.csv", "--polarity", "spoof", "--json")
    assert json.loads(one) == json.loads(two)


def test_words_for_people(evaluate: Called, hand: Path) -> None:
    code, out, err = evaluate(hand)
    assert (code, err) == (0, "")
    for words in (
        "clips of scores: 4 bona fide + 4 spoof",
        "25.00 %",
        "0.8125",
        "by attack, the worst first",
        "bootstrap",
    ):
        assert words in out, words


def test_one_class_is_no_error(evaluate: Called, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("id,score,label\na,1.5,spoof\nb,-1,spoof\nc,-2,spoof\n")
    code, out, _ = evaluate("one.csv", "--json", "--report", "one.html")
    found = json.loads(out)
    assert (code, found["eer"], found["false_alarm"]) == (0, None, 1 / 3)
    assert any("one class only" in text for text in found["notes"])
    assert "one class only" in (tmp_path / "one.html").read_text()
    code, out, _ = evaluate("one.csv")
    assert code == 0
    assert "n/a" in out


# --- files ---------------------------------------------------------------------------------------


class Loads(HTMLParser):
    """Everything that a page would fetch, and its sounds."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.sounds = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "iframe", "object", "embed")
        self.sounds += tag == "audio"
        self.fetched += [value or "" for name, value in attrs if name in ("src", "srcset", "poster", "data")]


def test_the_report_is_one_file_that_fetches_nothing(evaluate: Called, tmp_path: Path) -> None:
    test, val = write_scores(tmp_path / "test.csv"), write_scores(tmp_path / "val.csv", seed=1)
    code, _, err = evaluate(test, "--validation", val, "--report", "page.html", "--by", "speaker")
    assert code == 0
    assert "report page.html" in err
    html = (tmp_path / "page.html").read_text()
    page = Loads(html)
    assert page.fetched
    assert all(source.startswith("data:image/png;base64,") for source in page.fetched)
    assert "Content-Security-Policy" in html
    assert "default-src 'none'" in html
    assert not re.search(r"@import|url\((?!data:)", html)
    for title in ("Results", "Decisions at three thresholds", "Calibration", "By speaker", "What was judged", "sha256"):
        assert title in html
    assert page.sounds == 0


def test_the_report_plays_the_worst_clips_and_names_those_that_are_gone(
    evaluate: Called, hand: Path, tmp_path: Path
) -> None:
    (tmp_path / "clips").mkdir()
    for name in ("c", "d"):  # at the threshold 0.75 c and d are missed, and e passes
        soundfile.write(tmp_path / "clips" / f"{name}.wav", 0.1 * np.sin(np.arange(8000)), 16000)
    words = ("--threshold", "0.75", "--report", "page.html", "--audio", "clips")
    code, _, err = evaluate(hand, *words)
    assert code == 0
    assert re.search(r"note not in the report: .*e\.wav", err)
    html = (tmp_path / "page.html").read_text()
    assert Loads(html).sounds == 2
    assert html.index("d.wav") < html.index("c.wav")  # the worst first
    assert "e.wav" not in html
    assert "Worst misses" in html
    assert "Worst false alarms" not in html


def test_export_gives_the_same_scores_back(evaluate: Called, tmp_path: Path) -> None:
    path = write_scores(tmp_path / "scores.csv", sign=-1)
    evaluate(path, "--polarity", "spoof", "--export", "out/scores.txt")
    (tmp_path / "labels.csv").write_text(path.read_text().replace("id,score", "path,old"))
    back = read_scores(tmp_path / "out" / "scores.txt", labels=tmp_path / "labels.csv")
    expected = read_scores(path, polarity="spoof")
    assert back.frame["id"].tolist() == expected.frame["id"].tolist()
    assert back.scores.tolist() == expected.scores.tolist()
    assert back.labels.tolist() == expected.labels.tolist()


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "answer"),
    [
        (("hand.csv", "--by", "langs"), 2, "no column 'langs' to break down by; did you mean 'lang'?"),
        (("hand.csv", "--cluster", "langs"), 2, "no column 'langs' to draw as a whole; did you mean 'lang'?"),
        (("hand.csv", "--threshold", "best"), 2, "no rule 'best' for a threshold: use eer, min_dcf, fa@0.01"),
        (("hand.csv", "--threshold", "nan"), 2, "threshold"),
        (("hand.csv", "--calibrator", "magic"), 2, "calibrator"),
        (("hand.csv", "--prior", "1.5"), 2, "prior=1.5"),
        (("hand.csv", "--resamples", "-1"), 2, "resamples=-1"),
        (("hand.csv", "--polarity", "real"), 2, "--polarity real: give the class for which scores are high"),
        (("hand.csv", "--audio", "."), 2, "--audio needs --report"),
        (("hand.csv", "--validation", "none.csv"), 3, "no scores at none.csv"),
        (("hand.csv", "--labels", "none.csv"), 3, "none.csv"),
        (("hand.csv", "--report", "."), 2, "--report .: give a name that ends in .html"),
        (("hand.csv", "--export", "./hand.csv"), 2, "--export hand.csv: that file is read; choose another name"),
        (("hand.csv", "--threshold", "fa@0.1"), 2, "--threshold fa@0.1 needs --validation FILE"),
        (("hand.csv", "--calibrator", "isotonic"), 2, "--calibrator isotonic needs --validation FILE"),
        (("hand.csv", "--report", "hand.csv/page.html"), 2, "cannot write hand.csv/page.html"),
        (("hand.csv", "--export", "hand.csv/x.txt"), 2, "cannot write hand.csv/x.txt"),
        (("none.csv",), 3, "no scores at none.csv"),
        (("folder",), 2, "folder holds no scores: give a finished run, a folder of its evals/, or a file"),
        (("folder", "--labels", "hand.csv"), 2, "is a folder of dfad: --labels, --validation and --polarity are for"),
        (("hand.csv", "--tresholds", "eer"), 2, "No such option"),
        ((), 2, "Missing argument"),
    ],
)
def test_wrong_words_are_told_in_a_line(
    words: tuple[str, ...], code: int, answer: str, evaluate: Called, hand: Path, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    found, _, err = evaluate(*words)
    assert found == code, err
    assert answer in err
    assert err.count("\n") <= (9 if code == 2 and answer[0].isupper() else 3), err


@pytest.mark.parametrize(
    "text",
    [
        *("", "hello\n", "id,label\na,spoof\n", "id,score,label\n", "id,score,label\na,x,spoof\n"),
        *("id,score,label\na,1,spof\n", "id,score,label\na,nan,spoof\n", "id,score,label\na,1,spoof\na,2,spoof\n"),
    ],
)
def test_damaged_files_are_told_in_a_line(text: str, evaluate: Called, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(text)
    code, out, err = evaluate("bad.csv", "--json")
    assert (code, out) == (3, "")
    assert "bad.csv" in err


# --- runs and evaluations ------------------------------------------------------------------------


def test_a_run_is_judged_by_its_validation(evaluate: Called, trained: Path) -> None:
    stored = json.loads((trained / "metrics.json").read_text())
    _, out, _ = evaluate(trained, "--json", "--resamples", "50")
    found = json.loads(out)
    assert found["threshold"] == stored["threshold"]
    for name, value in stored["values"].items():
        if name.startswith("test/") and not name.endswith("seen"):  # the file of scores knows no training
            assert found[name.removeprefix("test/")] == value, name
    _, out, _ = evaluate(trained, "--json", "--calibrator", "none", "--threshold", "0.1")
    assert json.loads(out)["threshold"] == 0.1


@pytest.mark.parametrize(("checkpoint", "known"), [("best", True), ("last", False)])
def test_an_evaluation_is_judged_by_validation_if_it_is_of_the_best_checkpoint(
    checkpoint: str, known: bool, evaluate: Called, elsewhere: Path
) -> None:
    place = elsewhere / "evals" / "manifest-01234567"
    place.mkdir(parents=True)
    shutil.copy(elsewhere / "scores" / "test.csv", place / "scores.csv")
    for name in ("metrics.json", "deployed.json"):
        shutil.copy(elsewhere / name, place / name)
    path = elsewhere / "checkpoints" / f"{checkpoint}.ckpt"
    (place / "config.yaml").write_text(yaml.safe_dump({"checkpoint": str(path)}))
    code, out, _ = evaluate(place, "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["threshold"] is not None) == ("cllr_calibrated" in found) == known
    (place / "config.yaml").write_text("[")
    code, _, err = evaluate(place)
    assert (code, "config.yaml is damaged or missing; type the command of the evaluation again" in err) == (2, True)


def test_a_run_with_damaged_choices_is_refused(evaluate: Called, elsewhere: Path) -> None:
    (elsewhere / "deployed.json").write_text("{")
    code, _, err = evaluate(elsewhere)
    assert (code, "deployed.json is damaged or missing" in err) == (2, True)


# --- what it takes -------------------------------------------------------------------------------


def test_it_needs_no_training_stack(hand: Path) -> None:
    code = (
        "import sys\nfrom dfad.commands.evaluate import main\n"
        "try: main()\nexcept SystemExit as leave: assert not leave.code, leave.code\n"
        "print(sorted({'torch', 'lightning', 'hydra', 'torchaudio', 'wandb'} & set(sys.modules)), file=sys.stderr)"
    )
    words = [str(hand), "--json", "--report", str(hand.with_suffix(".html"))]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"
    assert json.loads(done.stdout)["eer"] == 0.25


def test_it_is_a_command_of_dfad(hand: Path) -> None:
    words: list[Any] = [sys.executable, "-m", "dfad", "evaluate", hand]
    done = subprocess.run(words, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    assert "25.00 %" in done.stdout


def test_scores_of_a_run_have_the_same_polarity(trained: Path) -> None:
    table = ScoreTable.read(trained / "scores" / "val.csv")
    assert table.scores[table.labels == 1].mean() > table.scores[table.labels == 0].mean()


# --- doubts about files --------------------------------------------------------------------------


def test_scores_that_look_like_probabilities_are_doubted(evaluate: Called, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,score,label\na,0.9,real\nb,0.2,fake\nc,0.7,real\nd,0.4,fake\n")
    code, out, _ = evaluate("p.csv", "--json")
    assert code == 0
    assert "all scores lie in [0, 1]: if they are probabilities p" in json.loads(out)["notes"][0]


def test_a_validation_that_is_judged_too_is_told(evaluate: Called, tmp_path: Path) -> None:
    test, val = write_scores(tmp_path / "test.csv"), write_scores(tmp_path / "val.csv", seed=1)
    code, out, _ = evaluate(test, "--validation", val, "--json")
    assert code == 0
    assert "80 of 80 clips are in the validation too" in json.loads(out)["notes"][0]


def test_a_few_clips_of_validation_are_told(evaluate: Called, tmp_path: Path) -> None:
    test, val = write_scores(tmp_path / "test.csv"), write_scores(tmp_path / "val.csv", seed=1, clips=12)
    code, out, _ = evaluate(test, "--validation", val, "--json")
    assert code == 0
    notes = json.loads(out)["notes"]
    assert "only 6 spoof and 6 bona-fide clips of validation chose the threshold and calibrator" in notes


def test_columns_may_be_repeated_or_listed(evaluate: Called, hand: Path) -> None:
    lists = [
        json.loads(evaluate(hand, "--json", *words)[1])
        for words in (("--by", "lang,attack"), ("--by", "lang", "--by", "attack"))
    ]
    assert list(lists[0]["breakdowns"]) == list(lists[1]["breakdowns"]) == ["lang", "attack"]
