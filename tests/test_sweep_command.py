"""`dfad sweep`: real trainings, each in a process of its own."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dfad.training.config import TrainConfig
from dfad.training.fit import train
from dfad.training.followed import EndedError, Followed
from dfad.training.runs import Run
from dfad.training.scoring import SILENT
from tests.conftest import ROOT, SMALL, environment

SPACE = ("space.model.lr=tag(log, interval(1e-4, 1e-1))", "space.model.channels=[4],[4,8]")


def command(manifest: Path, *words: str) -> list[str]:
    begin = [sys.executable, "-u", "-m", "dfad", "sweep", "study=first", *SPACE]
    return [*begin, "data=manifest", f"data.path={manifest}", *SMALL, *words]


def process(typed: list[str], cwd: Path) -> subprocess.Popen[str]:
    there = {**environment(), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(typed, cwd=cwd, env=there, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def said_by(typed: list[str], cwd: Path, code: int = 0) -> str:
    started = process(typed, cwd)
    said = started.communicate(timeout=300)[0]
    assert started.returncode == code, said
    return said


def table(home: Path) -> list[dict[str, str]]:
    with (home / "runs" / ".studies" / "first" / "trials.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def searched(manifest_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A study of two trials, and what was said."""
    home = tmp_path_factory.mktemp("searched")
    return home, said_by(command(manifest_csv, *WORDS), home)


WORDS = ("n_trials=2", "trainer.max_epochs=2")


def test_a_study_tells_each_trial_and_what_it_found(searched: tuple[Path, str]) -> None:
    home, said = searched
    assert "model.lr: log 0.0001 … 0.1\n" in said
    assert re.search(
        r"\[1/2\] trial 0 complete val/cllr [\d.]+  \(best [\d.]+\)  model.lr=0.002  model.channels=\[4,8\]\n", said
    )
    rows = table(home)
    best = min(rows, key=lambda row: float(row["val/cllr"]))
    assert f"best: trial {best['trial']}, val/cllr {float(best['val/cllr']):.4f}\n" in said
    assert "Traceback" not in said
    for row in rows:
        assert values_of(home, row) == [float(row["val/cllr"])]
    page = (home / "runs" / ".studies" / "first" / "report.html").read_text()
    assert "<script" not in page
    assert page.count("<img") == 4
    for name in ("history", "importances", "options", "epochs"):
        assert (home / "runs" / ".studies" / "first" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def values_of(home: Path, row: dict[str, str]) -> list[float]:
    """What the runs of a trial, by seed, have stored of validation."""
    found = []
    for seed, run in enumerate(row["runs"].split()):
        assert yaml.safe_load((home / run / "config.yaml").read_text())["seed"] == seed
        found.append(json.loads((home / run / "metrics.json").read_text())["values"]["val/cllr"])
    return found


def test_the_best_comes_again_from_its_command(searched: tuple[Path, str], dfad: Callable[..., Any]) -> None:
    home, said = searched
    (line,) = (line for line in said.splitlines() if line.startswith("again: "))
    python, script, *words = shlex.split(line.removeprefix("again: "))
    assert (python, script) == ("python", "train.py")
    done = dfad("train", *words, cwd=home)
    assert done.returncode == 0, done.stderr
    run = re.search(r"^run (\S+)$", said, re.M)
    assert run
    assert f"run {run[1]} is finished already" in done.stdout
    assert (home / run[1] / "report.html").is_file()


def test_a_finished_study_stays_as_it_is_and_another_one_is_refused(
    searched: tuple[Path, str], manifest_csv: Path, refusal: Callable[..., tuple[int, str]]
) -> None:
    home, _ = searched
    words = [*SPACE, "study=first", "data=manifest", f"data.path={manifest_csv}", *SMALL, *WORDS]
    before = (home / "runs" / ".studies" / "first" / "journal.log").read_bytes()
    assert refusal("sweep", *words, cwd=home) == (0, "")
    assert (home / "runs" / ".studies" / "first" / "journal.log").read_bytes() == before
    code, said = refusal("sweep", *words, "model.dropout=0.1", cwd=home)
    assert code == 2
    assert "study=first was begun otherwise: model.dropout=0.2, now 0.1\n" in said


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ([], "study: missing; give it as study=…"),
        (["study=a"], "nothing varies; say what"),
        (
            ["study=a", "space.model.lrr=interval(1,2)"],
            "unknown option 'space.model.lrr'; did you mean 'space.model.lr'?",
        ),
        (["study=a", "n_trial=3", SPACE[0]], "unknown option 'n_trial'; did you mean 'n_trials'?"),
        (["study=a", "space.model.lr=interval(1,2)"], "model.lr=0.002 lies outside of space.model.lr: 1 … 2"),
        (["study=a", "space.model.dropout=0.2,7"], "space.model.dropout: model.dropout=7: input should be less than 1"),
        (["study=a", "sweep=cn"], "sweep=cn: there is no such configuration; did you mean 'cnn'?"),
        (["study=a", SPACE[0], "force=true"], "force=true: a study trains nothing twice"),
        (["study=a", SPACE[0], "logger=wandb"], "logger=wandb does not follow a study"),
        (["study=a", "space.seed=1,2"], "seeds=3 averages over three"),
        (["-m", "study=a", SPACE[0]], "dfad sweep takes no -m"),
    ],
)
def test_wrong_words_end_a_search_before_it_begins(
    words: list[str], answer: str, refusal: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    code, said = refusal("sweep", *words, cwd=tmp_path)
    assert (code, list(tmp_path.iterdir())) == (2, [])
    assert answer in said


def test_without_optuna_it_says_what_to_install(
    refusal: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, said = refusal("sweep", "study=a", SPACE[0], cwd=tmp_path)
    assert code == 2
    assert "pip install 'dfad[sweep]'" in said


def test_a_training_that_is_ended_says_so_and_goes_on(manifest_csv: Path, tmp_path: Path) -> None:
    values = {**config_of(manifest_csv), "runs": str(tmp_path / "runs")}
    heard: list[list[int]] = []

    def ends(rows: list[dict[str, float]]) -> bool:
        heard.append([int(row["epoch"]) for row in rows])
        return heard[-1] == [1]

    with pytest.raises(EndedError):
        train(TrainConfig.read(values), SILENT, [Followed(ends, "by study x")])
    (run,) = (tmp_path / "runs").iterdir()
    assert heard == [[], [0], [1]]
    assert (run / "error.txt").read_text().startswith("ended after epoch 2 of 4 by study x; ")
    assert not (run / "metrics.json").exists()
    done = train(TrainConfig.read(values), SILENT, [Followed(ends, "")]).run
    assert heard[3:] == [[0, 1], [2]]  # those before the resume are told as well; nobody asks about the last
    assert done.finished
    assert not (run / "error.txt").exists()


def config_of(manifest: Path) -> dict[str, Any]:
    from dfad.commands.door import as_addition, composed, plain_values

    return plain_values(composed("train", ["data=manifest", *map(as_addition, [f"data.path={manifest}", *SMALL])]))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_signals_end_worker_and_training(number: signal.Signals, code: int, manifest_csv: Path, tmp_path: Path) -> None:
    started = process(command(manifest_csv, "trainer.max_epochs=500", "n_trials=3"), tmp_path)
    while not list(tmp_path.glob("runs/cnn-*/curves.csv")):
        assert started.poll() is None, started.communicate()[0]
        time.sleep(0.1)
    started.send_signal(number)
    said = started.communicate(timeout=60)[0]
    assert started.returncode == code, said
    assert said.count("the same command goes on") == 1
    assert "Traceback" not in said
    (run,) = tmp_path.glob("runs/cnn-*")
    with Run(run).locked():  # nobody works in it
        assert not (run / "metrics.json").exists()


@pytest.mark.slow
def test_two_seeds_on_two_devices(manifest_csv: Path, tmp_path: Path) -> None:
    words = ("n_trials=1", "seeds=2", "trainer.devices=2", "trainer.max_epochs=2", "storage=sqlite:///studies.db")
    said = said_by(command(manifest_csv, *words), tmp_path)
    (row,) = table(tmp_path)
    values = values_of(tmp_path, row)
    assert len(values) == 2
    assert sum(values) / 2 == pytest.approx(float(row["val/cllr"]), rel=1e-12)
    assert f"best: trial 0, val/cllr {sum(values) / 2:.4f} ± " in said


@pytest.mark.slow
def test_twelve_trials_by_two_workers_killed_twice(manifest_csv: Path, tmp_path: Path) -> None:
    def worker() -> subprocess.Popen[str]:
        return process(command(manifest_csv, "n_trials=12", "spare_trials=3", "spare_epochs=2"), tmp_path)

    def trained() -> int:
        return len(list(tmp_path.glob("runs/cnn-*/metrics.json")))

    def wait_for(count: int) -> None:
        while trained() < count:
            time.sleep(0.1)

    one, other = worker(), worker()
    wait_for(2)
    os.kill(one.pid, signal.SIGKILL)
    one.communicate()
    one = worker()
    wait_for(4)
    for each in (one, other):
        os.kill(each.pid, signal.SIGKILL)
        each.communicate()
    one, other = worker(), worker()
    said = [each.communicate(timeout=600)[0] for each in (one, other)]
    assert (one.returncode, other.returncode) == (0, 0), said
    rows = table(tmp_path)
    assert len(rows) == 12
    assert {row["state"] for row in rows} <= {"complete", "pruned"}
    assert len({(row["model.lr"], row["model.channels"]) for row in rows}) == 12
    best = min(float(row["val/cllr"]) for row in rows if row["state"] == "complete")
    assert best <= float(rows[0]["val/cllr"])
    assert rows[0]["model.lr"] == "0.002"
    assert trained() == sum(row["state"] == "complete" for row in rows)  # none twice
    assert said[0].splitlines()[-6:] == said[1].splitlines()[-6:]
