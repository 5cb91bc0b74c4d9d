"""A training that a signal ends inside an epoch goes on there, bit for bit: real processes, real signals."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dfad.audio import LIMITS
from dfad.clips import Manifest
from dfad.corpora.packed_clips import Recipe
from dfad.corpora.packing import write_pack
from dfad.packs import where
from dfad.training.stops import STOPPED, Stops
from tests.conftest import ROOT, SMALL, environment
from tests.test_resume import only_run, require_same

WORDS = [*SMALL, "trainer.max_epochs=3", "augment=light", "model.dropout=0.5", "model.head=[8]", "data.balance=sampler"]


def interrupted(spec: str, words: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.interrupted", spec, *words],
        cwd=cwd, capture_output=True, text=True, timeout=120, env={**environment(), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


TINY = [*WORDS, "data.batch_size=2"]  # twelve batches, and three of validation for each of two ranks
ALL = ("SIGTERM:training:0:3:0", "SIGUSR1:training:1:5:0", "SIGTERM:training:1:11:0", "SIGTERM:validation:2:0:0")
UNFREEZING = [
    *("model=vgg16", "model.variant=vgg11", "model.pretrained=none", "model.unfreeze_from=4", "model.unfreeze_every=1"),
    *("model.hidden=8", "frontend.n_mels=40", "frontend.crop_s=0.5", "data.batch_size=8", "trainer.accelerator=cpu"),
    *("trainer.max_epochs=3", "eval.resamples=50"),
]


@pytest.mark.parametrize(
    ("devices", "workers", "specs", "more"),
    [
        (1, 0, ["SIGTERM:training:1:1:0", "SIGUSR1:validation:1:0:0"], WORDS),
        pytest.param(2, 2, ["SIGUSR1:training:1:0:0"], WORDS, marks=pytest.mark.slow),
        pytest.param(1, 2, ALL, TINY, marks=pytest.mark.slow),
        pytest.param(2, 0, ALL, TINY, marks=pytest.mark.slow),
        pytest.param(2, 2, ALL, [*TINY, "trainer.accumulate=2"], marks=pytest.mark.slow),
        pytest.param(1, 0, ["SIGTERM:training:1:1:0"], UNFREEZING, marks=pytest.mark.slow),
    ],
)
def test_it_ends_bit_for_bit_like_an_undisturbed_one(
    devices: int,
    workers: int,
    specs: list[str],
    more: list[str],
    manifest_csv: Path,
    dfad: Callable[..., Any],
    tmp_path: Path,
) -> None:
    words = ["data=manifest", f"data.path={manifest_csv}", *more, f"data.workers={workers}"]
    require_undisturbed_end([*words, f"trainer.devices={devices}"], specs, dfad, tmp_path)


@pytest.mark.parametrize(
    ("devices", "workers"),
    [(2, 0), *(pytest.param(*kind, marks=pytest.mark.slow) for kind in ((1, 0), (1, 2), (2, 2)))],
)
def test_an_epoch_over_a_pack_goes_on_at_the_same_clip(
    devices: int, workers: int, manifest_csv: Path, dfad: Callable[..., Any], tmp_path: Path
) -> None:
    write_pack(Manifest.read(manifest_csv), where(str(tmp_path / "pack")), Recipe(chunk=100_000), limits=LIMITS)
    assert len(list((tmp_path / "pack").glob("train-*.tar"))) > 4
    words = ["data=packed", f"data.path={tmp_path / 'pack'}", "data.window=2", *WORDS, f"data.workers={workers}"]
    require_undisturbed_end([*words, f"trainer.devices={devices}"], ["SIGTERM:training:1:1:0"], dfad, tmp_path)


def require_undisturbed_end(words: list[str], specs: list[str], dfad: Callable[..., Any], tmp_path: Path) -> None:
    """Whether a training that signals end and one that none does are the same."""
    for home in ("whole", "cut"):
        (tmp_path / home).mkdir()
    whole = dfad("train", *words, cwd=tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    for spec in specs:
        done = interrupted(spec, words, tmp_path / "cut")
        assert done.returncode == 143, done.stdout + done.stderr
        assert "stopping: writing a checkpoint after batch" in done.stdout
        assert "the same command goes on after batch" in done.stderr
        assert "Traceback" not in done.stderr
        assert (only_run(tmp_path / "cut") / "checkpoints" / "last.ckpt").is_file()
    again = dfad("train", *words, cwd=tmp_path / "cut")
    assert again.returncode == 0, again.stderr
    assert "goes on after batch" in again.stdout
    require_same(only_run(tmp_path / "whole"), only_run(tmp_path / "cut"))


@pytest.mark.slow
def test_a_killed_run_goes_on_after_its_last_checkpoint(
    manifest_csv: Path, dfad: Callable[..., Any], tmp_path: Path
) -> None:
    words = ["data=manifest", f"data.path={manifest_csv}", *SMALL, "trainer.max_epochs=2"]
    for home in ("whole", "cut"):
        (tmp_path / home).mkdir()
    assert dfad("train", *words, cwd=tmp_path / "whole").returncode == 0
    done = interrupted("SIGKILL:training:1:2:0", [*words, "trainer.checkpoint_steps=1"], tmp_path / "cut")
    assert done.returncode == -signal.SIGKILL
    again = dfad("train", *words, "trainer.checkpoint_steps=1", cwd=tmp_path / "cut")
    assert "goes on after batch 2 of epoch 2 of 2" in again.stdout, again.stderr
    require_same(only_run(tmp_path / "whole"), only_run(tmp_path / "cut"))


def test_a_second_signal_is_not_waited_for(tmp_path: Path) -> None:
    stops = Stops(tmp_path / "last.ckpt", None, print)
    stops._hear(signal.SIGTERM, None)
    assert stops.asked
    with pytest.raises(SystemExit) as leave:
        stops._hear(signal.SIGUSR1, None)
    assert leave.value.code == STOPPED
