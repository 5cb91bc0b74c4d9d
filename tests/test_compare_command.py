"""`dfad compare` on runs, evaluations and files: what it says of two detectors, and what it refuses."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dfad.scores import ScoreTable
from tests.conftest import Called


@pytest.fixture
def compare(command: Called) -> Called:
    """Call the command in this process and folder; gives exit code, stdout and stderr."""
    return partial(command, "compare")


@pytest.fixture
def other(elsewhere: Path) -> Path:
    """A second run of the same clips: its bona fide clips have scores above all spoof but one."""
    folder = elsewhere.with_name("other-run")
    shutil.copytree(elsewhere, folder)
    table = ScoreTable.read(folder / "scores" / "test.csv")
    scores = np.where(table.labels == 1, 2.0, -2.0) + 0.01 * np.arange(len(table))
    scores[np.flatnonzero(table.labels == 0)[0]] = 5.0
    ScoreTable(table.frame.assign(score=scores.astype(np.float32))[::-1]).write(folder / "scores" / "test.csv")
    return folder


def test_a_run_against_itself(compare: Called, trained: Path) -> None:
    code, out, _ = compare(trained, trained, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["names"] == ["A", "B"]
    assert (found["difference"], found["interval"], found["p_eer"]) == (0, [0, 0], 1)
    assert (found["alone"], found["p_decisions"], found["differs"]) == ([0, 0], 1, False)


def test_two_runs_in_numbers(compare: Called, elsewhere: Path, other: Path) -> None:
    _, out, err = compare(elsewhere, other, "--json", "--resamples", "200")
    found = json.loads(out)
    table, stored = (
        ScoreTable.read(elsewhere / "scores" / "test.csv"),
        json.loads((elsewhere / "metrics.json").read_text()),
    )
    assert found["names"] == [elsewhere.name, "other-run"]
    assert found["thresholds"] == [stored["threshold"]] * 2
    assert found["eers"] == pytest.approx([stored["values"]["test/eer"], 1 / 6])
    assert found["difference"] == pytest.approx(found["eers"][0] - found["eers"][1])
    assert found["interval"][0] <= found["difference"] <= found["interval"][1]
    assert (found["clips"], found["unit"]) == (12, "clip")
    first = (table.scores >= stored["threshold"]) == (table.labels == 1)
    second = np.arange(12) != np.flatnonzero(table.labels == 0)[0]
    assert found["alone"] == [int((first & ~second).sum()), int((second & ~first).sum())]
    assert "note only 6 known values of speaker" in err


def test_two_runs_in_words(compare: Called, elsewhere: Path, other: Path) -> None:
    code, out, _ = compare(elsewhere, other)
    assert code == 0
    for words in (f"A = {elsewhere}", f"B = {other}", "% of A", "95 % interval", "the interval holds 0", "McNemar"):
        assert words in out, words
    assert "2,000 paired resamples of 6 clips" in out


def test_a_difference_that_is_none_of_chance(compare: Called, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = np.arange(400) % 2
    for name, gap in (("good", 3.0), ("bad", 0.5)):
        scores = random.normal(size=400) + gap * (labels - 0.5)
        rows = [f"{row},{score:.6f},{('spoof', 'real')[labels[row]]}" for row, score in enumerate(scores)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["id,score,label", *rows]))
    _, out, _ = compare("bad.csv", "good.csv")
    assert "B is better than A by more than chance would explain" in out
    assert "B is right more often than chance" in out
    _, out, _ = compare("good.csv", "bad.csv", "--json", "--thresholds", "0,0.25")
    found = json.loads(out)
    assert found["names"] == ["good", "bad"]
    assert found["differs"]
    assert found["interval"][1] < 0
    assert found["p_decisions"] < 0.001
    assert found["thresholds"] == [0, 0.25]


def test_a_run_against_a_file_with_a_protocol(
    compare: Called, elsewhere: Path, manifest_csv: Path, tmp_path: Path
) -> None:
    table = ScoreTable.read(elsewhere / "scores" / "test.csv")
    lines = [f"{id} {score:.9g}" for id, score in zip(table.frame["id"], table.scores, strict=True)]
    (tmp_path / "theirs.txt").write_text("\n".join(lines) + "\n")
    _, out, _ = compare(elsewhere, "theirs.txt", "--labels", manifest_csv, "--json")
    found = json.loads(out)
    assert found["difference"] == 0
    assert found["thresholds"] == [json.loads((elsewhere / "metrics.json").read_text())["threshold"], 0]


@pytest.mark.parametrize("kept", [slice(0, 10), slice(2, 12)])
def test_other_clips_are_refused(kept: slice, compare: Called, elsewhere: Path, other: Path) -> None:
    path = other / "scores" / "test.csv"
    ScoreTable(ScoreTable.read(path).frame[kept]).write(path)
    code, _, err = compare(elsewhere, other)
    assert (code, "2 of 12 clips of the first are not in the second" in err) == (3, True)
    code, _, err = compare(other, elsewhere)
    assert (code, "2 of 12 clips of the second are not in the first" in err) == (3, True)


def test_other_labels_are_refused(compare: Called, elsewhere: Path, other: Path) -> None:
    path = other / "scores" / "test.csv"
    frame = ScoreTable.read(path).frame
    ScoreTable(frame.assign(label=1 - frame["label"])).write(path)
    code, _, err = compare(elsewhere, other)
    assert (code, "12 clips have two labels, such as test-" in err) == (3, True)


@pytest.mark.parametrize(
    ("words", "code", "answer"),
    [
        (("RUN", "none.csv"), 3, "no scores at none.csv"),
        (("RUN", "."), 2, ". holds no scores: give a finished run"),
        (("RUN", "RUN", "--thresholds", "0"), 2, "--thresholds 0: give two numbers with a comma between"),
        (("RUN", "RUN", "--thresholds", "a,b"), 2, "give two numbers with a comma between"),
        (("RUN", "RUN", "--cluster", "speeker"), 2, "did you mean 'speaker'?"),
        (("RUN", "RUN", "--resamples", "0"), 2, "Invalid value"),
        (("RUN",), 2, "Missing argument"),
    ],
)
def test_wrong_words(words: tuple[str, ...], code: int, answer: str, compare: Called, trained: Path) -> None:
    found, _, err = compare(*(str(trained) if word == "RUN" else word for word in words))
    assert found == code, err
    assert answer in err
