"""Sweeps whose jobs other processes do: complete, recorded, and the same command does what is missing."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dfad.commands import launchers
from tests.conftest import SMALL
from tests.test_resume import start

Run = Callable[..., subprocess.CompletedProcess[str]]


def words(launcher: str, manifest: Path) -> list[str]:
    typed = ["-m", f"hydra/launcher={launcher}", "data=manifest", f"data.path={manifest}", *SMALL]
    return [*typed, "trainer.max_epochs=2", "seed=1,2,-1"]


@pytest.mark.parametrize("launcher", ["joblib", pytest.param("submitit_local", marks=pytest.mark.slow)])
def test_a_grid_is_complete(launcher: str, manifest_csv: Path, dfad: Run, tmp_path: Path) -> None:
    done = dfad("train", *words(launcher, manifest_csv), cwd=tmp_path)
    assert done.returncode == 2, done.stderr  # one job cannot be
    assert "2 of 3 jobs done" in done.stdout
    assert "failed seed=-1: seed=-1: input should be greater than or equal to 0" in done.stdout
    assert "Warning" not in done.stderr
    kept = record(tmp_path)
    assert kept["count"] == 3
    assert [job["overrides"] for job in kept["jobs"]] == [["seed=1"], ["seed=2"], ["seed=-1"]]
    assert [job["exit_code"] for job in kept["jobs"]] == [0, 0, 2]
    assert all((tmp_path / job["run"] / "metrics.json").is_file() for job in kept["jobs"][:2])
    assert [path.suffix for path in (tmp_path / "runs" / ".sweeps").glob("sweep-*")] == [".json"]


def test_jobs_need_not_share_a_folder_of_runs(manifest_csv: Path, dfad: Run, tmp_path: Path) -> None:
    typed = ["-m", "hydra/launcher=joblib", "data=manifest", f"data.path={manifest_csv}", *SMALL]
    done = dfad("train", *typed, "trainer.max_epochs=1", "runs=a,b", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 jobs done" in done.stdout
    (path,) = tmp_path.glob("*/.sweeps/sweep-*")
    assert [job["overrides"] for job in json.loads(path.read_text())["jobs"]] == [["runs=a"], ["runs=b"]]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_a_grid_that_is_killed_is_complete_after_the_same_command(
    launcher: str, manifest_csv: Path, dfad: Run, tmp_path: Path
) -> None:
    typed = words(launcher, manifest_csv)
    process = start(typed, tmp_path)
    while not list(tmp_path.glob("runs/cnn-*/curves.csv")):
        assert process.poll() is None
        time.sleep(0.1)
    process.kill()
    process.wait()
    again = dfad("train", *typed, cwd=tmp_path)  # jobs that go on by themselves are waited for
    assert again.returncode == 2, again.stderr
    assert "2 of 3 jobs done" in again.stdout
    jobs = record(tmp_path)["jobs"]
    assert [job["exit_code"] for job in jobs] == [0, 0, 2]
    rows = [(tmp_path / job["run"] / "curves.csv").read_text().count("\n") for job in jobs[:2]]
    assert rows == [3, 3]  # two epochs, none twice
    if launcher == "joblib":
        process.communicate(timeout=30)  # the end of its output: no process of the killed command is left


def record(home: Path) -> dict[str, Any]:
    (path,) = home.glob("runs/.sweeps/sweep-*.json")
    content = json.loads(path.read_text())
    assert isinstance(content, dict)
    return content


def test_a_launcher_that_is_not_there(
    refusal: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = refusal("train", "-m", "hydra/launcher=jobli", "seed=1,2", cwd=tmp_path)
    assert (code, list(tmp_path.iterdir())) == (2, [])
    assert "hydra/launcher=jobli: there is no such launcher; did you mean 'joblib'?" in said
    monkeypatch.setattr(launchers, "_installed", lambda package: False)
    code, said = refusal("train", "-m", "hydra/launcher=submitit_slurm", "seed=1,2", cwd=tmp_path)
    assert code == 2
    assert "hydra/launcher=submitit_slurm needs a package: pip install 'dfad[launchers]'" in said
