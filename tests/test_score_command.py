"""`dfad score`: what a person sees, what a program reads, and a file of rows that survives any end."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

import dfad
from dfad.commands.listed import listed
from dfad.commands.score_file import growing
from dfad.commands.score_rows import COLUMNS, row_of
from dfad.deployed import Deployed
from dfad.errors import BusyError, ConfigError
from dfad.scorer import Scorer
from tests.conftest import Called
from tests.test_scorer import RATE, content, noise

Score = Callable[..., tuple[int, str, str]]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "model.ckpt"
    torch.save(content(), path)
    return path


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Seven clips in folders, a file that is no sound, and one that is not called audio."""
    home = tmp_path / "clips"
    for number, name in enumerate(["a.wav", "b/c.flac", "b/d/e.ogg", "z.WAV", "b/x y.wav", "b/[z].wav", "b/é.wav"]):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(home / name, noise(5000 + 4000 * number, seed=number), RATE)
    (home / "b" / "bad.mp3").write_text("no sound")
    (home / "notes.txt").write_text("hello")
    (home / ".hidden.wav").write_text("hello")
    return home


@pytest.fixture
def score(command: Called, checkpoint: Path) -> Score:
    return lambda *words, **more: command("score", *words, "--run", checkpoint, **more)


def rows_of(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


# --- what is shown -------------------------------------------------------------------------------


def test_a_table_for_people(score: Score, clips: Path) -> None:
    code, out, err = score(clips)
    lines = out.splitlines()
    assert code == 3
    assert "1 of 8 files could not be scored; their rows say why" in err
    assert "threshold 0 (none: raw checkpoint, as trained) of the log-odds, P(spoof) at a prior of 0.5" in lines[0]
    assert "mean of windows of 0.5 s every 0.25 s" in lines[0]
    assert lines[1].split() == ["file", "verdict", "P(spoof)", "score", "duration", "warnings"]
    assert len({line.index(word) for line, word in ((lines[1], "verdict"), (lines[2], "bona-fide"))}) == 1
    assert lines[-1] == "8 files: 7 bona-fide, 0 spoof, 1 not scored"
    assert next(line for line in lines if "bad.mp3" in line).split("error")[1].strip().startswith("no audio that can")
    assert "short" in next(line for line in lines if "a.wav" in line)


def test_programs_read_what_python_gives(score: Score, clips: Path, checkpoint: Path, tmp_path: Path) -> None:
    code, out, _ = score(clips, "--json", "--windows")
    rows = rows_of(out)
    assert code == 3
    assert next(tuple(row) for row in rows if not row["error"]) == (*COLUMNS, "windows")
    scorer = dfad.load(checkpoint)
    for row in rows:
        if row["error"]:
            assert row["path"].endswith("bad.mp3")
            assert all(row[name] is None for name in ("verdict", "p_spoof", "score", "duration_s"))
            continue
        result = scorer(row["path"])
        assert row["score"] == pytest.approx(result.score, abs=1e-5)
        assert (row["verdict"], tuple(row["warnings"])) == (result.verdict, result.warnings)
        assert [window["start_s"] for window in row["windows"]] == [window.start_s for window in result.windows]
    _, text, _ = score(clips, "--csv")
    table = list(csv.DictReader(io.StringIO(text)))
    assert [row["path"] for row in table] == [row["path"] for row in rows]
    assert [float(row["score"] or "nan") for row in table] == pytest.approx(
        [row["score"] or np.nan for row in rows], nan_ok=True
    )
    code, out, _ = score(clips, "--parquet", tmp_path / "new" / "x.parquet")
    frame = pd.read_parquet(tmp_path / "new" / "x.parquet")
    assert frame["path"].tolist() == [row["path"] for row in rows]
    assert list(frame["warnings"][0]) == rows[0]["warnings"]
    assert not list(tmp_path.glob("new/*.part"))


def test_nothing_but_rows_on_stdout(score: Score, clips: Path) -> None:
    _, out, err = score(clips / "a.wav", "--json")
    assert len(rows_of(out)) == 1
    assert "threshold 0" in err
    assert "training clips sounded like" in err


def test_the_prior_moves_the_probability_alone(score: Score, clips: Path) -> None:
    (half,), (rare,) = (rows_of(score(clips / "a.wav", "--json", "--prior", prior)[1]) for prior in (0.5, 0.01))
    assert rare["p_spoof"] < half["p_spoof"]
    assert (rare["score"], rare["verdict"], rare["prior"]) == (half["score"], half["verdict"], 0.01)


def test_a_gate(score: Score, clips: Path) -> None:
    assert score(clips / "a.wav", "--fail-above", 0.99)[0] == 0
    code, _, err = score(clips / "a.wav", clips / "b" / "bad.mp3", "--fail-above", 0.01)
    assert code == 4
    assert "P(spoof) of 1 of 2 files is above 0.01" in err
    assert "1 of 2 files could not be scored" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "what shall be scored"),
        (("x.wav", "--json", "--csv"), "choose one"),
        (("x.wav", "--windows"), "--windows needs"),
        (("x.wav", "--prior", "1"), "between 0 and 1"),
        (("x.wav", "--hop", "9"), "leaves gaps"),
        (("x.wav", "--hop", "-1"), "hop_s"),
        (("x.wav", "--aggregate", "meen"), "did you mean 'mean'"),
        (("x.wav", "--out", "x.txt"), "x.jsonl or x.csv"),
        (("x.wav", "--device", "abacus"), "--device abacus"),
        (("x.wav", "--max-hours", "0"), "max_hours"),
    ],
)
def test_wrong_options_are_told_before_any_work(score: Score, words: tuple[str, ...], message: str) -> None:
    code, _, err = score(*words)
    assert code == 2
    assert message in err


def test_without_a_run_it_says_how_to_get_one(command: Called, clips: Path) -> None:
    code, out, err = command("score", clips)
    assert (code, out) == (2, "")
    assert "dfad train" in err
    code, _, err = command("score", clips, "--run", "nowhere")
    assert code == 2
    assert "no checkpoint at nowhere" in err


def test_the_first_window_is_what_evaluation_heard(trained: Path, manifest_csv: Path, command: Called) -> None:
    code, out, _ = command("score", manifest_csv.parent, "--first", "--json", "--run", trained)
    found = {Path(row["path"]).name: row for row in rows_of(out)}
    assert (code, len(found)) == (0, 48)
    stored = pd.read_csv(trained / "scores" / "test.csv")
    np.testing.assert_allclose([found[name]["raw_score"] for name in stored["id"]], stored["score"], atol=1e-5)
    assert {row["threshold_from"] for row in found.values()} == {"EER on validation"}
    assert {row["calibrated"] for row in found.values()} == {True}
    shutil.copytree(trained, "runs/copy")
    _, _, err = command("score", manifest_csv.parent / "test-spoof-0.wav")
    assert "the latest that is finished" in err


# --- which files ---------------------------------------------------------------------------------


def names(found: list[tuple[Path, str]], home: Path) -> list[str]:
    return [os.path.relpath(path, home) for path, _ in found]


def test_folders_patterns_and_lists(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = ["a.wav", "b/[z].wav", "b/bad.mp3", "b/c.flac", "b/d/e.ogg", "b/x y.wav", "b/é.wav", "z.WAV"]
    assert names(listed([str(clips)]), clips) == below
    assert names(listed([f"{clips}/**/*.wav"]), clips) == ["a.wav", "b/[z].wav", "b/x y.wav", "b/é.wav"]
    assert names(listed([f"{clips}/b/[z].wav"]), clips) == ["b/[z].wav"]  # there is such a file
    assert names(listed([f"{clips}/notes.txt"]), clips) == ["notes.txt"]  # named: tried by its content
    monkeypatch.chdir(clips)
    assert names(listed(["a.wav", "./a.wav", str(clips / "a.wav"), "."]), clips) == below  # each once
    for ending in (b"\n", b"\r\n", b"\0"):
        typed = io.BytesIO(ending.join([b"a.wav", b"b/c.flac", b""]))
        assert names(listed(["-"], typed), clips) == ["a.wav", "b/c.flac"]
    assert listed(["-"], io.BytesIO(b"a\nb.wav\0\xff.wav\0"))[1][0] == Path(os.fsdecode(b"\xff.wav"))


def test_words_that_give_no_file_have_a_row(clips: Path, score: Score) -> None:
    (clips / "none").mkdir()
    code, out, _ = score(clips / "none", f"{clips}/x*.wav", clips / "missing.wav", clips / "a.wav", "--json")
    errors = [row["error"] for row in rows_of(out)]
    assert code == 3
    assert errors[0].startswith("no audio below this folder; known suffixes: ")
    assert errors[1:] == ["no file matches this pattern", "no such file or directory", None]


def test_links_are_followed_once(clips: Path) -> None:
    (clips / "b" / "loop").symlink_to(clips)
    (clips / "other").symlink_to(clips / "b" / "d")
    found = names(listed([str(clips)]), clips)
    assert len(found) == 8
    assert len([name for name in found if name.endswith("e.ogg")]) == 1


# --- a file that grows ---------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
@pytest.mark.parametrize("tear", [0, 1, 40])
def test_after_a_kill_the_rest_is_done_once(
    suffix: str, tear: int, clips: Path, score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clips / 'b/new\nline, "and" quotes.wav').write_bytes((clips / "a.wav").read_bytes())
    out, whole = tmp_path / f"x{suffix}", tmp_path / f"whole{suffix}"
    assert score(clips, "--out", whole)[0] == 3
    real = Scorer.each

    def killed(self: Scorer, paths: Any, options: Any) -> Iterator[Any]:
        for number, found in enumerate(real(self, paths, options)):
            if number == 5:
                raise KeyboardInterrupt
            yield found

    with monkeypatch.context() as patch:
        patch.setattr(Scorer, "each", killed)
        code, _, err = score(clips, "--out", out)
    assert code == 130
    assert "with --out the same command goes on where it was" in err
    content = out.read_bytes()
    out.write_bytes(content[: len(content) - tear])  # as a power cut leaves it
    code, said, _ = score(clips, "--out", out)
    assert code == 3  # the bad one of before counts
    assert "9 files: 8 bona-fide, 0 spoof, 1 not scored" in said
    assert _without_last_digits(out) == _without_last_digits(whole)
    before = out.stat().st_mtime_ns
    assert score(clips, "--out", out)[0] == 3
    assert out.stat().st_mtime_ns == before


def _without_last_digits(path: Path) -> list[list[Any]]:
    """Rows whose scores are rounded, as a batch may hold other windows."""
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            rows: list[dict[str, Any]] = list(csv.DictReader(file))
    else:
        rows = rows_of(path.read_text())
    numbers = ("p_spoof", "score", "raw_score")
    return [[round(float(value or 9), 4) if key in numbers else value for key, value in row.items()] for row in rows]


def test_rows_of_another_detector_or_other_options_are_not_mixed(score: Score, clips: Path, tmp_path: Path) -> None:
    assert score(clips / "a.wav", "--out", "x.csv")[0] == 0
    before = (tmp_path / "x.csv").read_bytes()
    for words in (("--first",), ("--prior", "0.1"), ("--aggregate", "max")):
        code, _, err = score(clips, "--out", "x.csv", *words)
        assert code == 2
        assert "x.csv holds scores by model.ckpt/" in err
    assert (tmp_path / "x.csv").read_bytes() == before


@pytest.mark.parametrize("text", ["precious", "path,label\na.wav,spoof\n", '{"a": 1}\n', '"', "[]\n", "\n", "7\n7\n"])
@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_file_of_something_else_is_left_alone(text: str, suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"x{suffix}").write_text(text)
    with pytest.raises(ConfigError, match="holds something else"), growing(tmp_path / f"x{suffix}", "me"):
        pass
    assert (tmp_path / f"x{suffix}").read_text() == text


def test_two_do_not_write_one_file(tmp_path: Path) -> None:
    with growing(tmp_path / "x.csv", "me"):
        with pytest.raises(BusyError, match="another process"), growing(tmp_path / "x.csv", "me"):
            pass
        with pytest.raises(ConfigError, match="cannot write"), growing(tmp_path / "x.csv" / "y.csv", "me"):
            pass


def test_any_name_is_a_row_that_can_be_read_again(tmp_path: Path) -> None:
    odd = ["a\u2028b.wav", "a\x85b.wav", "a\rb.wav", '"', "a\n", "\udcff.wav", "=1+1.wav", "a,b"]
    for suffix in (".jsonl", ".csv"):
        with growing(tmp_path / f"x{suffix}", "me") as rows:
            for name in odd:
                rows(row_of(Path(name), "no sound", "me"))
        with growing(tmp_path / f"x{suffix}", "me") as rows:
            assert list(rows.done) == [name.replace("\udcff", "\\xff") for name in odd]
            assert {row["error"] for row in rows.done.values()} == {"no sound"}


def test_p_spoof_that_nobody_can_tell_is_no_number(checkpoint: Path) -> None:
    scorer = dfad.load(checkpoint)
    scorer.deployed = Deployed.read({"raw": {"unit": "cosine"}})
    row = row_of(Path("x"), scorer(noise(), RATE), "me", windows=True)
    assert (row["p_spoof"], row["windows"][0]["p_spoof"]) == (None, None)
    assert row["score"] is not None
