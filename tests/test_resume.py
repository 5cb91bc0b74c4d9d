"""A run that is killed goes on as if nothing had happened: real processes, real signals."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import ROOT, SMALL, environment


def start(words: list[str], cwd: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-u", str(ROOT / "train.py"), *words]
    return subprocess.Popen(
        command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment()
    )


def stop_after(process: subprocess.Popen[str], start_of_line: str, number: signal.Signals) -> str:
    """Send a signal as soon as the process prints such a line; give all that it printed."""
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if line.startswith(start_of_line):
            process.send_signal(number)
            break
    else:
        pytest.fail(f"never printed {start_of_line!r}:\n{said}")
    return said + process.communicate(timeout=120)[0]


def only_run(home: Path) -> Path:
    (folder,) = (home / "runs").iterdir()
    return folder


STORED = ("curves.csv", "scores/val.csv", "scores/test.csv", "metrics.json")


def require_same(one: Path, other: Path) -> None:
    """Whether two runs are the same bit for bit."""
    assert one.name == other.name
    for name in STORED:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    for name in ("best", "last"):
        first, second = (
            torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]
            for folder in (one, other)
        )
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first), name


@pytest.mark.parametrize(
    ("augment", "workers"), [pytest.param("light", 0, marks=pytest.mark.slow), ("light", 2), ("codec", 1)]
)
def test_a_killed_run_ends_bit_for_bit_like_an_undisturbed_one(
    augment: str, workers: int, manifest_csv: Path, dfad: Callable[..., Any], tmp_path: Path
) -> None:
    words = ["data=manifest", f"data.path={manifest_csv}", f"data.workers={workers}", *SMALL]
    words += [f"augment={augment}", "model.dropout=0.5", "model.head=[8]", "data.balance=sampler"]
    for home in ("whole", "killed"):
        (tmp_path / home).mkdir()
    whole = dfad("train", *words, cwd=tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr

    process = start(words, tmp_path / "killed")
    stop_after(process, "epoch 2/4", signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (only_run(tmp_path / "killed") / "metrics.json").exists()
    again = dfad("train", *words, cwd=tmp_path / "killed")
    assert again.returncode == 0, again.stderr
    assert "goes on after its last whole epoch" in again.stdout
    assert "epoch 1/4" not in again.stdout

    require_same(only_run(tmp_path / "whole"), only_run(tmp_path / "killed"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_end_a_run_in_a_line_and_with_their_code(
    number: signal.Signals, code: int, manifest_csv: Path, tmp_path: Path
) -> None:
    words = ["data=manifest", f"data.path={manifest_csv}", *SMALL, "trainer.max_epochs=500"]
    process = start(words, tmp_path)
    said = stop_after(process, "epoch   2/500", number)
    assert process.returncode == code, said
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert (only_run(tmp_path) / "checkpoints" / "last.ckpt").is_file()


def test_a_run_that_patience_ended_stays_ended(manifest_csv: Path, dfad: Callable[..., Any], tmp_path: Path) -> None:
    words = ["data=manifest", f"data.path={manifest_csv}", *SMALL, "trainer.max_epochs=9", "trainer.patience=1"]
    words += ["model.lr=1.0"]  # so high that it gets worse soon
    done = dfad("train", *words, cwd=tmp_path)
    assert "stopped: no better val/cllr for 1 epochs" in done.stdout, done.stderr
    folder = only_run(tmp_path)
    curves = (folder / "curves.csv").read_bytes()
    (folder / "metrics.json").unlink()  # as if killed while the test clips were scored
    again = dfad("train", *words, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (folder / "curves.csv").read_bytes() == curves


def test_a_damaged_checkpoint_is_told_in_a_line(trained: Path, manifest_csv: Path, dfad: Callable[..., Any]) -> None:
    home = trained.parents[1] / "damaged"
    shutil.copytree(trained.parent, home / "runs")
    folder = only_run(home)
    (folder / "metrics.json").unlink()
    (folder / "checkpoints" / "last.ckpt").write_bytes((trained / "checkpoints" / "last.ckpt").read_bytes()[:5000])
    done = dfad("train", "data=manifest", f"data.path={manifest_csv}", *SMALL, cwd=home)
    shutil.rmtree(home)
    assert done.returncode == 2
    assert "the run cannot go on; delete" in done.stderr


def test_a_run_folder_in_use_is_refused(manifest_csv: Path, dfad: Callable[..., Any], tmp_path: Path) -> None:
    words = ["data=manifest", f"data.path={manifest_csv}", *SMALL, "trainer.max_epochs=500"]
    process = start(words, tmp_path)
    assert process.stdout is not None
    assert any(line.startswith("epoch") for line in process.stdout)
    second = dfad("train", *words, cwd=tmp_path)
    process.kill()
    process.communicate()
    assert second.returncode == 2
    assert "is in use by another process" in second.stderr
