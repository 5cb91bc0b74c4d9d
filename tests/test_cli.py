"""The commands as a user meets them: real processes, what they print, what they leave, how they end."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from rich.console import Console

from dfad.commands import console
from dfad.commands.guard import guarded
from dfad.training import runs
from tests.conftest import ROOT, SMALL, environment, write_corpus

Run = Callable[..., subprocess.CompletedProcess[str]]


def refused(done: subprocess.CompletedProcess[str], code: int, *answers: str) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    for answer in answers:
        assert answer in done.stderr


def test_a_run_leaves_everything_in_its_folder(trained: Path) -> None:
    files = {path.relative_to(trained).as_posix() for path in trained.rglob("*") if path.is_file()}
    assert files >= {
        "config.yaml", "manifest.json", "environment.json", "curves.csv", "metrics.json", "deployed.json",
        "report.html", "train.log",
        "checkpoints/best.ckpt", "checkpoints/last.ckpt", "scores/val.csv", "scores/test.csv",
        *(f"figures/{name}.png" for name in ("curves", "confusion_as_trained", "confusion_by_validation")),
        *(f"figures/{name}.png" for name in ("det", "roc", "histogram", "reliability", "by_attack", "inputs")),
    }  # fmt: skip
    assert not any(name.endswith(".part") for name in files)
    assert trained.name.startswith("cnn-logmel-manifest-")
    assert len(pd.read_csv(trained / "curves.csv")) == 4


def test_results_tell_seen_from_unseen_attacks(trained: Path) -> None:
    values = json.loads((trained / "metrics.json").read_text())["values"]
    assert {"test/eer", "test/eer/seen", "test/eer/unseen", "test/eer/hum", "val/eer_threshold"} <= set(values)
    assert values["test/eer/unseen"] == values["test/eer/hum"]


def test_test_clips_are_scored_once_each(trained: Path, manifest_csv: Path) -> None:
    manifest = pd.read_csv(manifest_csv)
    scores = pd.read_csv(trained / "scores" / "test.csv")
    assert scores["id"].tolist() == manifest["path"][manifest["split"] == "test"].tolist()


def test_a_finished_run_is_shown_and_not_trained_again(trained: Path, manifest_csv: Path, dfad: Run) -> None:
    before = (trained / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    done = dfad("train", "data=manifest", f"data.path={manifest_csv}", *SMALL, cwd=trained.parents[1])
    assert "is finished already" in done.stdout
    assert "epoch" not in done.stdout
    assert (trained / "checkpoints" / "last.ckpt").stat().st_mtime_ns == before


def test_evaluation_needs_nothing_but_the_run(trained: Path, dfad: Run, tmp_path: Path) -> None:
    done = dfad("eval", f"run={trained}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (trained / "evals").iterdir()
    assert (folder / "scores.csv").read_bytes() == (trained / "scores" / "test.csv").read_bytes()
    again = dfad("eval", f"run={trained}", cwd=tmp_path)
    assert "evaluated already" in again.stdout
    shutil.rmtree(trained / "evals")


def test_another_corpus_without_splits_is_scored_whole(trained: Path, dfad: Run, tmp_path: Path) -> None:
    for label in ("real", "fake"):
        (tmp_path / "mine" / label).mkdir(parents=True)
        for number in range(3):
            noise = np.random.default_rng(number).normal(size=9000) * 0.1
            soundfile.write(tmp_path / "mine" / label / f"{number}.flac", noise, 16000)
    checkpoint = shutil.copy(trained / "checkpoints" / "best.ckpt", tmp_path / "bare.ckpt")
    done = dfad("eval", f"run={checkpoint}", "data=folder", "data.path=mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "bare.evals").iterdir()
    assert len(pd.read_csv(folder / "scores.csv")) == 6
    bare = dfad("eval", f"run={checkpoint}", cwd=tmp_path)
    refused(bare, 2, "lies in no run folder", "data=manifest data.path=…")


Refusal = Callable[..., tuple[int, str]]


def test_wrong_runs_are_refused(trained: Path, refusal: Refusal, tmp_path: Path) -> None:
    newer = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    newer["dfad"]["format"] = 99
    torch.save(newer, tmp_path / "newer.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    (tmp_path / "text.ckpt").write_text("hello")
    for run, answer in (
        (str(tmp_path), "is no run folder"),
        ("nowhere", "there is no nowhere; dfad runs lists the runs"),
        ("newer.ckpt", "is of format 99"),
        ("foreign.ckpt", "is not a checkpoint of dfad"),
        ("text.ckpt", "is damaged, or no checkpoint"),
    ):
        code, said = refusal("eval", f"run={run}", cwd=tmp_path)
        assert code == 2, said
        assert answer in said


def test_wrong_corpora_are_refused(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("path,label\na.wav,bona-fid\n")
    (tmp_path / "semicolon.csv").write_text("path;label\na.wav;real\n")
    (tmp_path / "one.csv").write_text("path,label,split\na.wav,real,train\nb.wav,fake,train\nc.wav,real,val\n")
    for words, answers in (
        (("data=manifest", "data.path=none.csv"), ["no manifest at none.csv"]),
        (("data=folder", "data.path=none"), ["no folder at none"]),
        (("data=manifest", "data.path=."), ["is a folder; use data=folder"]),
        (("data=manifest", "data.path=bad.csv"), ["row 2", "did you mean 'bona-fide'?"]),
        (("data=manifest", "data.path=semicolon.csv"), ["no column path, label", "by commas, not semicolons"]),
        (("data=manifest", "data.path=one.csv"), ["split 'val'", "split 'test' has 0"]),
    ):
        code, said = refusal("train", *words, cwd=tmp_path)
        assert code == 3, said
        assert all(answer in said for answer in answers), said


def test_damaged_clips_fail_the_run_or_are_skipped_and_named(dfad: Run, tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path)
    (tmp_path / "train-spoof-0.wav").write_bytes(b"RIFF")
    (tmp_path / "test-spoof-1.wav").unlink()
    words = ["data=manifest", f"data.path={manifest}", *SMALL, "trainer.max_epochs=1"]
    refused(dfad("train", *words, cwd=tmp_path), 3, "2 of 48 clips", "train-spoof-0.wav", "test-spoof-1.wav")
    refused(dfad("train", *words, "data.on_error=skip", cwd=tmp_path), 3, "data.max_bad_fraction")
    done = dfad("train", *words, "data.on_error=skip", "data.max_bad_fraction=0.1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "skipped 2 of 48 clips" in done.stdout
    (folder,) = (path.parent for path in tmp_path.glob("runs/*/metrics.json"))
    skipped = json.loads((folder / "manifest.json").read_text())["skipped"]
    assert list(skipped) == ["train-spoof-0.wav", "test-spoof-1.wav"]
    assert len(pd.read_csv(folder / "scores" / "test.csv")) == 11
    assert "skipped" in (folder / "report.html").read_text()


def test_the_same_names_with_other_audio_are_another_run(dfad: Run, tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path)
    words = ["data=manifest", f"data.path={manifest}", *SMALL, "trainer.max_epochs=1"]
    dfad("train", *words, cwd=tmp_path)
    (folder,) = (tmp_path / "runs").iterdir()
    dfad("eval", f"run={folder}", cwd=tmp_path)
    wave, rate = soundfile.read(tmp_path / "test-spoof-1.wav")
    soundfile.write(tmp_path / "test-spoof-1.wav", -wave, rate)
    again = dfad("eval", f"run={folder}", cwd=tmp_path)
    assert "evaluated already" not in again.stdout
    dfad("train", *words, cwd=tmp_path)
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_only_the_best_checkpoint_has_the_run_s_threshold(trained: Path, dfad: Run, tmp_path: Path) -> None:
    done = dfad("eval", f"run={trained / 'checkpoints' / 'last.ckpt'}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (trained / "evals").iterdir()
    assert not any(key.endswith("_at_val") for key in json.loads((folder / "metrics.json").read_text())["values"])
    shutil.rmtree(trained / "evals")


def test_a_path_may_have_any_letters(dfad: Run, tmp_path: Path) -> None:
    home = tmp_path / "mes données, l'été"
    home.mkdir()
    manifest = write_corpus(home)
    done = dfad("train", "data=manifest", f"data.path={manifest}", *SMALL, "trainer.max_epochs=1", cwd=home)
    assert done.returncode == 0, done.stderr


def test_a_full_disk_is_told_in_a_line(manifest_csv: Path, tmp_path: Path) -> None:
    words = ["data=manifest", f"data.path={manifest_csv}", *SMALL, "model.channels=[64,64]"]
    # a limit on file sizes fails a write as a full disk does
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); "
    code += "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); from dfad.commands.train import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, env=environment()
    )
    refused(done, 1, "no space is left on the disk", "the same command")
    (folder,) = (tmp_path / "runs").iterdir()
    assert "no space" in (folder / "error.txt").read_text()
    again = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert again.returncode == 0, again.stderr
    assert not (folder / "error.txt").exists()


def test_force_trains_again_to_the_same_numbers(dfad: Run, manifest_csv: Path, tmp_path: Path) -> None:
    words = ["data=manifest", f"data.path={manifest_csv}", *SMALL, "trainer.max_epochs=1"]
    dfad("train", *words, cwd=tmp_path)
    (folder,) = (tmp_path / "runs").iterdir()
    before = (folder / "scores" / "test.csv").read_bytes()
    done = dfad("train", *words, "force=true", cwd=tmp_path)
    assert "epoch 1/1" in done.stdout
    assert (folder / "scores" / "test.csv").read_bytes() == before


def test_the_screen_shows_nothing_that_a_user_cannot_act_on(dfad: Run, manifest_csv: Path, tmp_path: Path) -> None:
    done = dfad("train", "data=manifest", f"data.path={manifest_csv}", *SMALL, "trainer.max_epochs=1", cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout.count("\n") < 50
    for word in ("Tip", "available", "Warning", "lightning"):
        assert word not in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "answer"),
    [
        ([], 0, "dfad train"),
        (["--help"], 0, "dfad options"),
        (["--version"], 0, "dfad 0."),
        (["trian"], 2, "did you mean 'train'?"),
        (["options", "model"], 0, "model.channels"),
        (["options", "data"], 0, "such as [de,en]; null: all"),
        (["options", "robustness"], 0, "from each of 5 random starts"),
        (["options", "modle"], 2, "did you mean 'model'?"),
        (["train", "--help"], 0, "Train a detector"),
        (["eval", "--help"], 0, "run=<folder or checkpoint>"),
        (["eval"], 2, "run: missing; give it as run=…"),
    ],
)
def test_the_dfad_command(words: list[str], code: int, answer: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dfad", *words], cwd=tmp_path, capture_output=True, text=True, env=environment()
    )
    assert done.returncode == code, done.stderr
    assert answer in done.stdout + done.stderr


def test_the_development_corpus_trains(reference: Path, dfad: Run, tmp_path: Path) -> None:
    manifest: Any = reference / "corpus" / "manifest.csv"
    done = dfad("train", "data=manifest", f"data.path={manifest}", *SMALL, "trainer.max_epochs=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("runs/*/scores/test.csv")
    table = pd.read_csv(manifest)
    assert pd.read_csv(path)["id"].tolist() == table["path"][table["split"] == "test"].tolist()
    assert len(pd.read_csv(path)) == 282


def test_a_bar_shows_any_name_as_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for terminal in (True, False):
        screen = Console(force_terminal=terminal, width=120, file=sys.stdout)
        monkeypatch.setattr(console, "CONSOLE", screen)
        monkeypatch.setattr(console, "QUICK_S", 0.0)
        bar = console.Bar("intervals by {x} [bold]y[/]", "values")
        bar(1, 2)
        bar(2, 2)
        assert "intervals by {x} [bold]y[/]" in re.sub("\x1b.*?[A-Za-z]", "", capsys.readouterr().out)


@pytest.mark.parametrize(("stop", "code"), [(SystemExit(143), 143), (KeyboardInterrupt(), 130)])
def test_a_signal_is_no_failure_though_a_loader_process_died_of_it_too(
    stop: BaseException, code: int, tmp_path: Path
) -> None:
    def work() -> None:
        with runs.Run(tmp_path).working():
            try:
                raise stop
            finally:
                raise RuntimeError("DataLoader worker is killed by signal: Terminated.")

    assert guarded(work) == code
    assert not (tmp_path / "error.txt").exists()
