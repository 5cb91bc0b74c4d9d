"""Sweeps whose jobs other processes do: complete, recorded, and the same command does what is missing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dfad.commands import launchers
from tests.conftest import SMALL

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_a_grid_is_complete(launcher: str, manifest_csv: Path, dfad: Run, tmp_path: Path) -> None:
    words = ["-m", f"hydra/launcher={launcher}", "data=manifest", f"data.path={manifest_csv}", *SMALL]
    words += ["trainer.max_epochs=1", "seed=1,2,-1"]
    done = dfad("train", *words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr  # one job cannot be
    assert "2 of 3 jobs done" in done.stdout
    assert "failed seed=-1: seed=-1: input should be greater than or equal to 0" in done.stdout
    assert "Warning" not in done.stderr
    kept = record(tmp_path)
    assert kept["count"] == 3
    assert [job["overrides"] for job in kept["jobs"]] == [["seed=1"], ["seed=2"], ["seed=-1"]]
    assert [job["exit_code"] for job in kept["jobs"]] == [0, 0, 2]
    runs = [tmp_path / job["run"] for job in kept["jobs"][:2]]
    assert all((run / "metrics.json").is_file() for run in runs)
    assert [path.name for path in (tmp_path / "runs" / ".sweeps").glob("sweep-*")] == [f"{kept_name(tmp_path)}.json"]

    before = [(run / "curves.csv").stat().st_mtime_ns for run in runs]
    again = dfad("train", *words, cwd=tmp_path)
    assert [(run / "curves.csv").stat().st_mtime_ns for run in runs] == before
    assert "2 of 3 jobs done" in again.stdout
    assert record(tmp_path) == kept


def record(home: Path) -> dict[str, Any]:
    (path,) = home.glob("runs/.sweeps/sweep-*.json")
    content = json.loads(path.read_text())
    assert isinstance(content, dict)
    return content


def kept_name(home: Path) -> str:
    (path,) = home.glob("runs/.sweeps/sweep-*.json")
    return path.stem


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
