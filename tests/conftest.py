"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder that holds `reference/` (golden values) and `corpus/`; tests that need it are skipped without it."""
    folder = Path(os.environ.get("DFAD_REFERENCE") or ROOT.parent / "shared")
    if not (folder / "reference").is_dir():
        pytest.skip(f"no reference material: {folder / 'reference'} is missing; set DFAD_REFERENCE to its parent")
    return folder


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Two threads are slower than one on two shared cores, and sums come in another order."""
    torch.set_num_threads(1)


def write_corpus(root: Path, *, train: int = 12, val: int = 6, test: int = 6, seconds: float = 0.6) -> Path:
    """Write a corpus that a network learns in seconds: bona fide is coloured noise, spoof a buzz; half of each.

    Returns:
        Its manifest, with two attacks, of which `hum` is in the test split only.
    """
    random = np.random.default_rng(0)
    time = np.arange(round(seconds * 16000)) / 16000
    lines = ["path,label,split,attack,speaker,duration_s"]
    for split, count in (("train", train), ("val", val), ("test", test)):
        for number in range(count):
            noise = np.cumsum(random.normal(size=len(time)))
            noise -= np.linspace(noise[0], noise[-1], len(noise))
            buzz = np.sign(np.sin(2 * np.pi * random.uniform(80, 300) * time)) + 0.1 * random.normal(size=len(time))
            for label, wave in (("bona-fide", noise), ("spoof", buzz)):
                attack = "" if label == "bona-fide" else "hum" if split == "test" and number % 2 else "buzz"
                name = f"{split}-{label}-{number}.wav"
                soundfile.write(root / name, 0.3 * wave / np.abs(wave).max(), 16000)
                lines.append(f"{name},{label},{split},{attack},speaker{number},{seconds}")
    manifest = root / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


@pytest.fixture(scope="session")
def manifest_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of 48 clips that lie beside it."""
    return write_corpus(tmp_path_factory.mktemp("corpus"))


SMALL = (
    "model.channels=[4,8]",
    "frontend.crop_s=0.5",
    "frontend.n_mels=24",
    "data.batch_size=8",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=4",
    "eval.resamples=50",
)


@pytest.fixture(scope="session")
def dfad() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `train.py` or `eval.py` as a process of its own, as a user does."""

    def run(script: str, *words: str, cwd: Path, **more: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / f"{script}.py"), *words]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, env=environment(), **more)

    return run


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Call `train.py` or `eval.py` with words that it must refuse, in this process, which is sooner done.

    Returns:
        The exit code, and what it wrote to stderr.
    """

    def call(script: str, *words: str, cwd: Path) -> tuple[int, str]:
        main = import_module(f"dfad.commands.{script}").main
        monkeypatch.setattr(sys, "argv", [f"{script}.py", *words])
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.chdir(cwd)
        with pytest.raises(SystemExit) as leave:
            main()
        return int(leave.value.code or 0), capsys.readouterr().err

    return call


Called = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Called:
    """Call `dfad <name> <words>` in this process and in an empty folder; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(name: str, *words: object, columns: int = 160) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [f"dfad {name}", *map(str, words)])
        monkeypatch.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit) as leave:
            import_module(f"dfad.commands.{name}").main()
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return int(leave.value.code or 0), out, err

    return call


@pytest.fixture
def prepare(command: Called) -> Callable[..., tuple[int, str]]:
    """Call `dfad prepare` likewise; gives the exit code and all that it printed."""

    def call(*words: str) -> tuple[int, str]:
        code, out, err = command("prepare", *words, columns=200)
        return code, out + err

    return call


def environment() -> dict[str, str]:
    """The environment of such a process: one thread, and a wide screen so that no line is broken."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


@pytest.fixture(scope="session")
def trained(manifest_csv: Path, dfad: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run on the small corpus."""
    home = tmp_path_factory.mktemp("trained")
    done = dfad("train", "data=manifest", f"data.path={manifest_csv}", *SMALL, cwd=home)
    assert done.returncode == 0, done.stderr
    (folder,) = (home / "runs").iterdir()
    return folder


@pytest.fixture
def elsewhere(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run that was trained without a dashboard, in `runs/` of the test's folder."""
    shutil.copytree(trained.parent, tmp_path / "runs")
    return tmp_path / "runs" / trained.name
